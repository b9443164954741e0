import re
import subprocess
import time
from pathlib import Path

import pytest

from dgreid import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of one commit, as the working folder."""
    for name in ("src/code.py", "params/rate.yaml", "params/matrix.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    monkeypatch.chdir(tmp_path)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t")
    for words in (["init", "-q", "."], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def head():
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_that_of_the_checkout(checkout):
    assert re.fullmatch("[0-9a-f]{7,}", provenance.commit()) and provenance.commit() == head()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        provenance.commit()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05  # a training must not wait for its label


def test_committed_files_are_those_of_the_commit_whatever_lies_in_the_folder(checkout):
    (checkout / "src/code.py").write_text("two")
    (checkout / "src/other.py").write_text("new")
    assert provenance.committed("HEAD", Path("src")) == (head(), {"code.py": b"one"})
    assert provenance.committed("HEAD", Path("reports/metrics")) == (head(), {})


@pytest.mark.parametrize("revision", ["HEAD~1", "nosuch", "--help", ""])
def test_what_is_no_commit_has_no_committed_files(checkout, revision):
    assert provenance.committed(revision, Path("src")) is None


def test_without_git_there_are_no_committed_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance.committed("HEAD", Path("src")) is None


@pytest.mark.parametrize("name", ["src/code.py", "params/rate.yaml"])
def test_a_plus_says_that_code_or_parameters_differ(checkout, name):
    (checkout / name).write_text("two")
    assert provenance.commit() == head() + "+"
    (checkout / name).write_text("one")
    assert provenance.commit() == head()


@pytest.mark.parametrize("name", ["src/methods/new.py", "params/method/new.yaml"])
def test_a_plus_says_that_code_or_parameters_are_new(checkout, name):
    subprocess.run(["git", "config", "status.showUntrackedFiles", "no"], check=True)  # as some have it
    (checkout / name).parent.mkdir()
    (checkout / name).write_text("one")
    assert provenance.commit() == head() + "+"
    subprocess.run(["git", "add", name], check=True)
    assert provenance.commit() == head() + "+"
    (checkout / ".gitignore").write_text("new.*")
    subprocess.run(["git", "rm", "-q", "--cached", name], check=True)
    assert provenance.commit() == head()  # ignored


def test_a_plus_says_that_code_is_gone(checkout):
    (checkout / "src/code.py").unlink()
    assert provenance.commit() == head() + "+"


def test_other_files_and_the_selection_make_no_difference(checkout):
    (checkout / "notes.txt").write_text("two")
    (checkout / "new.txt").write_text("two")
    (checkout / "params/matrix.yaml").write_text("two")  # what `dgreid select` does
    assert provenance.commit() == head()
    (checkout / "params/matrix.yaml").unlink()
    assert provenance.commit() == head()
    (checkout / "src/code.py").write_text("two")
    assert provenance.commit() == head() + "+"


def test_where_there_is_no_checkout_the_commit_is_unknown(checkout, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(checkout / "src")  # a folder inside somebody's repository is not a checkout of it
    assert provenance.commit() is None
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    assert provenance.commit() is None
    subprocess.run(["git", "init", "-q", "."], check=True)
    assert provenance.commit() is None  # no commit yet
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None  # no git


def test_the_date_is_utc_to_the_second():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", provenance.now())
