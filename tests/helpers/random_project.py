"""A project folder with data sets of a few random pictures, for tests that go through the command line."""

import shutil
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

PARAMS = Path(__file__).parents[2] / "params"
PEOPLE = {"wide": 8, "other": 8, "narrow": 3}  # each person has two images from each of two cameras
PROTOCOLS = {"alone": ["wide"], "pair": ["wide", "other"], "uneven": ["wide", "narrow"]}


def make(folder: Path) -> None:
    """Write params/ and source/NAME, the data sets in the layout of Market-1501's training folder."""
    shutil.copytree(PARAMS, folder / "params")
    for name, people in PEOPLE.items():
        node = {"title": f"Market-1501 ({name})", "parser": "market1501", "access": "drawn"}
        _write(folder / f"params/dataset/{name}.yaml", node)
        crops(folder / "source" / name, people)
    recipe = yaml.safe_load((PARAMS / "recipe/miniature.yaml").read_text())
    _write(
        folder / "params/recipe/short.yaml",
        recipe | {"epochs": 2, "iterations_per_epoch": 2, "weights": "none"},
    )
    for name, sources in PROTOCOLS.items():
        node = {"title": name, "recipe": "short", "image": "64x32", "targets": []}
        node["sources"] = [{"dataset": source} for source in sources]
        _write(folder / f"params/protocol/{name}.yaml", node)


def crops(folder: Path, people: int) -> None:
    """Random pictures of `people` people; those of two folders differ."""
    (folder / "bounding_box_train").mkdir(parents=True)
    rng = np.random.default_rng(list(folder.name.encode()))
    for person in range(2, 2 + people):
        for camera in (1, 2):
            for frame in (1, 2):
                file = folder / f"bounding_box_train/{person:04d}_c{camera}s1_{frame:06d}_01.jpg"
                Image.fromarray(rng.integers(0, 256, (64, 32, 3), dtype=np.uint8)).save(file)


def _write(path: Path, node: dict) -> None:
    path.write_text(yaml.safe_dump(node))
