"""Reading the names of image files and folders.

Copies that went through Windows vary, so folders are found whatever their letter case (`CAM_A` for
`cam_a`), and extensions are matched whatever theirs.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from dgreid.datasets.walk import FILE, images, is_image, subfolders, unreadable, walk
from dgreid.errors import UserError

# What makes a folder the root of a data set: image folders relative to it, with the form of their names; or
# container files, with None.
Places = list[tuple[str, re.Pattern | None]]


def has_names(root: Path, held: Places) -> bool:
    """Whether at least one image is named as the data set names its images, or its container is here."""
    return any(
        pattern is None
        or any(
            match_name(pattern, path) for path, kind in walk(root / place) if kind == FILE and is_image(path)
        )
        for place, pattern in held
    )


def inside(root: Path, name: str) -> str | None:
    """The folder `name` below `root`, as it is spelled there (CAM_A for cam_a); None if it is not there."""
    if (root / name).is_dir():
        return name
    spelled: list[str] = []
    for part in name.split("/"):
        entries = {path.name for path in subfolders(root.joinpath(*spelled))}
        found = [part] if part in entries else sorted(e for e in entries if e.lower() == part.lower())
        if not found:
            return None
        spelled.append(found[0])
    return "/".join(spelled)


def here(root: Path, pattern: re.Pattern, *folders: str, together: bool = False) -> Places:
    """Return those of `folders` that are below `root`; with `together`, all of them or none."""
    entries = {path.name.lower() for path in subfolders(root)}  # read once: this is asked of many folders
    likely = [folder for folder in folders if folder.split("/")[0].lower() in entries]
    found = [spelled for folder in likely if (spelled := inside(root, folder)) is not None]
    return [(folder, pattern) for folder in found] if not together or len(found) == len(folders) else []


def list_images(folder: Path) -> list[str]:
    """Paths of all image files below `folder`, relative to it, sorted; none if it does not exist.

    Other files (read-me files) and hidden ones (._* of macOS) are not images; linked folders are entered.

    Raises:
        UserError: a folder cannot be read.
    """
    return images(walk(folder))


def match_name(pattern: re.Pattern, name: str) -> re.Match | None:
    """Match a file name, whatever the case of its extension: 000_45.BMP is 000_45.bmp."""
    return pattern.match(as_published(name))


def as_published(name: str) -> str:
    """A file name with its extension in lower case, as in every data set here."""
    stem, extension = os.path.splitext(name)
    return stem + extension.lower()


def match_names(root: Path, folder: str, pattern: re.Pattern, title: str) -> list[tuple[str, re.Match]]:
    """Match every image name in root/folder, whatever the folder's case; returns (path below root, match).

    Raises:
        UserError: an image file has another name; it is never skipped silently (rule R2).
    """
    folder = inside(root, folder) or folder if folder else ""
    names = list_images(root / folder)
    matches = [match_name(pattern, name) for name in names]
    strange = [name for name, match in zip(names, matches, strict=True) if match is None]
    if strange:
        shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        raise UserError(
            f"{root / folder}: {len(strange)} of {len(names)} image files are not named as in {title} "
            f"({shown}); move them away, or adopt the right folder."
        )
    prefix = f"{folder}/" if folder else ""
    return [(prefix + name, match) for name, match in zip(names, matches, strict=True)]


def match_folders(
    root: Path, folders: Sequence[str], pattern: re.Pattern, title: str
) -> tuple[list[tuple[int, str, re.Match]], tuple[str, ...]]:
    """Match the names in several folders.

    Returns:
        (number of the folder, path below root, match) of every image, and the folders without images.
    """
    found = [match_names(root, folder, pattern, title) for folder in folders]
    rows = [(number, path, match) for number, names in enumerate(found) for path, match in names]
    return rows, tuple(folder for folder, names in zip(folders, found, strict=True) if not names)


def read_lines(file: Path) -> list[str]:
    """The lines of a list, without empty ones and without the byte-order mark that editors add.

    Raises:
        UserError: it cannot be read, or is no text in UTF-8.
    """
    try:
        return [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise unreadable(file, error) from error
    except ValueError as error:
        raise UserError(f"{file}: not a text file in UTF-8 ({error}); get the list again.") from error
