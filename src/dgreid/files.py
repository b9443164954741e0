"""Files that are either whole or absent, and their hashes."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the final name only if the block succeeds.

    Works for a file or a folder (create one at the yielded path). An existing target is replaced.
    A killed process leaves a `.tmp-*` entry, which nothing takes for the result.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".tmp-{path.name}-", dir=path.parent))
    try:
        part = room / path.name
        yield part
        if part.is_dir() and path.exists():
            os.replace(path, room / "old")  # a folder cannot be replaced in one call
        os.replace(part, path)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path | str) -> str:
    """The MD5 of a file, as hex; only to compare with published checksums."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
