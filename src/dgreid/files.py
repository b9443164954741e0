"""Write files that are either complete or absent, and hash files."""

import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it gets the final name only if the block succeeds.

    Works for a file or a folder, which the block creates at the yielded path. An existing target is replaced.
    A killed process leaves a `.tmp-*` entry, which is never mistaken for the result; the next write of the
    same target on the same host removes it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".tmp-{path.name}-{socket.gethostname()}-"
    _sweep(path.parent, prefix)
    room = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=path.parent))
    try:
        part = room / path.name
        yield part
        if part.is_dir() and not part.is_symlink() and os.path.lexists(path):
            os.replace(path, room / "old")  # a folder cannot be replaced in one call
        os.replace(part, path)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _sweep(folder: Path, prefix: str) -> None:
    """Remove leftovers of dead processes on this host; processes on other hosts cannot be checked."""
    left = re.compile(re.escape(prefix) + r"(?P<process>\d+)-\w+")
    for entry in sorted(folder.iterdir()):
        if (match := left.fullmatch(entry.name)) and not _is_alive(int(match["process"])):
            shutil.rmtree(entry, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 only checks
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # the process exists but belongs to another user
        return True
    return True


def sha256(path: Path | str) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path | str) -> str:
    """Compute the MD5 of a file, in hexadecimal; only for comparison with published checksums."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
