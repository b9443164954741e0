"""What a parser declares about its data set: where its root is, and the facts that shared rules need.

A new data set is one file in `parsers/` and one in params/dataset; nothing else names it.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dgreid.datasets.names import Places, has_names, here, inside
from dgreid.datasets.walk import subfolders
from dgreid.errors import UserError

DEPTH = 6  # folders between what a user points at and the data set


class Incomplete(UserError):
    """One of the folders that make a data set is here and another is not."""


@dataclass(frozen=True)
class SplitSet:
    """A split set with several splits that a parser makes.

    A frozen split set must not change: on a full copy, `splits.check_frozen` compares it with `frozen`.
    To freeze one, leave `frozen` out at first, adopt the published data set NAME, and take the hash from

        parsed = parse(load_dataset(NAME), images_root(NAME))
        splits.identities(parsed, layout_of(PARSER).split_sets)

    and, if it is made of random halves of N identities, set `halves` to (N, `splits.fingerprint(
    splits.permutations(N))`), so that a numpy which draws otherwise is noticed as such.
    """

    name: str  # family/set, such as viper/rand10_a2b
    count: int  # of splits; enforced
    frozen: str | None = None  # SHA-256 of who is in which split and role, as hex; None: not frozen
    halves: tuple[int, str] | None = None  # identities published, SHA-256 of the permutations of them
    shipped: bool = False  # read from the data set, whose copies may swap query and gallery images
    certain: bool = True  # False: the frozen hash may be wrong, so a difference is a warning


@dataclass(frozen=True)
class Layout:
    """How a data set lies on the disk, and what is known about it. Every parser declares one as `LAYOUT`.

    Most data sets are `folders` of images whose names match `name`. If yours has other forms as well, give
    `held`, which lists the image folders and container files that make a folder its root.
    """

    title: str  # in messages
    tree: str  # the expected files, in one line
    nestings: tuple[str, ...]  # usual places of the root in what a user points at, the likeliest first
    name: re.Pattern  # of an image file, relative to its folder
    folders: tuple[str, ...] = ()  # image folders, relative to the root
    together: bool = False  # the folders make a root only all together
    held: Callable[[Path], Places] | None = None
    alternatives: bool = False  # its folders exclude each other: a user who names one wants that one alone
    companions: tuple[str, ...] = ()  # small files found beside the data set rather than in it
    options: tuple[str, ...] = ()  # keys of `options` in params/dataset that `parse` reads
    split_sets: tuple[SplitSet, ...] = ()  # those of several splits
    single_shot: bool = False  # every query has exactly one match in the gallery
    shares_identities_with: tuple[str, ...] = ()  # parsers of data sets showing some of the same identities

    def places(self, root: Path) -> Places:
        """What makes `root` the root: its image folders and containers; empty if it is none."""
        return self.held(root) if self.held else here(root, self.name, *self.folders, together=self.together)

    def split_set(self, name: str) -> SplitSet | None:
        """The declared split set called `name`."""
        return next((each for each in self.split_sets if each.name == name), None)

    def find(self, folder: Path | str) -> Path:
        """Find the root of the data set in `folder`: in a usual place first, then up to 6 folders deep.

        Folders of the right names whose images are named as in another data set are taken only if there is
        nothing better, so that reading them says what is wrong with their names.

        Raises:
            UserError: nothing there looks like the data set, or more than one folder does.
            Incomplete: one of the folders that belong together was found with images, without the others.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder; expected {self.tree} in it.")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UserError(
                f"{folder}: cannot be read (permission denied); fix that, or give a copy of yours."
            )
        misnamed = []
        for level in _levels(folder, self.nestings):
            named = []
            for path in level:
                if held := self.places(path):
                    (named if has_names(path, held) else misnamed).append(path)
            if len(named) > 1:
                raise UserError(
                    f"{folder}: {named[0]} and {named[1]} both look like {self.title}; name one of them."
                )
            if named:
                return named[0]
        if misnamed:
            return misnamed[0]
        if self.together:
            self._refuse_half(path for level in _levels(folder, self.nestings) for path in level)
        raise UserError(f"{folder} does not look like {self.title}; expected {self.tree} in it.")

    def root_above(self, folder: Path) -> Path | None:
        """The root that `folder` is an image folder of, at most two levels above it; None if it is none."""
        folder = Path(os.path.abspath(folder))
        for root in folder.parents[:2]:  # P1/cam1 is two below its root
            held = self.places(root)
            if any(place and (root / place).is_relative_to(folder) for place, _ in held):
                return root if has_names(root, held) else None
        return None

    def _refuse_half(self, paths: Iterable[Path]) -> None:
        for path in paths:
            found = {folder: inside(path, folder) for folder in self.folders}
            held = [(spelled, self.name) for spelled in found.values() if spelled is not None]
            missing = [folder for folder, spelled in found.items() if spelled is None]
            if missing and held and has_names(path, held):
                raise Incomplete(
                    f"{path}: {' and '.join(name for name, _ in held)} of {self.title} is here but "
                    f"{' and '.join(missing)} is missing; get a whole copy."
                )


def _levels(folder: Path, nestings: Iterable[str]) -> Iterator[list[Path]]:
    """List where a root may be, likeliest first: each usual place alone, then all folders of one depth."""
    yield from ([folder / nesting] for nesting in nestings)
    level = [folder]
    for _ in range(DEPTH + 1):
        yield level
        level = [child for parent in level for child in subfolders(parent)]
