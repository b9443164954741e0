"""What a parser returns, and the two things every parser does: find the root, read file names.

Folders are found whatever their letter case (`CAM_A` for `cam_a`), and extensions matched whatever theirs:
copies that went through Windows vary.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dgreid.errors import UserError

DEPTH = 6  # folders between what a user points at and the data set
# What makes a folder the root of a data set: image folders with the form of their names, relative to it; or
# container files, with None.
Places = list[tuple[str, re.Pattern | None]]
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")


class Incomplete(UserError):
    """One of the folders that make a data set is here and another is not."""


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
    random split sets were drawn. `notes` are warnings about this copy. `lacks` names files without which a
    whole copy has fewer split sets. Counts whose names begin as one of
    `inferred` rest on a guess about the names: a difference is a warning. `people` are the published
    identities, where they are known one by one.
    """

    images: list[Image]
    splits: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    generators: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    people: frozenset[str] | None = None

    def note(self, warning: str) -> None:
        """Add a warning about this copy, once."""
        if warning not in self.notes:
            self.notes += (warning,)


def find_root(
    folder: Path,
    places: Callable[[Path], Places],
    nestings: Iterable[str],
    title: str,
    tree: str,
    together: Places | None = None,
) -> Path:
    """The folder inside `folder` that holds the data set: a usual place first, then any up to 6 deep.

    Folders of the right names whose images are named as in another data set are passed over; they are taken
    only if there is nothing better, so that reading them says what is wrong with their names.

    `together`: the folders that only make a root all together; the message names the missing ones.

    Raises:
        UserError: nothing there looks like the data set, or more than one folder does.
        Incomplete: a folder of `together` with images was found without the others.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected {tree} in it.")
    strange = []
    for level in _levels(folder, nestings):
        named = []
        for path in level:
            if held := places(path):
                (named if has_names(path, held) else strange).append(path)
        if len(named) > 1:
            raise UserError(f"{folder}: {named[0]} and {named[1]} both look like {title}; name one of them.")
        if named:
            return named[0]
    if strange:
        return strange[0]
    if together:
        _refuse_half([path for level in _levels(folder, nestings) for path in level], together, title)
    raise UserError(f"{folder} does not look like {title}; expected {tree} in it.")


def _refuse_half(paths: Iterable[Path], together: Places, title: str) -> None:
    for path in paths:
        found = {name: inside(path, name) for name, _ in together}
        held = [(spelled, pattern) for name, pattern in together if (spelled := found[name]) is not None]
        missing = [name for name, spelled in found.items() if spelled is None]
        if missing and held and has_names(path, held):
            raise Incomplete(
                f"{path}: {' and '.join(name for name, _ in held)} of {title} is here but "
                f"{' and '.join(missing)} is missing; get a whole copy."
            )


def root_above(folder: Path, places: Callable[[Path], Places]) -> Path | None:
    """The root that has `folder` as one of its folders of images or containers, if `folder` is one."""
    folder = Path(os.path.abspath(folder))
    for root in folder.parents[:2]:  # P1/cam1 is two below its root
        if any(place and (root / place).is_relative_to(folder) for place, _ in places(root)):
            return root if has_names(root, places(root)) else None
    return None


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
        entries = {path.name for path in _folders(root.joinpath(*spelled))}
        found = [part] if part in entries else sorted(e for e in entries if e.lower() == part.lower())
        if not found:
            return None
        spelled.append(found[0])
    return "/".join(spelled)


def here(root: Path, pattern: re.Pattern, *folders: str, together: bool = False) -> Places:
    """Those of `folders` that are below `root`; `together`: all or none."""
    entries = {path.name.lower() for path in _folders(root)}  # read once: this is asked of many folders
    likely = [folder for folder in folders if folder.split("/")[0].lower() in entries]
    found = [spelled for folder in likely if (spelled := inside(root, folder)) is not None]
    return [(folder, pattern) for folder in found] if not together or len(found) == len(folders) else []


def list_images(folder: Path) -> list[str]:
    """Paths of all image files below `folder`, relative to it, sorted; nothing if it does not exist.

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
    """(path relative to root, match) of every image in root/folder, whatever its case; every name must match.

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
    """`match_names` of several folders: (number of the folder, path, match), and folders without images."""
    found = [match_names(root, folder, pattern, title) for folder in folders]
    rows = [(number, path, match) for number, names in enumerate(found) for path, match in names]
    return rows, tuple(folder for folder, names in zip(folders, found, strict=True) if not names)


def of_camera_pair(path: str, match: re.Match, camera: int | None) -> Image:
    """An image named identity and index, by camera A (0), B (1) or one of the two (None)."""
    return Image(
        path=path,
        person=match["identity"],
        person_raw=match["identity"],
        camera=camera,
        camera_raw=None if camera is None else "AB"[camera],
        view=camera,
        index=int(match["index"]),
    )


def _images(folder: Path) -> Iterator[str]:
    """Paths of image files below `folder`, in the order of the disk."""
    for here, _, names in os.walk(folder):
        prefix = os.path.relpath(here, folder).replace(os.sep, "/")
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                yield name if prefix == "." else f"{prefix}/{name}"


def _levels(folder: Path, nestings: Iterable[str]) -> Iterator[list[Path]]:
    """Where a root may be, the likeliest first: each usual place alone, then all folders of one depth."""
    yield from ([folder / nesting] for nesting in nestings)
    level = [folder]
    for _ in range(DEPTH + 1):
        yield level
        level = [child for parent in level for child in _folders(parent)]


def _folders(parent: Path) -> list[Path]:
    try:
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
    except OSError:  # unreadable
        return []
    return [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith((".", "__MACOSX"))]
