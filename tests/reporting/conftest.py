"""A small selection with made-up scores."""

import pytest

import tiny_metrics
from dgreid.papers import tables as papers


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


@pytest.fixture
def make():
    return tiny_metrics.node


@pytest.fixture
def select():
    return selection


@pytest.fixture
def known(root):
    """The papers' printed numbers."""
    return papers.Reference.read()
