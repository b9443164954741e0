"""Extracting archives of unknown origin: every member is checked before anything is written."""

import errno
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dgreid.datasets.adopt.foreign import explain, is_part, stated_members
from dgreid.datasets.walk import is_hidden
from dgreid.errors import UserError
from dgreid.files import check_room
from dgreid.trouble import full, remedy_of

BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, RuntimeError),
    *(ValueError, struct.error, MemoryError),  # of damaged records
)
SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# Images hardly shrink, so an archive that unpacks to much more than itself holds no data set but a bomb.
GROWTH, SMALL = 50, 2 * 10**9  # times its own size; bytes that any archive may unpack to
LONG_NAME = "a name in it is longer than this system takes: unpack it with shorter ones, adopt the folder"
END = 1024  # bytes of zeros with which a tar ends


def extract(archive: Path, to: Path, title: str | None = None, bound: int | None = None) -> None:
    """Extract a zip or tar archive into the new folder `to`.

    Args:
        archive: the file.
        to: the folder to create.
        title: what messages call the archive; its path by default.
        bound: bytes that it may unpack to; `allowed(archive)` by default.

    Raises:
        UserError: the archive is not whole, is encrypted, or is packed in a way that Python cannot read; it
            would unpack to more than `bound` or the disk holds; or a member is a link, a device, there twice,
            or would be written outside `to`. Except for damage inside a member nothing has been written.
    """
    archive, to = Path(archive), Path(to)
    title, bound = title or str(archive), bound or allowed(archive)
    with _opened(archive, title, bound, "extracted") as (members, open_member, _):
        _write(title, to, members, open_member)


def allowed(archive: Path) -> int:
    """Return how many bytes an archive may unpack to, the archives in it included."""
    return max(SMALL, GROWTH * archive.stat().st_size)


def check_whole(archive: Path) -> None:
    """Read an archive to its end.

    Raises:
        UserError: it is truncated or damaged, or no archive at all.
    """
    archive = Path(archive)
    with _opened(archive, str(archive), allowed(archive), "read") as (_, _, test):
        test()


@contextmanager
def _opened(archive: Path, title: str, bound: int, what: str) -> Iterator[tuple]:
    """Open an archive: its checked members, a function to open one, and one that reads them all."""
    try:
        if zipfile.is_zipfile(archive) and not is_part(archive):
            with zipfile.ZipFile(archive) as file:
                _check_directory(archive, file)
                yield _zip_members(title, file, bound), file.open, lambda: _test_zip(file)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as file:
                members = _tar_members(title, file, bound)
                yield members, file.extractfile, lambda: list(members)
        else:
            raise UserError(f"{title} is not a whole zip or tar archive{explain(archive)}.")
    except BROKEN as error:
        if full(error):  # `whole` knows which folder is to be filled
            raise
        if isinstance(error, OSError) and error.errno:  # the disk failed, not the archive
            remedy = LONG_NAME if error.errno == errno.ENAMETOOLONG else remedy_of(error)
            raise UserError(f"{title}: cannot be {what} ({error.strerror}); {remedy}.") from error
        raise UserError(f"{title}: truncated or damaged archive ({error}); get it again.") from error


def _check_directory(archive: Path, file: zipfile.ZipFile) -> None:
    """Refuse a zip whose directory is damaged: Python would skip the damaged entry and all behind it."""
    stated = stated_members(archive)
    if stated is not None and stated != len(file.infolist()) & 0xFFFF:
        raise zipfile.BadZipFile(f"its directory has {len(file.infolist())} of {stated} files")


def _test_zip(file: zipfile.ZipFile) -> None:
    readable = all(not member.flag_bits & 1 and member.compress_type in METHODS for member in file.infolist())
    if readable and (bad := file.testzip()):
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


def _zip_members(
    archive: str, file: zipfile.ZipFile, bound: int
) -> Iterator[tuple[str, int, zipfile.ZipInfo]]:
    size = 0
    for member in file.infolist():
        mode = stat.S_IFMT(member.external_attr >> 16)
        name = _checked_name(archive, member.filename)
        if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{archive}: refused, its member {member.filename!r} is a link or a device.")
        if member.flag_bits & 1:
            raise UserError(f"{archive} is encrypted; unpack it with its password and adopt the folder.")
        if member.compress_type not in METHODS:
            method = {9: "deflate64", 93: "zstd", 95: "xz"}.get(member.compress_type, member.compress_type)
            raise UserError(
                f"{archive} is packed by the method {method}, which Python cannot read; unpack it with "
                "another program and adopt the folder."
            )
        size += member.file_size
        _check_size(archive, size, bound)
        yield name, member.file_size, member


def _tar_members(
    archive: str, file: tarfile.TarFile, bound: int
) -> Iterator[tuple[str, int, tarfile.TarInfo]]:
    size = 0
    for (
        member
    ) in file:  # check a member's size before the next one is read, because skipping a member unpacks it
        name = _checked_name(archive, member.name)
        if not (member.isreg() or member.isdir()):
            raise UserError(f"{archive}: refused, its member {member.name!r} is a link or a device.")
        size += member.size
        _check_size(archive, size, bound)
        yield (f"{name}/" if member.isdir() else name), member.size, member
    _check_end(file)


def _check_end(file: tarfile.TarFile) -> None:
    """Refuse a tar that does not end with zeros: Python takes a damaged header for the end."""
    file.fileobj.seek(file.offset)
    end = file.fileobj.read(END)
    if len(end) < END:
        raise tarfile.ReadError("it ends too early")
    while end:  # to the end of the stream, where compressed ones have their checksum
        if any(end):
            raise tarfile.ReadError("a header in it is damaged")
        end = file.fileobj.read(1 << 20)


def _check_size(archive: str, size: int, bound: int) -> None:
    if size > bound:
        raise UserError(
            f"{archive}: refused, it would unpack to more than {bound / 1e9:.3g} GB, far more than its own "
            "size; if you trust it, unpack it and adopt the folder."
        )


def _checked_name(archive: str, name: str) -> str:
    """The member's path, with slashes for the backslashes that some Windows programs write."""
    name = name.replace("\\", "/")
    path = PurePosixPath(name)
    drive = path.parts[0][1:2] == ":" if path.parts else False
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise UserError(f"{archive}: refused, its member {name!r} would be written outside the folder.")
    return name


def _write(archive: str, to: Path, members: Iterator, opened) -> None:
    members = [each for each in members if not _is_clutter(each[0])]  # checks all before the first is written
    names = Counter(PurePosixPath(name) for name, *_ in members if not name.endswith("/"))
    if twice := [str(name) for name, number in names.items() if number > 1]:
        raise UserError(
            f"{archive}: refused, it holds {twice[0]} twice ({len(twice)} such files); unpack it, and adopt "
            "the folder."
        )
    check_room(to, sum(size for _, size, _ in members), archive)
    to.mkdir(parents=True)
    for name, _, member in tqdm(
        members, desc=f"extracting {Path(archive).name}", unit=" files", disable=None
    ):
        path = to / name
        if name.endswith("/"):  # keep empty folders: they show that their images are missing
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(member) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)


def _is_clutter(name: str) -> bool:
    """Whether a system or another program added this to an archive; macOS' ._* files look like images."""
    return any(is_hidden(part) for part in PurePosixPath(name).parts if part != ".")
