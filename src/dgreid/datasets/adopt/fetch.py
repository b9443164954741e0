"""Fetching an offer: extracted, linked or copied to a folder of ours, nested archives unpacked."""

import logging
import shutil
from pathlib import Path

from tqdm import tqdm

from dgreid.datasets.adopt import extract
from dgreid.datasets.adopt.offer import Offer
from dgreid.datasets.layout import Layout
from dgreid.datasets.walk import FILE, FOLDER, walk
from dgreid.errors import UserError
from dgreid.trouble import remedy_of

log = logging.getLogger(__name__)
NESTED = 3  # archives within archives


def fetch(offer: Offer, files: Path) -> None:
    """Put the files of an offer at `files`."""
    if offer.mode == "extract":
        extract.extract(offer.path, files)
    elif offer.only is not None:
        files.mkdir()
        (files / offer.only).symlink_to((offer.path / offer.only).resolve(), target_is_directory=True)
    elif offer.mode == "link":
        files.symlink_to(offer.path.resolve(), target_is_directory=True)
    else:
        _copy(offer.path, files)


def fetch_companions(layout: Layout, offer: Offer, folder: Path) -> None:
    """Copy the small files that belong to a data set and lie beside the offer rather than in it."""
    for name in layout.companions:
        file = offer.path.parent / name
        if file.is_file():
            shutil.copyfile(file, folder / name)
            log.info("%s: taken from beside %s.", name, offer.path.name)


def find_or_unpack(layout: Layout, files: Path, title: str, bound: int | None = None) -> Path:
    """Find the root in `files`; if there is only an archive, extract it to a folder of its own name.

    Args:
        layout: of the data set.
        files: the fetched files.
        title: what messages call `files`.
        bound: bytes that an archive in it may unpack to, if `files` came out of one: sizes do not multiply.
    """
    for _ in range(NESTED):
        try:
            return layout.find(files)
        except UserError:
            # never write into a user's own folder
            inner = [] if files.is_symlink() else extract.archives(files)
            if len(inner) != 1:
                raise
            (archive,) = inner
            name = f"{title}/{archive.relative_to(files).as_posix()}"
            log.info("%s holds the archive %s; taking it.", title, archive.relative_to(files).as_posix())
            moved = archive.with_name(f".{archive.name}")
            archive.rename(moved)
            bound = bound or extract.allowed(moved)
            extract.extract(moved, archive, name, bound)
            moved.unlink()
            files, title = archive, name
    return layout.find(files)


def _copy(folder: Path, to: Path) -> None:
    found = list(walk(folder))
    to.mkdir()
    for path, kind in found:
        if kind == FOLDER:
            (to / path).mkdir(parents=True, exist_ok=True)
    files = [path for path, kind in found if kind == FILE]
    for path in tqdm(files, desc=f"copying {folder.name}", unit=" files", disable=None):
        try:
            shutil.copy2(folder / path, to / path)
        except OSError as error:
            raise UserError(
                f"{folder / path}: cannot be copied ({error.strerror}); {remedy_of(error)}."
            ) from error
