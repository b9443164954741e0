import pytest

import tiny_metrics
from dgreid.papers import tables as papers


@pytest.fixture
def make():
    return tiny_metrics.node


@pytest.fixture
def known(root):
    """The papers' published numbers."""
    return papers.Reference.read()
