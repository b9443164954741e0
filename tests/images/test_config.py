import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from dgreid import params
from dgreid.errors import UserError
from dgreid.images import operations
from dgreid.images.augment import augment
from dgreid.images.config import ImageConfig
from dgreid.images.streams import generator
from dgreid.schema import modules, validate

SHIPPED = json.loads((Path(__file__).parents[1] / "params/shipped.json").read_text())["image"]
BATCHES = {  # SHA-256 of two augmented batches, made when augmentation was four numbers
    "128x64": "02308f63d1052341",
    "256x128": "c06fdbed25063e16",
    "256x128_jitter": "3db0a0463e5c8e99",
    "384x128": "e312d3b7273226d6",
    "64x32": "9bdee7a0e399d397",
}
SMALL = {"name": "small", "height": 8, "width": 6}


@pytest.fixture(autouse=True)
def _shipped(root):
    """The files of params/ are read from the project's root."""


def shipped(name: str) -> ImageConfig:
    return validate(ImageConfig, params.read("image", name))


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_file_means_what_it_did_as_four_numbers(name):
    node, image = SHIPPED[name], shipped(name)
    steps = [{"operation": "flip", "probability": node["flip"]}]
    if node["padding"]:
        steps += [{"operation": "pad_crop", "padding": node["padding"], "probability": 1}]
    if node["color_jitter"]:
        strengths = zip(("brightness", "contrast", "saturation", "hue"), node["color_jitter"], strict=True)
        steps += [{"operation": "color_jitter", "probability": 1, **dict(strengths)}]
    if node["occlusion"]:
        square = {"greatest_side": node["occlusion"], "probability": 1}
        steps += [{"operation": "occlusion", **square}]
    size = {key: node[key] for key in ("name", "height", "width")}
    assert image.model_dump(mode="json") == {**size, "train": steps, "views": {}}


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_shipped_files_still_give_the_same_batches(name):
    image = shipped(name)
    size = image.height, image.width, 3
    pixels = np.random.default_rng(image.height * image.width).integers(0, 256, (6, *size), np.uint8)
    batches = [augment(pixels, image.train, generator(3, "base", "augment", n)) for n in range(2)]
    assert hashlib.sha256(np.stack(batches).tobytes()).hexdigest()[:16] == BATCHES[name]


def test_every_number_of_a_shipped_operation_stands_in_its_file():
    # DVC tracks the files: a default in the code could change without anything being trained again
    for name in params.names("image"):
        node = yaml.safe_load((params.PARAMS / f"image/{name}.yaml").read_text())
        for step in [*node["train"], *(step for steps in node.get("views", {}).values() for step in steps)]:
            known = operations.module(step["operation"]).Options.model_fields
            assert set(step) == set(known), (name, step["operation"])


def test_what_was_read_reads_the_same_again():
    node = {
        **SMALL,
        "train": [{"operation": "flip"}, {"operation": "erasing"}],
        "views": {"strong": [{"operation": "color_jitter", "brightness": [0.5, 2]}], "plain": []},
    }
    image = validate(ImageConfig, node)
    assert ImageConfig.model_validate(image.model_dump(mode="json")) == image
    assert image.operations("train") == image.train and len(image.train) == 2
    assert image.operations("strong")[0].brightness == (0.5, 2) and image.operations("plain") == ()


def test_the_modules_that_a_configuration_names_are_its_operations():
    views = {"strong": [{"operation": "rotation"}]}
    image = validate(ImageConfig, {**SMALL, "train": [{"operation": "flip"}], "views": views})
    assert set(modules(image)) == {f"dgreid.images.operations.{name}" for name in ("flip", "rotation")}


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (
            {"train": [{"operation": "flpi"}]},
            "unknown operation of image.train.0 'flpi': did you mean 'flip'",
        ),
        ({"train": [{"operation": "__init__"}]}, "unknown operation of image.train.0"),
        ({"train": [{"operation": "flip", "probabilty": 1}]}, "did you mean 'probability'"),
        ({"train": [{"operation": "flip", "probability": 2}]}, "image.train.0.probability: .*2"),
        ({"train": ["flip"]}, "image.train.0: write {operation: NAME, ...}.*'flip'"),
        ({"train": [{"flip": 0.5}]}, "image.train.0: write {operation: NAME, ...}"),
        ({"train": 3}, "train"),
        ({"flip": 0.5}, "unknown key 'small.flip'"),
        ({"views": {"train": []}}, "the view 'train' is the list image.train"),
        ({"views": {"strong": [{"operation": "flpi"}]}}, "image.views.strong.0 'flpi'"),
        ({"views": [1]}, "views"),
    ],
)
def test_a_mistake_is_one_sentence(node, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        validate(ImageConfig, SMALL | node)
    assert "\n" not in str(caught.value)
