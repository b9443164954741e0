import subprocess
from pathlib import Path

import pytest

from dgreid.errors import UserError
from dgreid.inference.place import OWN, check


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with a few files of its own and of a user's."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for name in ("src/a.py", "data/b.parquet", "README.md", "mine/c.html", "found.parquet", ".git/d"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("data/empty").mkdir()
    Path("mine/link").symlink_to("../src")
    return tmp_path


def test_the_listed_folders_are_those_of_the_project():
    root = Path(__file__).parents[2]
    listed = subprocess.run(
        ["git", "ls-tree", "-d", "--name-only", "HEAD"], cwd=root, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("there is no git repository here")
    assert {name for name in listed.stdout.split() if not name.startswith(".")} <= OWN


@pytest.mark.parametrize(
    "out",
    [
        "src",
        "src/a.py",
        "data/b.parquet",
        "README.md",
        ".",
        ".git",
        "mine/link",
        "mine/link/a.py",
        "mine/../src",
    ],
)
def test_what_belongs_to_the_project_is_not_replaced(out):
    with pytest.raises(UserError, match=r"is there already and belongs to the project: give another name"):
        check(Path(out), lambda path: False)


@pytest.mark.parametrize(
    "out", ["new", "src/new", "data/empty", "mine", "mine/c.html", "found.parquet", "..", "/tmp"]
)
def test_other_places_are_a_users(out):
    check(Path(out), lambda path: False)


def test_what_the_same_command_wrote_may_be_replaced():
    seen = []
    check(Path("data/b.parquet"), lambda path: seen.append(path) or True)
    assert seen == [Path("data/b.parquet")]
