"""Which device a process computes on: one job per GPU, without the scheduler having to choose."""

import logging
import tempfile
from pathlib import Path

import torch
from filelock import FileLock, Timeout

log = logging.getLogger(__name__)
_held: list[FileLock] = []  # for as long as the process lives


def claim() -> torch.device:
    """The first CUDA device that no other dgreid process of this machine holds; the CPU where there is none.

    Where all are held, the first is shared: slower, and perhaps short of memory, but right.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    for number in range(torch.cuda.device_count()):
        lock = FileLock(Path(tempfile.gettempdir()) / f"dgreid-cuda-{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _held.append(lock)
        return torch.device("cuda", number)
    log.warning("every GPU is taken by another run: sharing the first (see profiles/default).")
    return torch.device("cuda", 0)
