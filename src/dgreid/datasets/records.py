"""What a parser returns: images and splits, as names and places describe them."""

import re
from dataclasses import dataclass, field

Splits = dict[tuple[str, int, str], list[str]]  # (split set, split number, role): paths of images, in order


@dataclass(slots=True)
class Image:
    """One image as its name and place describe it; `None` is "not known"."""

    path: str  # relative to the root, with "/"; or a reference into a container, see `images.open_image`
    person: str | None  # identity, unique within the data set; None for junk and distractors
    person_raw: str  # as the file name has it
    kind: str = "person"  # person | distractor | junk
    variant: str = "original"
    name: str | None = None  # canonical file name, if `path` is a reference
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
    """A parsed data set: its images, its splits, and what is to be said about this copy."""

    images: list[Image]
    splits: Splits = field(default_factory=dict)
    missing: tuple[str, ...] = ()  # whole parts of the published data set that this copy lacks: it is partial
    generators: dict[str, str] = field(default_factory=dict)  # how random split sets were generated
    notes: tuple[str, ...] = ()  # warnings about this copy
    lacks: tuple[str, ...] = ()  # files without which even a whole copy has fewer split sets
    inferred: tuple[str, ...] = ()  # counts beginning so rest on a guess: a difference is a warning
    identities: frozenset[str] | None = None  # the published ones, if they are known one by one

    def note(self, warning: str) -> None:
        """Add a warning about this copy, once."""
        if warning not in self.notes:
            self.notes += (warning,)


def of_camera_pair(path: str, match: re.Match, camera: int | None) -> Image:
    """An image whose name has identity and index, by camera A (0), B (1) or one of the two (None)."""
    return Image(
        path=path,
        person=match["identity"],
        person_raw=match["identity"],
        camera=camera,
        camera_raw=None if camera is None else "AB"[camera],
        view=camera,
        index=int(match["index"]),
    )
