"""Write files that are either complete or absent, look for the room they need, and hash files."""

import errno
import hashlib
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgreid.errors import UserError
from dgreid.trouble import full

ROOM = ".tmp-"  # how the names of our temporary folders begin
SPECIAL = "a pipe or a device"
FILES_SYNCED_SINGLY = 64  # of a folder; if it has more, the whole system is synced at once


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it gets the final name only if the block succeeds.

    Works for a file or a folder, which the block creates at the yielded path. An existing target is replaced.
    The content is on the disk before it gets the name, so that a power failure cannot leave zeros under it.
    A killed process leaves a `.tmp-*` entry, which is never mistaken for the result; the next write of the
    same target on the same host removes it.

    Raises:
        UserError: `path` is a pipe or a device, which a file must not replace.
        OSError: the disk is full or refuses; it names `path`, not the temporary one, whatever raised it.
    """
    path = Path(path)  # a link itself is replaced, not what it points to, such as DVC's cache
    check_plain(path)
    prefix = f"{ROOM}{path.name}-{socket.gethostname()}-"
    with _named(path.parent, path.parent / prefix):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, prefix)
        room = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=path.parent))
    try:
        part = room / path.name
        with _named(path, room):
            yield part
            if not part.is_symlink():
                _to_disk(part)
        if part.is_dir() and not part.is_symlink() and os.path.lexists(path):
            os.replace(path, room / "old")  # a folder cannot be replaced in one call
        os.replace(part, path)
        _sync(path.parent)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def check_plain(path: Path | str) -> None:
    """Refuse a pipe or a device, which would be replaced when written, and waited for when read.

    Raises:
        UserError: `path` is one; what does not exist passes.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # whoever opens it says more
        return
    check_mode(path, mode)


def check_mode(path: Path | str, mode: int) -> None:
    """Refuse as `check_plain` does, by the mode that `os.stat` or `os.fstat` gave.

    Raises:
        UserError: `path` is a pipe or a device.
    """
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path} is {SPECIAL}: give the name of a file, or move it away.")


@contextmanager
def _named(path: Path, hidden: Path) -> Iterator[None]:
    """Make an error about our temporary `hidden`, or about a disk that is full, name what the user knows."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if cause := full(error):  # libraries wrap it in errors of their own
            raise OSError(cause.errno, os.strerror(cause.errno), str(path)) from error
        if isinstance(error, OSError) and error.errno and str(error.filename).startswith(str(hidden)):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def _to_disk(part: Path) -> None:
    """Wait until a file, or all files of a folder, are on the disk and not only in memory."""
    if part.is_file():
        _sync(part)
        return
    entries = [Path(top, name) for top, _, names in os.walk(part) for name in ("", *names)]
    if len(entries) > FILES_SYNCED_SINGLY:
        os.sync()
        return
    for entry in entries:
        if not entry.is_symlink():
            _sync(entry)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot do it for a folder
            raise
    finally:
        os.close(handle)


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


def check_room(path: Path | str, size: int, what: str) -> None:
    """Refuse to begin if the disk that will hold `path` has not enough room.

    Args:
        path: the file or folder that will be written; it need not exist.
        size: bytes that it needs beside what is there now.
        what: what needs them, for the message.

    Raises:
        UserError: there is less room.
    """
    folder = next(
        each
        for each in (Path(path), *Path(os.path.abspath(path)).parents)
        if each.is_dir() and not any(name.startswith(ROOM) for name in each.parts)
    )
    free = shutil.disk_usage(folder).free
    if size > free:
        place = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else folder
        raise UserError(
            f"{what} needs {amount(size)} and {place} has {amount(free)} free: make room there, or link that "
            "folder to a larger disk."
        )


def amount(size: float) -> str:
    """Write a number of bytes with three useful digits.

    >>> amount(12_345_678), amount(999), amount(3_200_000_000)
    ('12.3 MB', '999 bytes', '3.2 GB')
    """
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            return f"{size:.{0 if size >= 99.95 else 1}f} {unit}"
    raise AssertionError


def sha256(path: Path | str) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path | str) -> str:
    """Compute the MD5 of a file, in hexadecimal; only for comparison with published checksums."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
