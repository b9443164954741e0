"""What a parser returns, and the two things every parser does: find the root, read file names."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dgreid.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")


@dataclass(slots=True)
class Image:
    """One image as its name and place describe it; `None` is "not known"."""

    path: str  # relative to the root, with "/"; or a reference into a container, see `images.open_image`
    person: str | None  # identity, unique within the data set; None for junk and distractors
    person_raw: str  # as the file name has it
    kind: str = "person"  # person | distractor | junk
    variant: str = "original"
    name: str | None = None  # canonical file name, where `path` is a reference
    role: str = "none"  # official role: train | val | query | gallery | none
    camera: int | None = None  # from 0
    camera_raw: str | None = None
    view: int | None = None  # 0 | 1 in data sets made of camera pairs
    sequence: int | None = None
    frame: int | None = None
    index: int | None = None
    scene: str | None = None
    hard: bool | None = None
    bbox: tuple[int, int, int, int] | None = None  # x, y, width, height
    attrs: dict[str, str] = field(default_factory=dict)

    @property
    def member(self) -> str:
        """The path that names this image in its `image_id`."""
        return self.name or self.path


@dataclass
class Parsed:
    """A parsed data set: its images and its splits.

    `splits` maps (split set, split number, role) to image paths in order. `missing` names whole parts
    of the published data set that this copy lacks: such a copy is partial. `generators` says how
    random split sets were drawn.
    """

    images: list[Image]
    splits: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    generators: dict[str, str] = field(default_factory=dict)


def find_root(
    folder: Path, is_root: Callable[[Path], bool], nestings: Iterable[str], title: str, tree: str
) -> Path:
    """The folder inside `folder` that holds the data set: a usual place first, then any up to 6 deep.

    Raises:
        UserError: nothing there looks like the data set, or more than one folder does.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected {tree} in it.")
    for nesting in nestings:
        if is_root(folder / nesting):
            return folder / nesting
    level = [folder]
    if is_root(folder):
        return folder
    for _ in range(6):
        level = [child for parent in level for child in _folders(parent)]
        found = [path for path in level if is_root(path)]
        if len(found) > 1:
            raise UserError(f"{folder}: {found[0]} and {found[1]} both look like {title}; name one of them.")
        if found:
            return found[0]
    raise UserError(f"{folder} does not look like {title}; expected {tree} in it.")


def has_folder(path: Path, *names: str) -> bool:
    """Whether `path` has all of these folders."""
    return all((path / name).is_dir() for name in names)


def list_images(folder: Path) -> list[str]:
    """Paths of all image files below `folder`, relative to it, sorted; nothing if it does not exist.

    Other files (Thumbs.db, read-me files) and hidden ones (._* of macOS) are not images.
    """
    found = []
    for here, _, names in os.walk(folder):
        prefix = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                found.append(name if prefix == "." else f"{prefix}/{name}")
    return sorted(found)


def match_names(root: Path, folder: str, pattern: re.Pattern, title: str) -> list[tuple[str, re.Match]]:
    """(path relative to root, match) of every image in root/folder; every name must match.

    Raises:
        UserError: an image file has another name; it is never skipped silently (rule R2).
    """
    names = list_images(root / folder)
    matches = [pattern.match(name) for name in names]
    strange = [name for name, match in zip(names, matches, strict=True) if match is None]
    if strange:
        shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        raise UserError(
            f"{root / folder}: {len(strange)} of {len(names)} image files are not named as in {title} "
            f"({shown}); move them away, or adopt the right folder."
        )
    prefix = "" if folder in ("", ".") else f"{folder}/"
    return [(prefix + name, match) for name, match in zip(names, matches, strict=True)]


def _folders(parent: Path) -> list[Path]:
    try:
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
    except OSError:  # unreadable
        return []
    return [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith((".", "__MACOSX"))]
