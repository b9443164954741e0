import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dgreid.selection import fronts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks as on Linux")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def started():
    """Start Python with some statements, in the project; it ends with the test."""
    processes = []

    def start(code, name="dgreid"):
        Path(name).write_text(f"import sys, time\nfrom dgreid.selection import fronts\n{code}")
        processes.append(subprocess.Popen([sys.executable, name], stdout=-1, stderr=-1, text=True))
        return processes[-1]

    yield start
    for each in processes:
        each.kill()
        each.communicate()


HOLDS = "fronts.{}()\nprint('ready', flush=True)\ntime.sleep(60)"


def test_nobody_works_in_a_new_project():
    assert fronts.other() is None


def test_a_front_end_is_named_by_its_process_and_command(started):
    process = started(HOLDS.format("lead"))
    assert process.stdout.readline() == "ready\n"
    assert fronts.other() == f"process {process.pid} (dgreid)"
    process.kill()
    process.wait()
    assert fronts.other() is None  # the kernel takes the lock back


def test_a_second_front_end_says_for_whom_it_waits_and_goes_on(started):
    first = started(HOLDS.format("lead"))
    first.stdout.readline()
    second = started("fronts.lead()\nprint('mine', flush=True)", "dvc")
    said = second.stderr.readline()
    assert said == f"process {first.pid} (dgreid) works in this project: waiting until it has ended.\n"
    first.kill()
    assert second.stdout.readline() == "mine\n"


def test_jobs_work_side_by_side_and_a_front_end_waits_for_all(started):
    jobs = [started(HOLDS.format("join"), name) for name in ("one", "two")]
    for job in jobs:
        assert job.stdout.readline() == "ready\n"
    assert fronts.other() == "a job of an earlier call, or of a `dvc`,"
    jobs[0].kill()
    jobs[0].wait()
    assert fronts.other() is not None
    jobs[1].kill()
    jobs[1].wait()
    assert fronts.other() is None


def locked_by(pid, cmd="/bin/dvc repro"):
    fronts.LOCKS.parent.mkdir(parents=True, exist_ok=True)
    fronts.LOCKS.write_text(json.dumps({"write": {"a": {"pid": pid, "cmd": cmd}}, "read": {}}))


def test_a_dvc_in_the_list_of_locks_counts_while_it_lives(started):
    process = started("print('ready', flush=True)\ntime.sleep(60)", "dvc")
    process.stdout.readline()
    locked_by(process.pid)
    assert fronts.other() == f"process {process.pid} (dvc repro)"
    process.kill()
    process.wait()
    assert fronts.other() is None


def test_a_process_that_is_no_dvc_of_this_project_does_not_count(started, tmp_path_factory, monkeypatch):
    process = started("print('ready', flush=True)\ntime.sleep(60)", "another")
    process.stdout.readline()
    assert not fronts.is_at_work(process.pid) and not fronts.is_at_work(os.getpid())
    mine = started("print('ready', flush=True)\ntime.sleep(60)", "dvc")
    mine.stdout.readline()
    assert fronts.is_at_work(mine.pid)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert not fronts.is_at_work(mine.pid)


@pytest.mark.parametrize("text", ["", "[]", '{"write": 1}', '{"write": {"a": 1}}', '{"read": {"a": [{}]}}'])
def test_a_damaged_list_of_locks_names_nobody(text):
    fronts.LOCKS.parent.mkdir(parents=True)
    fronts.LOCKS.write_text(text)
    assert fronts.other() is None
