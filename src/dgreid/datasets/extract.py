"""Extracting an archive that a stranger packed: every member is checked before anything is written."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dgreid.errors import UserError

BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, NotImplementedError)
SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


def extract(archive: Path, to: Path) -> None:
    """Extract a zip or tar archive into the new folder `to`.

    Raises:
        UserError: not a whole archive, encrypted, or a member that is a link, a device, or would land
            outside `to`; in the last cases nothing has been written.
    """
    archive, to = Path(archive), Path(to)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                _write(archive, to, _zip_members(archive, file), file.open)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as file:
                _write(archive, to, _tar_members(archive, file), file.extractfile)
        else:
            raise UserError(f"{archive} is not a whole zip or tar archive{_guess(archive)}.")
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # the disk's fault, not the archive's
            raise UserError(f"{archive}: cannot be extracted to {to} ({error.strerror}).") from error
        raise UserError(f"{archive}: truncated or damaged archive ({error}); get it again.") from error


def only_archive(folder: Path) -> Path | None:
    """The one archive in `folder` or one folder below it, if there is exactly one."""
    if folder.is_symlink():  # a user's own folder is not written into
        return None
    files = [path for depth in ("*", "*/*") for path in sorted(folder.glob(depth))]
    found = [path for path in files if path.is_file() and path.suffix.lower() in SUFFIXES]
    return found[0] if len(found) == 1 else None


def _zip_members(archive: Path, file: zipfile.ZipFile) -> Iterator[tuple[str, int, zipfile.ZipInfo]]:
    for member in file.infolist():
        mode = stat.S_IFMT(member.external_attr >> 16)
        _check_name(archive, member.filename)
        if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{archive}: refused, its member {member.filename!r} is a link or a device.")
        if member.flag_bits & 1:
            raise UserError(f"{archive} is encrypted; unpack it with its password and adopt the folder.")
        if not member.is_dir():
            yield member.filename, member.file_size, member


def _tar_members(archive: Path, file: tarfile.TarFile) -> Iterator[tuple[str, int, tarfile.TarInfo]]:
    for member in file.getmembers():
        _check_name(archive, member.name)
        if not (member.isreg() or member.isdir()):
            raise UserError(f"{archive}: refused, its member {member.name!r} is a link or a device.")
        if member.isreg():
            yield member.name, member.size, member


def _check_name(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    drive = path.parts[0][1:2] == ":" if path.parts else False
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise UserError(f"{archive}: refused, its member {name!r} would be written outside the folder.")


def _write(archive: Path, to: Path, members: Iterator, opened) -> None:
    members = list(members)  # all are checked before the first is written
    size, free = sum(size for _, size, _ in members), shutil.disk_usage(_existing(to)).free
    if size > free:
        raise UserError(f"{archive} needs {size / 1e9:.1f} GB and {to} has {free / 1e9:.1f} GB free.")
    to.mkdir(parents=True)
    for name, _, member in tqdm(members, desc=f"extracting {archive.name}", unit=" files", disable=None):
        if _is_clutter(name):
            continue
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(member) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)


def _is_clutter(name: str) -> bool:
    """What macOS adds to archives; its ._* files look like images."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._")


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.absolute().parent)


def _guess(archive: Path) -> str:
    with open(archive, "rb") as file:
        head = file.read(200).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        return " but a web page; download the file itself"
    if head.startswith((b"pk\x03\x04", b"\x1f\x8b")):
        return " (truncated download?); get it again"
    return "; give the archive as downloaded, or the unpacked folder"
