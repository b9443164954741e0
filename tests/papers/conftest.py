import pytest

from dgreid.papers import tables as papers
from helpers.metrics import node


@pytest.fixture
def make():
    return node


@pytest.fixture
def known(root):
    """The papers' published numbers."""
    return papers.Reference.read()
