"""Reading the names of image files and folders.

Copies that went through Windows vary, so folders are found whatever their letter case (`CAM_A` for
`cam_a`), and extensions are matched whatever theirs.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dgreid.errors import UserError

# What makes a folder the root of a data set: image folders relative to it, with the form of their names; or
# container files, with None.
Places = list[tuple[str, re.Pattern | None]]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")


def has_names(root: Path, held: Places) -> bool:
    """Whether at least one image is named as the data set names its images, or its container is here."""
    return any(
        pattern is None or any(match_name(pattern, name) for name in _images(root / place))
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
    """Those of `folders` that are below `root`; with `together`, all or none."""
    entries = {path.name.lower() for path in subfolders(root)}  # read once: this is asked of many folders
    likely = [folder for folder in folders if folder.split("/")[0].lower() in entries]
    found = [spelled for folder in likely if (spelled := inside(root, folder)) is not None]
    return [(folder, pattern) for folder in found] if not together or len(found) == len(folders) else []


def subfolders(parent: Path) -> list[Path]:
    """The folders in `parent`, sorted, without hidden ones; none if it cannot be read."""
    try:
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
    except OSError:
        return []
    return [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith((".", "__MACOSX"))]


def list_images(folder: Path) -> list[str]:
    """Paths of all image files below `folder`, relative to it, sorted; none if it does not exist.

    Other files (Thumbs.db, read-me files) and hidden ones (._* of macOS) are not images.
    """
    return sorted(_images(folder))


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


def _images(folder: Path) -> Iterator[str]:
    """Paths of image files below `folder`, in the order of the disk."""
    for path, _, names in os.walk(folder):
        prefix = os.path.relpath(path, folder).replace(os.sep, "/")
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                yield name if prefix == "." else f"{prefix}/{name}"
