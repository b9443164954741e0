"""A small selection with made-up scores, and what the report makes of it."""

import json

import pandas as pd
import pytest
import yaml

from dgreid.paths import PROTOCOLS, QUERIES, RUNS
from dgreid.protocols.tables import SCHEMA as ROWS
from dgreid.reporting import differences, tables
from dgreid.reporting.site.material import Material
from helpers.metrics import node
from helpers.tables import write as write_table

FACTS = {
    "config": {
        "method": {"name": "erm", "losses": ["cross_entropy", "triplet"], "weights": {"triplet": 1.5}},
        "image": {"flip": 0.5, "jitter": None, "pad": True},
        "protocol": "toy",
        "seed": 0,
    },
    "data": {"sha256": "d" * 64, "content": {"viper": "e" * 64}, "counts": {"ids": 1200}},
    "config_sha256": "c" * 64,
    "versions": {"torch": "2.9"},
}
HISTORY = pd.DataFrame(
    {"iteration": [10, 20, 30], "epoch": 1.0, "learning_rate": 0.01, "cross_entropy": [3.0, 2.0, 1.5]}
)
SEARCHES = pd.DataFrame(  # a mean of 55 %, as the metrics have; the hard one is found at 9 and at 10
    {
        "query": ["d/p_07.png", "d/p_07.png", "d/p_08.png", "d/p_08.png"],
        "split": [0, 1, 0, 1],
        "average_precision": [0.1, 0.1, 1.0, 1.0],
        "first_hit": [9, 10, 1, 1],
    }
)


def selection(runs, name="toy", title="A <toy> & its title"):
    """A matrix that lists the runs."""
    keys = ("method", "backbone", "protocol", "recipe", "image", "seed")
    return {
        "name": name,
        "title": title,
        "datasets": {},
        "protocols": sorted({run["protocol"] for run in runs}),
        "runs": {run["run"]: {key: run[key] for key in keys} for run in runs},
    }


def blocks_of(runs):
    """What the tables of a selection of these runs show, without intervals over queries."""
    matrix, metrics = selection(runs), {run["run"]: run for run in runs}
    return tables.blocks(matrix, metrics, differences.differences(matrix, metrics, {}))


def material_of(runs, every=None, **more):
    """What the pages of a selection of these runs show; `every`: the runs in reports/metrics, if more."""
    metrics = {run["run"]: run for run in runs}
    return Material(selection(runs), metrics, every or runs, blocks_of(runs), **more)


@pytest.fixture
def make():
    return node


@pytest.fixture
def select():
    return selection


@pytest.fixture
def blocks(root):
    return blocks_of


@pytest.fixture
def gather():
    return material_of


@pytest.fixture
def run(root, make, tmp_path, monkeypatch):
    """A run of which nothing is kept but its metrics."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reference").symlink_to(root / "data" / "reference")
    monkeypatch.chdir(tmp_path)
    return make("erm", 0, 50.0, splits=(0.0, 0.0))


@pytest.fixture
def kept(run):
    """The same, with everything."""
    folder = RUNS / run["run"]
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(yaml.safe_dump(FACTS))
    (folder / "cost.json").write_text(json.dumps(run["cost"]))
    HISTORY.to_csv(folder / "history.csv", index=False)
    QUERIES.mkdir()
    frame = pd.concat(SEARCHES.assign(target=target) for target in run["targets"])
    frame.to_parquet(QUERIES / f"{run['run']}.parquet")
    rows = pd.DataFrame({"part": ["query", "gallery"], "dataset": "d", "pixel_sha256": [bytes(32)] * 2})
    rows["path"], rows["row"] = ["07.png", "09.png"], [4, 5]
    rows["image_id"], rows["identity"], rows["camera"] = ["p_07.png", "p_09.png"], [7, 9], [2, 3]
    write_table(PROTOCOLS / "toy/targets.parquet", rows, ROWS)
    return run
