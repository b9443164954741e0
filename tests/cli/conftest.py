import pytest

from helpers import random_project


@pytest.fixture
def crops(root, tmp_path, monkeypatch):
    """A project in tmp_path with two data sets of a few random crops in VIPeR's and Market's layout."""
    random_project.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
