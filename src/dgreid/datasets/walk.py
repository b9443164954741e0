"""List the files in a folder; everything that looks into folders uses this module.

Linked folders are entered, every folder once, so that circles end; a folder under its own name goes before
links to it. Hidden things are passed over, and so is what systems leave behind and what `dgreid search`
wrote. A folder that cannot be read is an error. Nothing is left out without a reason, see `left_out`.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dgreid.datasets.images import SUFFIXES
from dgreid.errors import UserError

CLUTTER = {  # of macOS, Windows, Synology and Linux; in lower case
    *("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("@eadir", "lost+found"),
}
WRITTEN = {
    "ranking.csv",
    "index.html",
}  # a folder with both is a result of `dgreid search`, with copies of images
NAMED_PER_REASON = 3  # names per reason


class Found(NamedTuple):
    """One thing below a folder: a file, a folder, or what is left out and why."""

    path: str  # relative to the folder, with "/"
    kind: str  # FILE, FOLDER, or a reason


FILE, FOLDER = "file", "folder"
HIDDEN, BROKEN, SPECIAL = "hidden", "broken link", "neither file nor folder"
AGAIN, OURS, OTHER = "link to a folder taken already", "result of `dgreid search`", "no image by its suffix"


def walk(folder: Path | str) -> Iterator[Found]:
    """Yield all that is below `folder`, in the order of the disk; nothing if it does not exist.

    Raises:
        UserError: a folder or link cannot be read; names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return
    seen = {_identity(folder)}
    real, linked = [""], []
    while real or linked:
        if not real:  # links wait until all folders under their own names are known
            linked.sort(reverse=True)
            path = linked.pop()
            if not _is_new(folder / path, seen):
                yield Found(path, AGAIN)
                continue
            yield Found(path, FOLDER)
            real.append(path)
        place = real.pop()
        entries = _entries(folder / place)
        if place and {entry.name for entry in entries} >= WRITTEN:
            yield Found(place, OURS)
            continue
        for entry in entries:
            path = f"{place}/{entry.name}" if place else entry.name
            kind = _kind(entry)
            if kind == FOLDER and entry.is_symlink():
                linked.append(path)
                continue
            if kind == FOLDER:
                if not _is_new(Path(entry.path), seen):
                    continue  # entered before through a link to a folder above it
                real.append(path)
            yield Found(path, kind)


def images(found: Iterable[Found]) -> list[str]:
    """The paths of image files among what was found, sorted."""
    return sorted(path for path, kind in found if kind == FILE and is_image(path))


def is_image(path: str) -> bool:
    """Whether a file is an image by the suffix of its name."""
    return path.lower().endswith(SUFFIXES)


def left_out(found: Iterable[Found]) -> str:
    """Say what is not among `images`, and why; empty if all is."""
    why: dict[str, list[str]] = {}
    for path, kind in found:
        if kind == FILE and not is_image(path):
            kind = OTHER
        if kind not in (FILE, FOLDER):
            why.setdefault(kind, []).append(path)
    return "; ".join(f"{_some(paths)} ({reason})" for reason, paths in sorted(why.items()))


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is one that a system leaves in every folder."""
    return name.startswith(".") or name.lower() in CLUTTER


def subfolders(parent: Path) -> list[Path]:
    """The folders in `parent`, linked ones too, sorted, without hidden ones; none if it cannot be read."""
    try:
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
    except OSError:  # while a data set is looked for, folders beside it do not matter
        return []
    return [Path(entry.path) for entry in entries if not is_hidden(entry.name) and os.path.isdir(entry.path)]


def unreadable(parent: Path, error: OSError) -> UserError:
    """The error for a folder or file that the system does not let us read."""
    return UserError(f"{parent}: cannot be read ({error.strerror}); fix that, or move it away.")


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        return list(os.scandir(folder))
    except OSError as error:
        raise unreadable(folder, error) from error


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED_PER_REASON} more" if len(paths) > NAMED_PER_REASON else ""
    return ", ".join(sorted(paths)[:NAMED_PER_REASON]) + more


def _kind(entry: os.DirEntry) -> str:
    if is_hidden(entry.name):
        return HIDDEN
    try:
        if entry.is_dir():
            return FOLDER
        if entry.is_file():
            return FILE
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself
            raise unreadable(Path(entry.path), error) from error
    return BROKEN if entry.is_symlink() and not os.path.exists(entry.path) else SPECIAL


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    identity = _identity(folder)
    new = identity not in seen
    seen.add(identity)
    return new


def _identity(folder: Path) -> tuple[int, int]:
    try:
        facts = folder.stat()
    except OSError as error:
        raise unreadable(folder, error) from error
    return facts.st_dev, facts.st_ino
