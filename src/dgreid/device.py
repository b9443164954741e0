"""Choose the device that a process computes on: one job per GPU, without help from the scheduler."""

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
_held: list[FileLock] = []  # locks of claimed GPUs, held until the process ends


def claim() -> torch.device:
    """Claim the first CUDA device that no other dgreid process on this machine uses; the CPU without CUDA.

    If every GPU is taken, the first one is shared: slower, and it may run out of memory, but results are
    correct.
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
    log.warning("every GPU is used by another run: this one shares the first (see profiles/default).")
    return torch.device("cuda", 0)


def prepare(seed: int) -> torch.device:
    """Seed all generators, request deterministic kernels, set the threads; return the device to use."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on CUDA
    device = claim()
    torch.set_num_threads(threads())
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32; mixed precision is bfloat16
    # filling costs time, and nothing here reads uninitialised memory
    torch.utils.deterministic.fill_uninitialized_memory = False
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return device


def threads() -> int:
    """Return the number of threads this process may use: DGREID_THREADS, which the scheduler sets, else 1.

    The default is 1 so that DVC and Snakemake give the same bits: sums depend on the number of threads.

    Raises:
        UserError: DGREID_THREADS is not a positive number.
    """
    value = os.environ.get("DGREID_THREADS", "1")
    if not (value.isdecimal() and int(value)):
        raise UserError(f"DGREID_THREADS={value} in the environment is not a number of threads: 1 or more.")
    return int(value)
