"""Choose the device that a process computes on: one job per GPU, without help from the scheduler."""

import fcntl
import logging
import os
import random
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from dgreid.errors import UserError
from dgreid.files import SPECIAL

log = logging.getLogger(__name__)
_held: list[int] = []  # open lock files of claimed GPUs; the locks end with the process


def claim() -> torch.device:
    """Claim the first CUDA device that no other dgreid process on this machine uses; the CPU without CUDA.

    If every GPU is taken, the first one is shared: slower, and it may run out of memory, but results are
    correct. A lock file that cannot be used, such as a link, is said, and its GPU is taken without it.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    for number in range(torch.cuda.device_count()):
        path = Path(tempfile.gettempdir()) / f"dgreid-cuda-{number}.lock"
        try:
            _held.append(lock(path))
        except BlockingIOError:
            continue
        except OSError as error:
            reason = error.strerror or error
            log.warning("%s cannot be locked (%s): another run may be using the same GPU.", path, reason)
        return torch.device("cuda", number)
    log.warning("every GPU is used by another run: this one shares the first (see profiles/default).")
    return torch.device("cuda", 0)


def lock(path: Path) -> int:
    """Lock a file that all users of a machine share; the lock lasts while the returned descriptor is open.

    A lock needs no permission to write, so the file of the first user serves everybody. It is not created
    where it exists: systems refuse that for a file of another user in a shared folder.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file is a link or no file, or cannot be opened.
    """
    how = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe would wait for its writer
    try:
        file = os.open(path, how)
    except FileNotFoundError:
        file = _create(path, how)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(None, f"it is {SPECIAL}")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _create(path: Path, how: int) -> int:
    try:
        file = os.open(path, how | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:  # another process was faster
        return os.open(path, how)
    os.fchmod(file, 0o644)  # whatever the umask, others must be able to open it
    return file


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


@contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """Make `dtype` the type of floating-point tensors that are created inside the block without one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


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
