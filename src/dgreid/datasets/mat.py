"""MATLAB files, of version 5 by SciPy and of version 7.3, which is HDF5.

Whatever such a file raises becomes one sentence, which tells a file that may not be read or is in use from
one that is damaged or another.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from dgreid.errors import UserError, first_line


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """Make one sentence of an error while `what` is read from a MATLAB file.

    Raises:
        UserError: the file cannot be read, or `what` is not in it.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        if not error.errno:
            raise UserError(f"{file}: damaged ({first_line(error)}); get it again.") from error
        raise _unreadable(file, error.errno) from error
    except Exception as error:  # a damaged or foreign file can raise any error
        said = first_line(error)
        raise UserError(
            f"{file}: not the released file, {what} is not in it ({said}); get it again."
        ) from error


def load_mat(file: Path, **options: bool) -> dict[str, Any]:
    """The variables of a MATLAB 5 file, with options of SciPy; use it and what it gives inside `reading`."""
    from scipy.io import loadmat  # late: only a few data sets need it

    with open(file, "rb") as content:  # SciPy's own errors do not keep the system's
        return loadmat(content, **options)


def open_hdf5(file: Path):
    """Open a MATLAB 7.3 file, once per process and version of the file: a handle must not cross a fork.

    Raises:
        UserError: it cannot be read, is in use by another program, or is no HDF5 file.
    """
    try:
        return _open(str(file), os.stat(file).st_mtime_ns, os.getpid())
    except OSError as error:
        if error.errno:  # HDF5 gives the system's number, if the system refused
            raise _unreadable(file, error.errno) from error
        raise UserError(f"{file}: not a whole MATLAB 7.3 (HDF5) file; get it again and adopt it.") from error


@lru_cache(maxsize=4)
def _open(file: str, version: int, process: int):
    import h5py  # late: only CUHK03 needs it

    return h5py.File(file, "r")


def _unreadable(file: Path, number: int) -> UserError:
    if number in (errno.EAGAIN, errno.EACCES) and os.access(file, os.R_OK):
        return UserError(f"{file} is in use by another program; close it there, and run this again.")
    return UserError(f"{file}: cannot be read ({os.strerror(number)}); fix that and run it again.")
