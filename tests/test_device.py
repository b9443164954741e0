import subprocess
import sys

import torch

from dgreid import device

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
