import contextlib
import subprocess
import sys

import pytest
import yaml

from dgreid import schema
from dgreid.cli import main as cli
from dgreid.imports import Sources
from dgreid.selection import code, costs, matrix
from helpers import random_project
from helpers.copied import BLOCKS, ROOT, Project
from helpers.stages import STAGES


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


@pytest.fixture
def dvc(tmp_path, monkeypatch):
    """Run a command of `dvc`, as this package installs it, in a project; `before` is Python run first."""
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (tmp_path / "params").mkdir()
    (tmp_path / "params/matrix.yaml").write_text("")  # by which a project of this package is known
    (tmp_path / "in.txt").write_text("1")
    (tmp_path / "two.sh").write_text("cp one.txt two.txt; [ -e fail ] && exit 1; cp one.txt more.txt")
    (tmp_path / ".gitignore").write_text("*.txt\n")
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")

    def call(*words: str, before: str = "", wait: bool = True):
        script = tmp_path / "dvc"
        script.write_text(
            f"import sys\n{before}\nfrom dgreid.selection.guard import main\nsys.exit(main())\n"
        )
        started = subprocess.Popen(
            [sys.executable, "dvc", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        if not wait:
            return started
        started.said = started.communicate(timeout=120)[0]
        return started

    return call


@pytest.fixture(scope="session")
def selected():
    """The selection of BLOCKS, its items as src/ and params/ have them, and its composed runs."""
    with contextlib.chdir(ROOT):
        chosen = matrix.expand(
            schema.validate(matrix.Selection, {"name": "mine", "title": "", "blocks": BLOCKS})
        )
        composed = dict(code.configs(chosen["runs"]))
        return chosen, dict(code.items(chosen, Sources(), composed)), composed


@pytest.fixture
def copied(tmp_path, monkeypatch, selected):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, selected[0], selected[2])
