"""Which device a process computes on: one job per GPU, without the scheduler having to choose."""

import logging
import os
import random
import tempfile
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout

from dgreid.errors import UserError

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


def prepare(seed: int) -> torch.device:
    """Seed everything, ask for deterministic kernels, set the threads; the device to train on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on CUDA
    device = claim()
    torch.set_num_threads(threads())
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32; mixed precision is bfloat16
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, hides nothing here
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return device


def threads() -> int:
    """Threads this process may use: DGREID_THREADS, set by the scheduler; one when unset.

    One by default, so that both front ends give the same bits: sums depend on the thread count.
    """
    value = os.environ.get("DGREID_THREADS", "1")
    if not (value.isdecimal() and int(value)):
        raise UserError(f"DGREID_THREADS={value} in the environment is not a number of threads: 1 or more.")
    return int(value)
