"""The recipes of docs/extend, tried literally: their blocks are written to the places they name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_FOLDERS = (  # the tests of every folder and group that the page adds a file to
    *("test_layers.py", "test_registry.py", "networks/backbones", "networks/test_backbone.py"),
    *("images/operations", "images/test_augment.py", "images/test_config.py", "params/test_shipped.py"),
    *("datasets/test_layout.py", "datasets/test_shipped.py", "datasets/test_splits.py"),
    *("protocols/test_listing.py", "protocols/test_notation.py", "protocols/test_published_counts.py"),
    *("papers/test_tables.py", "papers/test_measured.py", "reporting/figures"),
)
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs/extend").glob("*.md"))}
BLOCK = re.compile(r"^`([\w/.]+)`:\n\n```\w*\n(.*?)^```$", re.M | re.S)
BLOCKS = dict(block for text in PAGES.values() for block in BLOCK.findall(text))
SLOW = ("full", "settings", "run_names", "alone")  # words in the names of tests that list no folder
VIT = """
import torch
from helpers import tiny
from helpers.tiny import snapshot
from dgreid.errors import UserError
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.loop import fit
from pathlib import Path

run = tiny.config("erm", "vit_toy", epochs=1)
method, task, load = tiny.set_up(run)
fit(method, load, task, Checkpoint(Path("last.pt"), ""), 10)
maps = method.network.maps(torch.zeros(2, 3, tiny.HEIGHT, tiny.WIDTH))
assert torch.equal(method.network.pool(maps), maps[:, :, 0, 0])
for name, changes in (("m3l", {}), ("mldg", {"order": "second"})):  # attention is differentiated twice
    method, task, load = tiny.set_up(tiny.config(name, "vit_toy", epochs=1, changes=changes))
    before = snapshot(method)
    fit(method, load, task, Checkpoint(Path(f"{name}.pt"), ""), 10)
    moved = [key for key, value in method.state_dict().items() if not torch.equal(value, before[key])]
    assert any("self_attn" in key for key in moved)
for name in ("erm_in", "metabin", "lda", "dualnorm", "snr", "qaconv"):  # what it cannot be is said by name
    try:
        tiny.set_up(tiny.config(name, "vit_toy"))
    except UserError as error:
        print(name, error)
    else:
        raise AssertionError(f"{name} trained a network without norms or stages")
"""
PARTS = """
import numpy as np
from helpers import metrics as made_up
from pathlib import Path
from PIL import Image
from dgreid import params
from dgreid.cli.main import main
from dgreid.datasets import read_manifest
from dgreid.images import operations
from dgreid.images.config import ImageConfig
from dgreid.papers import tables
from dgreid.paths import MANIFESTS
from dgreid.protocols.config import load_protocol
from dgreid.reporting import figures

grey = ImageConfig(**params.read("image", "64x32_grey")).train[2]
pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 4, 3), dtype=np.uint8)
always = grey.model_copy(update={"probability": 1.0})
changed = operations.module("grey").apply(pixels, always, np.random.default_rng(1))
assert (changed == changed[..., :1]).all() and not (pixels == pixels[..., :1]).all()

folder = Path("given/campus/images")
folder.mkdir(parents=True)
for identity in (1, 2, 60, 61):
    for camera in (1, 2):
        Image.fromarray(pixels[(identity + 3 * camera) % 40]).save(folder / f"{identity:04d}_{camera}_00.png")
assert main(["adopt", "campus", "--from", "given", "--copy"]) == main(["manifest", "dataset=campus"]) == 0
rows = read_manifest(MANIFESTS / "campus")
assert rows["official_role"].value_counts().to_dict() == {"train": 4, "query": 2, "gallery": 2}

protocol = load_protocol("campus")
assert [source.dataset for source in protocol.sources] == ["mini_market1501", "mini_cuhk02"]
assert protocol.targets[0].split_set == "campus/official"
assert len(tables.describe("m3l_losses").parts[0].rows) == 1
metrics = {run["run"]: run for run in (made_up.node("erm", seed, 50.0) for seed in (0, 1))}
assert "speed" in [figure.name for figure in figures.draw("mine", metrics, {}, Path("figures"))]
print("all")
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the project in which nothing is touched but the files that the page adds."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("src", "params", "tests", "docs", "data/reference", "data/splits"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, text in BLOCKS.items():
        assert not (folder / path).exists(), f"{path} exists already"
        (folder / path).write_text(text)
    return folder


def run(folder: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder / 'tests'}"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_index_links_to_every_page():
    linked = re.findall(r"\(extend/([\w.]+)[)#]", (ROOT / "docs/extend.md").read_text())
    assert set(linked) == set(PAGES)


def test_the_pages_have_an_example_of_each_kind():
    folders = {str(Path(path).parent) for path in BLOCKS}
    assert folders >= {"src/dgreid/methods", "src/dgreid/networks/backbones", "src/dgreid/networks/norms"}
    teacher = BLOCKS["src/dgreid/methods/mean_teacher.py"]
    assert len(teacher.splitlines()) < 60


def passed(folder: Path, *words: str) -> bool:
    """Whether pytest ran some tests of a project and none failed."""
    shown = run(folder, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *words)
    return bool(re.search(r"\d+ passed|\[100%\]", shown))


def test_the_product_test_takes_new_methods_by_itself(extended):
    mine = [Path(path).stem for path in BLOCKS if path.startswith("params/method/")]
    assert passed(extended, "tests/methods/test_all.py", "-k", " or ".join(mine))


def test_the_tests_of_the_extended_folders_hold(extended):
    assert passed(extended, *(f"tests/{name}" for name in OF_FOLDERS), "-k", f"not {' and not '.join(SLOW)}")


def test_a_transformer_trains_and_pools_its_token_and_what_it_lacks_is_refused(extended):
    refused = run(extended, "-c", VIT).splitlines()
    assert [line.split()[0] for line in refused] == ["erm_in", "metabin", "lda", "dualnorm", "snr", "qaconv"]


def test_an_operation_a_data_set_a_protocol_a_table_and_a_figure_need_nothing_else(extended):
    assert run(extended, "-c", PARTS).endswith("all\n")
