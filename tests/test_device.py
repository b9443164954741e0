import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from dgreid import device
from dgreid.errors import UserError

CLAIM = """
import sys, tempfile, torch
from dgreid import device
tempfile.tempdir = sys.argv[1]
torch.cuda.is_available, torch.cuda.device_count = (lambda: True), (lambda: 2)
print(device.claim(), flush=True)
sys.stdin.read()
"""


def test_without_a_gpu_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.claim() == torch.device("cpu")


def test_two_processes_take_two_gpus_and_a_third_shares(tmp_path):
    started, seen = [], []
    for _ in range(3):
        words = [sys.executable, "-c", CLAIM, str(tmp_path)]
        started.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        seen.append(started[-1].stdout.readline().strip())
    for process in started:
        process.communicate()
    assert seen == ["cuda:0", "cuda:1", "cuda:0"]
    after = subprocess.run([*words], input="", capture_output=True, text=True)  # locks end with their process
    assert after.stdout.strip() == "cuda:0"


def claimed(folder, before=""):
    """What a process claims that first runs `before`, and what it says."""
    text = CLAIM.replace("torch.cuda.is_available,", f"{before}\ntorch.cuda.is_available,", 1)
    done = subprocess.run(
        [sys.executable, "-c", text, str(folder)], input="", capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.strip(), done.stderr


def test_a_lock_file_of_another_user_serves_as_well(tmp_path):
    path = tmp_path / "dgreid-cuda-0.lock"
    os.close(device.lock(path))
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o444)  # as for a user who may only read it
    held = device.lock(path)
    assert claimed(tmp_path)[0] == "cuda:1"
    os.close(held)
    assert claimed(tmp_path)[0] == "cuda:0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_two_users_use_the_same_lock():
    become = "import os; os.umask(0o077); os.setegid({0}); os.seteuid({0})"
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o1777)
        assert claimed(folder, become.format(1234)) == ("cuda:0", "")
        assert (folder / "dgreid-cuda-0.lock").stat().st_uid == 1234
        assert claimed(folder, become.format(1235)) == ("cuda:0", "")
        held = device.lock(folder / "dgreid-cuda-0.lock")
        assert claimed(folder, become.format(1235)) == ("cuda:1", "")
        os.close(held)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_file_that_is_none_is_said_and_not_waited_for(tmp_path, kind):
    path, victim = tmp_path / "dgreid-cuda-0.lock", tmp_path / "victim"
    make = {"link": lambda: path.symlink_to(victim), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}
    make[kind]()
    words, said = claimed(tmp_path)
    assert words == "cuda:0" and "cannot be locked" in said and not victim.exists()


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5", ""])
def test_threads_must_be_a_number(monkeypatch, value):
    monkeypatch.setenv("DGREID_THREADS", value)
    with pytest.raises(UserError, match=f"DGREID_THREADS={value} .*1 or more"):
        device.threads()


def test_threads_are_one_unless_told(monkeypatch):
    monkeypatch.delenv("DGREID_THREADS", raising=False)
    assert device.threads() == 1
    monkeypatch.setenv("DGREID_THREADS", "3")
    assert device.threads() == 3
