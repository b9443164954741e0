"""DVC on a project of three small stages, killed and left in the states that a kill leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from dgreid.errors import UserError
from dgreid.selection import guard
from helpers.stages import STAGES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks and kills as on Linux")

AIMED = """
import json, os, ruamel.yaml
from dvc import rwlock

def aimed(plain, stream_of, name):
    def write(*arguments, **options):
        stream = stream_of(arguments)
        if name in str(getattr(stream, "name", "")) and not os.path.exists("hit"):
            open("hit", "w").close()
            stream.write("schema: '2.0'\\nstages:\\n  on")
            stream.flush()
            os.kill(os.getpid(), SIGNAL)
        return plain(*arguments, **options)
    return write

ruamel.yaml.YAML.dump = aimed(ruamel.yaml.YAML.dump, lambda a: a[2], "dvc.lock")
if FILE == "rwlock":
    rwlock.json.dump = aimed(json.dump, lambda a: a[1], "rwlock")
"""


def ran() -> list[str]:
    return Path("ran").read_text().split()


def goes_on(call) -> None:
    """One further call finishes, runs nothing twice, and all is recorded."""
    done = call("repro")
    assert done.returncode == 0, done.said
    assert Path("more.txt").read_text() == "1" and sorted(ran()) == ["one", "two"]
    assert "up to date" in call("status").said
    assert not [path for path in Path().rglob(".tmp-*")]


@pytest.mark.parametrize("file", ["dvc.lock", "rwlock"])
@pytest.mark.parametrize("signal", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_signal_while_a_state_file_is_written(dvc, file, signal):
    aimed = AIMED.replace("SIGNAL", str(int(signal))).replace("FILE", repr(file))
    assert dvc("repro", before=aimed).returncode != 0
    assert Path("hit").exists()
    goes_on(dvc)


def entry(pid: int) -> str:
    return json.dumps(
        {"write": {str(Path("two.txt").absolute()): {"pid": pid, "cmd": "dvc repro"}}, "read": {}}
    )


def zombie() -> int:
    return os.posix_spawn("/bin/true", ["true"], {})  # nobody asks for its status


@pytest.mark.parametrize(
    "left",
    [
        {"dvc.lock": ""},
        {"dvc.lock": "schema: '2.0'\nstages:\n  one:\n    cmd: \"echo"},
        {"dvc.lock": "schema:", ".dvc/tmp/dvc.lock": "schema: '2.0'\nstages: 5\n"},
        {"dvc.lock": "schema: '2.0'\nstages:\n  one:\n    cmd: echo\n    deps:\n    - path: in"},
        {"dvc.lock": b"\xff\xfe\x00", ".dvc/tmp/rwlock": b"\xff\xfe\x00"},
        {".dvc/tmp/rwlock": ""},
        {".dvc/tmp/rwlock": '{"read": {}, "wri'},
        {".dvc/tmp/rwlock": "[]"},
        {".dvc/tmp/rwlock": entry(1)},
        {".dvc/tmp/rwlock": entry(2**22 - 1)},
        {".dvc/tmp/rwlock": entry(os.getpid())},
        {".dvc/tmp/rwlock": zombie},
        {"dvc.lock": "", ".dvc/tmp/dvc.lock": "", ".dvc/tmp/rwlock": ""},
    ],
)
def test_what_a_dvc_of_another_installation_leaves(dvc, left):
    assert dvc("repro").returncode == 0
    for name, text in left.items():
        text = entry(text()) if callable(text) else text
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    Path("two.txt").unlink()
    goes_on(dvc)


def test_a_merge_conflict_is_for_the_user(dvc):
    Path("dvc.lock").write_text("<<<<<<< ours\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> theirs\n")
    text = Path("dvc.lock").read_text()
    done = dvc("repro")
    assert done.returncode == 1 and done.said.startswith("error: dvc.lock has conflicts of a merge")
    assert Path("dvc.lock").read_text() == text


def test_a_merge_of_two_branches_that_ran_something_goes_on_with_either_side(dvc):
    who = ["-c", "user.name=t", "-c", "user.email=t"]

    def git(*words, check=True):
        return subprocess.run(["git", *who, *words], check=check, capture_output=True, text=True).stdout

    def run(content):
        Path("in.txt").write_text(content)  # which git ignores
        assert dvc("repro").returncode == 0
        git("add", "dvc.lock")
        git("commit", "-qm", content)

    git("add", "-A")
    run("1")
    git("checkout", "-qb", "other")
    run("2")
    git("checkout", "-q", "-")
    run("3")
    git("merge", "other", check=False)
    done = dvc("repro")
    assert done.returncode == 1 and "dvc.lock has conflicts of a merge: take one side" in done.said
    git("checkout", "--theirs", "dvc.lock")
    before = Path("ran").read_text()
    assert dvc("repro").returncode == 0
    assert Path("one.txt").read_text() == "3" and Path("ran").read_text() == before  # from the cache


def test_a_failed_stage_leaves_the_outputs_as_they_were(dvc):
    dvc("repro")
    Path("more.txt").write_text("by hand")
    Path("in.txt").write_text("2")
    Path("fail").touch()
    assert dvc("repro").returncode != 0
    assert Path("two.txt").read_text() == "1" and Path("more.txt").read_text() == "by hand"
    Path("fail").unlink()
    assert dvc("repro").returncode == 0
    assert Path("two.txt").read_text() == Path("more.txt").read_text() == "2"
    assert not list(Path(".dvc/tmp/kept").iterdir())


def test_an_edit_while_a_stage_runs_is_not_what_its_result_was_made_from(dvc):
    Path("two.sh").write_text("cp one.txt two.txt; cp one.txt more.txt; echo '# changed' >> two.sh\n")
    assert dvc("repro").returncode == 0
    assert "two.sh" in dvc("status").said
    assert dvc("repro", "--force").returncode == 0
    assert "two.sh" in dvc("status").said


def test_a_changed_input_is_run_and_an_earlier_one_comes_from_the_cache(dvc):
    for value in "1", "2", "1":
        Path("in.txt").write_text(value)
        assert dvc("repro").returncode == 0
        assert Path("more.txt").read_text() == value
    assert ran() == ["one", "two"] * 2


def test_the_second_call_waits_for_the_first_and_for_what_it_left(dvc):
    Path("two.sh").write_text(
        "touch here; while [ ! -e on ]; do sleep 0.05; done; tee two.txt more.txt < one.txt"
    )
    first = dvc("repro", wait=False)
    while not Path("here").exists():
        time.sleep(0.05)
    second = dvc("repro", wait=False)
    said = second.stdout.readline()
    assert f"process {first.pid} (dvc repro) works in this project: waiting" in said
    Path("on").touch()
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert ran() == ["one", "two"]


def test_without_git_dvc_does_without(dvc):
    shutil.rmtree(".git")
    done = dvc("repro")
    assert done.returncode == 0 and "there is no git repository here" in done.said
    assert "there is no git" not in dvc("status").said
    goes_on(dvc)


def test_outputs_may_lie_on_another_disk(dvc, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk")
    stage = {"cmd": "echo three >> ran; echo 3 > far/a.txt", "deps": ["in.txt"], "outs": ["far/a.txt"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {**STAGES, "three": stage}}))
    Path("far").symlink_to(elsewhere)
    assert dvc("repro").returncode == 0
    assert (elsewhere / "a.txt").read_text() == "3\n" and Path("far").is_symlink()
    Path("in.txt").write_text("2")
    assert dvc("repro").returncode == 0 and ran().count("three") == 2


@pytest.mark.parametrize(
    ("line", "warned"),
    [("from dgreid.selection.guard import main", False), ("from dvc.cli import main", True)],
)
def test_another_dvc_in_the_shell_is_said_in_one_line(tmp_path, monkeypatch, caplog, line, warned):
    (tmp_path / "dvc").write_text(f"#!/usr/bin/python3\n{line}\nmain()\n")
    (tmp_path / "dvc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    guard.warn_of_another_dvc()
    assert [f"{tmp_path}/dvc is a plain DVC" in each for each in caplog.messages] == [True] * warned
    (tmp_path / "dvc").unlink()
    guard.warn_of_another_dvc()  # there is none
    assert len(caplog.messages) == warned


def test_an_odd_name_cannot_break_the_line_of_an_error(monkeypatch, capsys):
    def enter(words):
        raise UserError("a\nb\x1b[31m: fix it.")

    monkeypatch.setattr(guard, "_enter", enter)
    monkeypatch.setattr(guard.Path, "is_file", lambda path: True)
    assert guard.main(["status"]) == 1
    assert capsys.readouterr().err == "error: a\\nb\\x1b[31m: fix it.\n"
