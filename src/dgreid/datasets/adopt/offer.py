"""What a user offers as a data set, an archive or a folder: found and hashed, not yet read."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dgreid.datasets.adopt import extract
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.layout import Incomplete, Layout
from dgreid.datasets.names import list_images
from dgreid.datasets.parsers import layout_of, looks_like
from dgreid.datasets.walk import unreadable
from dgreid.errors import UserError
from dgreid.files import check_plain

log = logging.getLogger(__name__)
BLOCK = 1 << 22  # bytes read at a time


@dataclass(frozen=True)
class Offer:
    """An archive to extract, or the root folder of a data set to link or to copy."""

    path: Path
    mode: str  # extract | link | copy
    only: str | None = None  # link this one folder of the root
    sha256: str | None = None  # of an archive, as hex
    md5: str | None = None  # likewise; only to compare with published checksums


def resolve(config: DatasetConfig, given: Path, mode: str, target: Path) -> Offer:
    """Find what to take, near what the user gave.

    Args:
        config: the data set.
        given: an archive; a folder that holds the data set or its archive; one of its image folders; or its
            container file.
        mode: what to do with a folder, link or copy.
        target: the folder that the data set will replace.

    Raises:
        UserError: nothing of the data set is there, or it lies inside `target`.
    """
    if mode not in ("link", "copy"):
        raise UserError(f"mode {mode!r}: a folder is adopted by link or by copy.")
    if not given.exists():
        raise UserError(f"{given} does not exist; give the archive or folder of {config.title}.")
    check_plain(given)
    layout = layout_of(config.parser)
    path = _locate(layout, config, given, mode)
    if target.exists() and path.resolve().is_relative_to(target.resolve()):
        raise UserError(f"{path} lies inside {target}, which is replaced; move it elsewhere first.")
    if path.is_dir() and mode == "copy" and target.resolve().is_relative_to(path.resolve()):
        raise UserError(f"{target} lies inside {path}, which is copied; give another folder with --to.")
    if path.is_dir():
        return Offer(path, mode, only=_chosen(layout, given, path))
    try:
        return Offer(path, "extract", None, *hashes(path))
    except OSError as error:
        raise unreadable(path, error) from error


def hashes(file: Path) -> tuple[str, str]:
    """The SHA-256 and the MD5 of a file, as hex, in one reading."""
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


def where_from(error: UserError, config: DatasetConfig) -> str:
    """ " from URL", for a message that asks for a complete copy; else nothing."""
    return f" from {config.home}" if isinstance(error, Incomplete) and config.home else ""


def guess(folder: Path, title: str) -> str:
    """The end of a message about a folder that is not as `title` should be: what it looks like instead."""
    titles = looks_like(folder)
    return "." if title in titles or not titles else f"; it looks like {' and '.join(titles)}."


def _locate(layout: Layout, config: DatasetConfig, given: Path, mode: str) -> Path:
    """Choose what to take: `given`, the root around it if it is a part of one, or the one archive in it."""
    if not given.is_dir():
        return _around(layout, given) or given
    try:
        layout.find(given)
        return given
    except UserError as error:
        found = _above(layout, config, given, mode) or _archive_in(config, given)
        if found is not None:
            return found
        said, parent = str(error).removesuffix("."), Path(os.path.abspath(given)).parent
        if not isinstance(error, Incomplete) and any("/" not in name for name in list_images(given)):
            said += f"; if these are its images, give their parent {parent}, whole and named as published"
        raise UserError(said + where_from(error, config) + guess(given, layout.title)) from error


def _around(layout: Layout, file: Path) -> Path | None:
    """The root whose container `file` is, cuhk-03.mat for example."""
    file = Path(os.path.abspath(file))
    for root in file.parents[:2]:
        if any(pattern is None and root / place == file for place, pattern in layout.places(root)):
            log.info("%s is a file of %s; taking the folder %s.", file, layout.title, root)
            return root
    return None


def _above(layout: Layout, config: DatasetConfig, given: Path, mode: str) -> Path | None:
    root = layout.root_above(given)
    if root is not None and mode == "copy":  # the user asked for this folder, not for a copy of all beside it
        raise UserError(f"{given} is an image folder of {config.title}; to copy it, give its parent {root}.")
    if root is not None:
        log.info("%s is an image folder; taking its parent %s.", given, root)
    return root


def _archive_in(config: DatasetConfig, given: Path) -> Path | None:
    """The archive to take instead of a folder: the only one in it, or the one of the published name."""
    inner = extract.archives(given)
    inner = [archive for archive in inner if archive.name == config.archive] or inner
    if not inner or looks_like(given):
        return None
    if len(inner) > 1:
        shown = ", ".join(archive.relative_to(given).as_posix() for archive in inner[:4])
        shown += ", ..." if len(inner) > 4 else ""
        raise UserError(
            f"{given} holds {len(inner)} archives ({shown}); give the one that is {config.title}, as in "
            f"`dgreid adopt {config.name} --from {inner[0]}`."
        )
    (archive,) = inner
    log.info("%s holds the archive %s; taking it.", given, archive.relative_to(given))
    return archive


def _chosen(layout: Layout, given: Path, root: Path) -> str | None:
    """The image folder of `root` that the user named, if the data set's folders exclude each other."""
    given, held = Path(os.path.abspath(given)), [place for place, _ in layout.places(root)]
    below = layout.alternatives and given.parent == Path(os.path.abspath(root))
    return given.name if below and given.name in held and len(held) > 1 else None
