"""Say in one sentence what the machine lacked when an error was raised: room, memory, access to a file."""

import errno
import os
import re
from collections.abc import Iterator

from dgreid.errors import first_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the file cannot grow
REMEDIES = {
    errno.ENOSPC: "make room there, or link the folder to a larger disk, and run the same command again",
    errno.EDQUOT: "make room, or ask for a larger quota, and run the same command again",
    errno.EACCES: "get the right to read and write it, and run the same command again",
    errno.EEXIST: "a file lies where a folder belongs: move it away, and run the same command again",
    errno.ENOTDIR: "a file lies where a folder belongs: move it away, and run the same command again",
    errno.EISDIR: "a folder lies where a file belongs: move it away, and run the same command again",
    errno.ENAMETOOLONG: "shorten the name, and run the same command again",
    errno.EFBIG: "raise the limit (`ulimit -f unlimited`) and run the same command again",
}
MEMORY = re.compile(  # as torch, Arrow, the system's loader and dead child processes say it
    r"allocate memory|not enough memory|out of memory|bad.?alloc|malloc of size|without exception set"
    r"|(start new|launch worker) thread"
    r"|failed to map segment|DataLoader worker .*(killed|exited)|process pool was terminated",
    re.IGNORECASE,
)
UNWRITTEN = re.compile(
    r"inline_container\.cc|No space left on device|File too large"
)  # torch's, safetensors'


def remedy_of(error: OSError) -> str:
    """Say what to do about an error of the system."""
    return REMEDIES.get(error.errno, "fix that and run it again")


def full(error: BaseException) -> OSError | None:
    """Find the error that a full disk or a file's limit raised, in `error` or in what led to it."""
    return next((e for e in _chain(error) if isinstance(e, OSError) and e.errno in FULL), None)


def short_of_memory(error: BaseException) -> bool:
    """Whether `error`, or what led to it, is a lack of memory: Python's, Arrow's, torch's or CUDA's."""
    return any(_is_memory(each) for each in _chain(error))


def sentence(error: BaseException) -> str | None:
    """Say what was lacking and what to do; None for every other error, which is a mistake in the code."""
    if short_of_memory(error):
        return (
            "memory is short: close other programs, run fewer jobs at once (`--cores`), or take smaller "
            "batches (recipe.identities_per_domain), and run the same command again."
        )
    if cause := full(error) or (error if isinstance(error, OSError) and error.errno else None):
        where = f"{cause.filename}: " if cause.filename else ""
        return f"{where}{os.strerror(cause.errno)}; {remedy_of(cause)}."
    if isinstance(error, OSError):
        return f"{error}; fix that and run it again."
    if UNWRITTEN.search(str(error)):
        return f"a file could not be written to its end ({first_line(error)}); {REMEDIES[errno.ENOSPC]}."
    return None


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # not any exception: a sentence of ours may speak of memory
    libraries = isinstance(error, RuntimeError | ImportError | SystemError) or _is_of_arrow(error)
    return libraries and bool(MEMORY.search(str(error)))


def _is_of_arrow(error: BaseException) -> bool:
    return type(error).__module__.startswith("pyarrow")  # not imported, as it is slow


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
