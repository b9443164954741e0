"""A crowd of random pictures and the configuration of runs on it, small enough for unit tests."""

from collections.abc import Callable, Collection, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from torch import nn
from torch.nn import functional as F

from dgreid import methods, params
from dgreid.images.batch import Batch
from dgreid.images.config import ImageConfig
from dgreid.images.loader import Key, batches, survey
from dgreid.images.pack import Pack
from dgreid.methods.base import Method, Task
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks import backbones
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import RunConfig
from dgreid.runs.run import build
from dgreid.runs.training import training_images
from dgreid.stages.manifest import manifest
from dgreid.stages.protocol import protocol as assemble
from dgreid.stages.synthesize import synthesize

HEIGHT, WIDTH = 32, 16
ROOT = Path(__file__).parents[2]
AUGMENTATION = [{"operation": "flip", "probability": 0.5}, {"operation": "pad_crop", "padding": 2}]
CROWD = {"name": "tiny", "title": "", "recipe": "tiny", "image": "tiny", "targets": []}
CROWD["sources"] = [{"dataset": "crowd"}]
DRAWN = {  # the sources of protocol miniature: four people each, where the rules allow so few
    "mini_market1501": {
        "train_identities": 2,
        "images_per_train_identity": 4,
        "test_identities": 2,
        "gallery_images_per_test_identity": 2,
        "distractors": 1,
        "junk": 1,
    },
    "mini_cuhk02": {"identities": 4},
    "mini_cuhk03": {"identities": 14, "test_identities": 7},  # no two of its 20 test sets are the same
    "mini_cuhksysu": {"identities": 4, "scenes": 4, "most_appearances": 3},
}


def read(group: str, name: str) -> dict:
    """The values of a file of the project's params/, whatever the working folder; a protocol's in full."""
    with chdir(ROOT):
        return load_protocol(name).model_dump() if group == "protocol" else params.read(group, name)


def names(group: str) -> list[str]:
    with chdir(ROOT):
        return params.names(group)


def options(method: str, **changes):
    node = {**read("method", method), **changes}
    return methods.module(node["code"]).Options(**node)


def recipe(**changes) -> RecipeConfig:
    base = dict(name="tiny", epochs=2, iterations_per_epoch=2, identities_per_domain=2, images_per_identity=2)
    return RecipeConfig(**{**base, "warmup_epochs": 0, "weights": "none", **changes})


def config(
    method: str,
    backbone: str = "resnet_tiny",
    seed: int = 0,
    changes: dict | None = None,
    protocol: str | None = None,
    **recipes,
):
    """A run of `method`, on the crowd unless a protocol of params/ is named."""
    return RunConfig(
        method=options(method, **(changes or {})),
        backbone=backbones.read(read("backbone", backbone)),
        protocol=read("protocol", protocol) if protocol else CROWD,
        recipe=recipe(**recipes),
        image=ImageConfig(
            name="tiny", height=HEIGHT, width=WIDTH, train=AUGMENTATION, views={"strong": AUGMENTATION}
        ),
        seed=seed,
    )


class Backbone(nn.Module):
    """Two convolutions with norms, so that one norm sees what another did.

    For second derivatives that are not zero, take a smooth activation.
    """

    channels = 6

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor] = F.relu):
        super().__init__()
        self.activation = activation
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, 6, H - 4, W - 4)."""
        x = self.activation(self.bn1(self.conv1(x)))
        return self.activation(self.bn2(self.conv2(x)))


class MemoryPack:
    """Stands for an opened pack."""

    def __init__(self, images: np.ndarray):
        self.images = images

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.images[rows]


def crowd(domains: int = 4, people: int = 4, each: int = 3) -> tuple[pd.DataFrame, dict[str, MemoryPack]]:
    """Training rows (dataset, row, identity, domain) and their pictures: coloured noise per person."""
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(domains * people), each)
    colour = rng.uniform(40, 215, (domains * people, 1, 1, 3))
    images = colour[identity] + rng.normal(0, 30, (len(identity), HEIGHT, WIDTH, 3))
    rows = {"dataset": "crowd", "row": np.arange(len(identity)), "identity": identity}
    frame = pd.DataFrame({**rows, "domain": identity // people})
    frame["camera"] = np.arange(len(frame)) % 2
    return frame, {"crowd": MemoryPack(images.clip(0, 255).astype(np.uint8))}


def draw_miniature(targets: Collection[str] = ()) -> None:
    """Draw, read, assemble and pack protocol miniature below the working folder.

    Its sources are small, and so that a test can evaluate, it has these targets, which are whole.
    """
    node = read("protocol", "miniature") | {"expect": {}}
    node["targets"] = [target for target in node["targets"] if target["name"] in targets]
    _write("protocol", node)
    for name in (part["dataset"] for part in (*node["sources"], *node["targets"])):
        dataset = read("dataset", name) | {"expect": {}}
        dataset["miniature"]["sizes"] |= DRAWN.get(name, {})
        _write("dataset", dataset)
        synthesize(name)
        manifest(name)
        Pack.open(name, config("erm").image)
    assemble("miniature")


def _write(group: str, node: dict) -> None:
    path = Path("params", group, f"{node['name']}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(node))


def set_up(run: RunConfig) -> tuple[Method, Task, Callable[[list[Key]], Iterator[Batch]]]:
    """A fresh method, its training set, and what the loop calls to get batches."""
    torch.manual_seed(run.seed)
    np.random.seed(run.seed)
    frame, packs = crowd()
    identities, domains = (frame[name].to_numpy() for name in ("identity", "domain"))
    each = run.recipe.iterations_per_epoch
    membership = np.zeros((len(set(domains)), len(set(identities))), bool)
    membership[domains, identities] = True
    iterations = run.recipe.epochs * each
    task = Task(*membership.T.shape, iterations, each, torch.from_numpy(membership), (HEIGHT, WIDTH))
    method = build(run.method, run.backbone, run.recipe, task)
    images = training_images(frame, run, method, packs)
    method.start(lambda: survey(images, torch.device("cpu")))
    return method, task, lambda keys: batches(images, keys, torch.device("cpu"))


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter and buffer."""
    return {name: value.clone() for name, value in module.state_dict().items()}
