"""A small selection with made-up scores, and what the report makes of it."""

import pytest

from dgreid.reporting import differences, tables
from dgreid.reporting.site.material import Material
from helpers.metrics import node


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
