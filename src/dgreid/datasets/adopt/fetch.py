"""Fetching an offer: extracted, linked or copied to a folder of ours, nested archives unpacked."""

import logging
import os
import shutil
from pathlib import Path

from tqdm import tqdm

from dgreid.datasets.adopt import extract
from dgreid.datasets.adopt.offer import Offer
from dgreid.datasets.layout import Layout
from dgreid.errors import UserError

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


def find_or_unpack(layout: Layout, files: Path, title: str) -> Path:
    """Find the root in `files`; if there is only an archive, extract it to a folder of its own name.

    Args:
        layout: of the data set.
        files: the fetched files.
        title: what messages call `files`.
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
            extract.extract(moved, archive, name)
            moved.unlink()
            files, title = archive, name
    return layout.find(files)


def _copy(folder: Path, to: Path) -> None:
    total = sum(len(names) for *_, names in os.walk(folder))
    with tqdm(total=total, desc=f"copying {folder.name}", unit=" files", disable=None) as bar:

        def copy(old: str, new: str) -> None:
            try:
                shutil.copy2(old, new)
            except OSError as error:
                raise UserError(f"{old}: cannot be copied ({error.strerror}).") from error
            bar.update()

        shutil.copytree(folder, to, copy_function=copy)
