import pytest

from dgreid.cli import main as cli
from dgreid.selection import costs
from helpers import random_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with params/ alone: nothing adopted, nothing trained, a machine of a known name."""
    random_project.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs, "machine", lambda: ("cpu", "abacus"))
    return tmp_path


@pytest.fixture
def made(project):
    """The same with the protocol `pair` made: 16 people of 4 images, two domains."""
    for words in ("adopt wide --from source/wide", "adopt other --from source/other"):
        assert cli.main(words.split()) == 0
    for words in ("manifest dataset=wide", "manifest dataset=other", "protocol protocol=pair"):
        assert cli.main(words.split()) == 0
    return project
