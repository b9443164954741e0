"""What the shipped files resolve to: no rearrangement of params/ changes a run or its name."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from dgreid import methods, params
from dgreid.datasets import parser
from dgreid.datasets.config import load_dataset
from dgreid.images.config import ImageConfig
from dgreid.methods.recipe import RecipeConfig
from dgreid.paths import PARAMS
from dgreid.protocols.config import load_protocol
from dgreid.schema import validate
from dgreid.selection.matrix import compose

SHIPPED = json.loads((Path(__file__).parent / "shipped.json").read_text())


def load_method(name: str) -> BaseModel:
    node = params.read("method", name)
    return validate(methods.module(node["code"]).Options, node, "method")


def load_recipe(name: str) -> BaseModel:
    return validate(RecipeConfig, params.read("recipe", name))


LOAD = {"dataset": load_dataset, "method": load_method, "protocol": load_protocol, "recipe": load_recipe}


@pytest.mark.parametrize("group", [*LOAD, "matrices"])
def test_nothing_that_was_shipped_is_missing(root, group):
    assert set(params.names(group)) >= set(SHIPPED[group])


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in LOAD for name in SHIPPED[group]])
def test_every_value_is_the_shipped_one(root, group, name):
    loaded, shipped = LOAD[group](name), SHIPPED[group][name]
    found = loaded.model_dump(mode="json")
    assert {key: found.get(key) for key in shipped} == shipped
    new = {key: getattr(loaded, key) for key in found.keys() - shipped.keys()}  # options that came later
    assert new == {key: type(loaded).model_fields[key].get_default(call_default_factory=True) for key in new}


@pytest.mark.parametrize("name", SHIPPED["method"])
def test_losses_are_summed_in_the_shipped_order(root, name):
    found, shipped = load_method(name).model_dump(), SHIPPED["method"][name]
    weights = {key: list(value) for key, value in shipped.items() if isinstance(value, dict)}
    assert {key: list(found[key]) for key in weights} == weights


@pytest.mark.parametrize("name", SHIPPED["matrices"])
def test_a_selection_has_the_shipped_run_names(root, name):
    runs = compose(name, {})["runs"]
    assert list(runs) == SHIPPED["matrices"][name]
    for run, item in runs.items():
        plain = "{method}-{backbone}-{protocol}-s{seed}".format(**item)
        assert re.fullmatch(f"{plain}(-[0-9a-f]{{6}})?", run)  # the hash of what departs from the files
        assert run != plain or not item["changes"]


def test_every_own_recipe_and_image_of_a_method_exists(root):
    for name in params.names("method"):
        node = params.read("method", name)
        assert node.get("recipe", "m3l") in params.names("recipe"), name
        assert node.get("image", "64x32") in params.names("image"), name


@pytest.mark.parametrize(
    ("group", "model", "spared"),
    [
        ("recipe", RecipeConfig, {"name"}),  # in the file or its base
        ("image", ImageConfig, {"name", "views"}),
    ],
)
def test_every_number_of_a_run_stands_in_its_file(root, group, model, spared):
    # DVC tracks the files: a default in the code could change without anything being trained again
    for name in params.names(group):
        assert set(params.read(group, name)) >= set(model.model_fields) - spared, name


def test_every_shipped_protocol_names_data_sets_and_recipes_that_exist(root):
    for name in params.names("protocol"):
        protocol = load_protocol(name)
        assert (PARAMS / f"recipe/{protocol.recipe}.yaml").exists()
        assert (PARAMS / f"image/{protocol.image}.yaml").exists()
        for part in (*protocol.sources, *protocol.targets):
            assert parser(load_dataset(part.dataset).parser)
