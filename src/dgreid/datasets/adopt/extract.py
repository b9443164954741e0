"""Extracting archives of unknown origin: every member is checked before anything is written."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dgreid.errors import UserError
from dgreid.files import check_room
from dgreid.trouble import full

BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, NotImplementedError)
SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")


def extract(archive: Path, to: Path, title: str | None = None) -> None:
    """Extract a zip or tar archive into the new folder `to`.

    Args:
        archive: the file.
        to: the folder to create.
        title: what messages call the archive; its path by default.

    Raises:
        UserError: the archive is not whole or encrypted, or a member is a link, a device, or would be
            written outside `to`; in the last three cases nothing has been written.
    """
    archive, to = Path(archive), Path(to)
    title = title or str(archive)
    with _opened(archive, title, "extracted") as (members, open_member, _):
        _write(title, to, members, open_member)


def check_whole(archive: Path) -> None:
    """Read an archive to its end.

    Raises:
        UserError: it is truncated or damaged, or no archive at all.
    """
    with _opened(Path(archive), str(archive), "read") as (_, _, test):
        test()


@contextmanager
def _opened(archive: Path, title: str, what: str) -> Iterator[tuple]:
    """Open an archive: its checked members, a function to open one, and one that reads them all."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                yield _zip_members(title, file), file.open, lambda: _test_zip(file)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as file:
                yield _tar_members(title, file), file.extractfile, file.getmembers
        else:
            raise UserError(f"{title} is not a whole zip or tar archive{_guess(archive)}.")
    except BROKEN as error:
        if full(error):  # `whole` knows which folder is to be filled
            raise
        if isinstance(error, OSError) and error.errno:  # the disk failed, not the archive
            raise UserError(f"{title}: cannot be {what} ({error.strerror}).") from error
        raise UserError(f"{title}: truncated or damaged archive ({error}); get it again.") from error


def _test_zip(file: zipfile.ZipFile) -> None:
    if not any(member.flag_bits & 1 for member in file.infolist()) and (bad := file.testzip()):
        raise zipfile.BadZipFile(f"bad member {bad}")


def archives(folder: Path, depth: int = 4) -> list[Path]:
    """The archives in `folder` and up to `depth` - 1 folders below it, sorted."""
    patterns = ("/".join("*" * level) for level in range(1, depth + 1))
    files = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(
        path
        for path in files
        if path.name.lower().endswith(SUFFIXES)
        and not _is_clutter(path.relative_to(folder).as_posix())
        and path.is_file()
    )


def _zip_members(archive: str, file: zipfile.ZipFile) -> Iterator[tuple[str, int, zipfile.ZipInfo]]:
    for member in file.infolist():
        mode = stat.S_IFMT(member.external_attr >> 16)
        name = _checked_name(archive, member.filename)
        if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{archive}: refused, its member {member.filename!r} is a link or a device.")
        if member.flag_bits & 1:
            raise UserError(f"{archive} is encrypted; unpack it with its password and adopt the folder.")
        yield name, member.file_size, member


def _tar_members(archive: str, file: tarfile.TarFile) -> Iterator[tuple[str, int, tarfile.TarInfo]]:
    for member in file.getmembers():
        name = _checked_name(archive, member.name)
        if not (member.isreg() or member.isdir()):
            raise UserError(f"{archive}: refused, its member {member.name!r} is a link or a device.")
        yield (f"{name}/" if member.isdir() else name), member.size, member


def _checked_name(archive: str, name: str) -> str:
    """The member's path, with slashes for the backslashes that some Windows programs write."""
    name = name.replace("\\", "/")
    path = PurePosixPath(name)
    drive = path.parts[0][1:2] == ":" if path.parts else False
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise UserError(f"{archive}: refused, its member {name!r} would be written outside the folder.")
    return name


def _write(archive: str, to: Path, members: Iterator, opened) -> None:
    members = list(members)  # checks all before the first is written
    check_room(to, sum(size for _, size, _ in members), archive)
    to.mkdir(parents=True)
    for name, _, member in tqdm(
        members, desc=f"extracting {Path(archive).name}", unit=" files", disable=None
    ):
        if _is_clutter(name):
            continue
        path = to / name
        if name.endswith("/"):  # keep empty folders: they show that their images are missing
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(member) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)


def _is_clutter(name: str) -> bool:
    """Whether macOS added this to an archive; its ._* files look like images."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._")


def _guess(archive: Path) -> str:
    with open(archive, "rb") as file:
        head = file.read(200).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        return " but a web page; download the file itself"
    if head.startswith((b"pk\x03\x04", b"\x1f\x8b")):
        return " (truncated download?); get it again"
    return "; give the archive as downloaded, or the unpacked folder"
