"""What a user points at, an archive or a folder: found, hashed, fetched and unpacked."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from dgreid.datasets import looks_like
from dgreid.datasets.adopt import extract
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.records import Incomplete, Places, list_images, root_above
from dgreid.errors import UserError

log = logging.getLogger(__name__)
BLOCK = 1 << 22  # bytes read at a time
NESTED = 3  # archives within archives


def locate(module: ModuleType, config: DatasetConfig, source: Path, mode: str) -> Path:
    """What to adopt: `source`, the root around it if it is a part of one, or the one archive in it.

    Raises:
        UserError: a folder that holds neither the data set nor an archive; says what it looks like.
    """
    if not source.is_dir():
        return _around(module, source) or source
    try:
        module.find(source)
        return source
    except UserError as error:
        found = _above(module, config, source, mode) or _archive_in(config, source)
        if found is not None:
            return found
        said, parent = str(error).removesuffix("."), Path(os.path.abspath(source)).parent
        if not isinstance(error, Incomplete) and any("/" not in name for name in list_images(source)):
            said += f"; if these are its images, give their parent {parent}, whole and named as published"
        raise UserError(said + where_from(error, config) + guess(source, module.TITLE)) from error


def _around(module: ModuleType, file: Path) -> Path | None:
    """The root whose container `file` is, cuhk-03.mat for one."""
    file = Path(os.path.abspath(file))
    for root in file.parents[:2]:
        if any(pattern is None and root / place == file for place, pattern in module.places(root)):
            log.info("%s is a file of %s; taking the folder %s.", file, module.TITLE, root)
            return root
    return None


def _above(module: ModuleType, config: DatasetConfig, source: Path, mode: str) -> Path | None:
    root = root_above(source, module.places)
    if root is not None and mode == "copy":  # nobody asked for a copy of all that is there
        raise UserError(f"{source} is an image folder of {config.title}; to copy it, give its parent {root}.")
    if root is not None:
        log.info("%s is an image folder; taking its parent %s.", source, root)
    return root


def _archive_in(config: DatasetConfig, source: Path) -> Path | None:
    """The archive to take instead of a folder: the one in it, or that of the published name."""
    inner = extract.archives(source)
    inner = [archive for archive in inner if archive.name == config.archive] or inner
    if not inner or looks_like(source):
        return None
    if len(inner) > 1:
        shown = ", ".join(archive.relative_to(source).as_posix() for archive in inner[:4])
        shown += ", ..." if len(inner) > 4 else ""
        raise UserError(
            f"{source} holds {len(inner)} archives ({shown}); give the one that is {config.title}, as in "
            f"`dgreid adopt {config.name} --from {inner[0]}`."
        )
    (archive,) = inner
    log.info("%s holds the archive %s; taking it.", source, archive.relative_to(source))
    return archive


def where_from(error: UserError, config: DatasetConfig) -> str:
    """Where a whole copy is to be had, for a sentence that asks for one."""
    return f" from {config.home}" if isinstance(error, Incomplete) and config.home else ""


def guess(folder: Path, title: str) -> str:
    """The end of a sentence about something that is not as `title` should be: what it looks like instead."""
    titles = looks_like(folder)
    return "." if title in titles or not titles else f"; it looks like {' and '.join(titles)}."


def hashes(file: Path) -> tuple[str, str]:
    """The SHA-256 and the MD5 of a file, as hex; the latter only to compare with published checksums."""
    both = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with (
        open(file, "rb") as content,
        tqdm(
            total=file.stat().st_size, desc=f"checking {file.name}", unit="B", unit_scale=True, disable=None
        ) as bar,
    ):
        while block := content.read(BLOCK):
            for digest in both:
                digest.update(block)
            bar.update(len(block))
    return both[0].hexdigest(), both[1].hexdigest()


def fingerprint(root: Path, held: Places) -> str:
    """SHA-256, as hex, of names and sizes of all images and containers: cheap, and it sees most changes."""
    names = [place for place, pattern in held if pattern is None]
    for place, pattern in held:
        if pattern is not None:
            names += [f"{place}/{name}" if place else name for name in list_images(root / place)]
    rows = [[name, (root / name).stat().st_size] for name in sorted(names)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def chosen(module: ModuleType, given: Path, root: Path) -> str | None:
    """The image folder of `root` that the user named, where a data set's folders exclude each other."""
    given, held = Path(os.path.abspath(given)), [place for place, _ in module.places(root)]
    alternatives = getattr(module, "ALTERNATIVES", False) and given.parent == Path(os.path.abspath(root))
    return given.name if alternatives and given.name in held and len(held) > 1 else None


def fetch(source: Path, files: Path, mode: str, only: str | None = None) -> None:
    """Put the source's files at `files`: extracted, linked or copied; `only`: link this one folder of it."""
    if not source.is_dir():
        extract.extract(source, files)
    elif only is not None:
        files.mkdir()
        (files / only).symlink_to((source / only).resolve(), target_is_directory=True)
    elif mode == "link":
        files.symlink_to(source.resolve(), target_is_directory=True)
    else:
        _copy(source, files)


def fetch_companions(module: ModuleType, source: Path, folder: Path) -> None:
    """Copy the small files that belong to a data set and lie beside it rather than in it."""
    for name in getattr(module, "COMPANIONS", ()):
        if (source.parent / name).is_file():
            shutil.copyfile(source.parent / name, folder / name)
            log.info("%s: taken from beside %s.", name, source.name)


def find_or_unpack(module: ModuleType, files: Path, title: str) -> Path:
    """The root in `files`; an archive that is all there is, is extracted to a folder of its own name.

    Args:
        module: the parser.
        files: the fetched files.
        title: what messages call `files`.
    """
    for _ in range(NESTED):
        try:
            return module.find(files)
        except UserError:
            inner = (
                [] if files.is_symlink() else extract.archives(files)
            )  # a user's own folder is not written into
            if len(inner) != 1:
                raise
            (archive,) = inner
            name = f"{title}/{archive.relative_to(files).as_posix()}"
            log.info("%s holds the archive %s; taking it.", title, archive.relative_to(files).as_posix())
            moved = archive.with_name(f".{archive.name}")
            archive.rename(moved)
            extract.extract(moved, archive, name)
            moved.unlink()
            files, title = archive, name
    return module.find(files)


def _copy(source: Path, to: Path) -> None:
    total = sum(len(names) for *_, names in os.walk(source))
    with tqdm(total=total, desc=f"copying {source.name}", unit=" files", disable=None) as bar:

        def copy(old: str, new: str) -> None:
            try:
                shutil.copy2(old, new)
            except OSError as error:
                raise UserError(f"{old}: cannot be copied ({error.strerror}).") from error
            bar.update()

        shutil.copytree(source, to, copy_function=copy)
