import subprocess
import sys

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
