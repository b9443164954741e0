"""Importing splits of a data set from the `splits.json` of torchreid or MetaBIN.

Their file is a list of mappings. Either `train`, `query` and `gallery` are lists of [path, identity, camera],
of which only the end of the path is used, as its beginning belongs to another machine; or, as torchreid
writes PRID2011's, `train` and `test` are lists of identity numbers. Our file is
`data/splits/DATASET-NAME.json`; the manifest stage adds every such file of its data set as one more split
set, under the same rules as the others.
"""

import json
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from dgreid import sealed
from dgreid.datasets import rules
from dgreid.datasets.adopt.archive import images_root
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.datasets.parsers import parse
from dgreid.datasets.records import Image, Parsed, Splits
from dgreid.datasets.splits import fingerprint
from dgreid.datasets.walk import unreadable
from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.paths import SPLITS

ROLES = ("train", "query", "gallery")
LARGEST_NUMBER = 10**9  # the largest number of an identity or camera
FOREIGN = (*ROLES, "test")  # the lists that a foreign split may have
Listed = list[dict[str, list[str]]]  # per split, per role, paths relative to the root of the images


def import_splits(dataset: str, source: Path, name: str, folder: Path = SPLITS) -> Path:
    """Read a foreign splits.json and write it in our form; returns the file.

    Raises:
        UserError: not such a file, an image or identity that the data set lacks, a broken rule.
    """
    config = load_dataset(dataset)
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise UserError(f"--name {name}: use only small letters, digits and _.")
    parsed = parse(config, images_root(dataset))
    split_set = f"{_family(config, parsed)}/{name}"
    if any(known == split_set for known, _, _ in parsed.splits):
        raise UserError(f"{split_set} comes with {config.title}; choose another --name.")
    splits = read_foreign(source, parsed.images)
    node = {
        "dataset": dataset,
        "split_set": split_set,
        "generator": f"imported from {source.name}, sha256 {sha256(source)}",
        "content": content(splits),
        "splits": splits,
    }
    imported = Parsed(parsed.images, _numbered(split_set, splits))
    rules.check_splits([_row(image) for image in parsed.images], imported, config)
    path = folder / f"{dataset}-{name}.json"
    with whole(path) as part:
        part.write_text(json.dumps(sealed.stamp(node), indent=1) + "\n", encoding="utf-8")
    return path


def add_imported(dataset: str, parsed: Parsed, folder: Path = SPLITS) -> None:
    """Add the split sets imported for a data set, `DATASET-*.json` in `folder`, to what was parsed.

    Raises:
        UserError: a file is damaged, was edited, or names images that the data set lacks.
    """
    known = {image.path for image in parsed.images}
    for path in sorted(folder.glob(f"{dataset}-*.json")):
        again = f"import it again with `dgreid splits import {dataset}`"
        try:
            node = sealed.read_json(path)
            split_set, generator, splits = node["split_set"], node["generator"], node["splits"]
            found = content(splits)
            check_roles(splits, str(path))
        except UserError as error:
            raise UserError(f"{str(error).removesuffix('.')}; {again}.") from error
        except sealed.Damaged as error:
            raise UserError(f"{path}: it was changed after the import; {again}.") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path}: not an imported split set ({error}); {again}.") from error
        if found != node.get("content"):
            raise UserError(f"{path}: its splits were changed after the import; {again}.")
        lost = sorted({name for split in splits for names in split.values() for name in names} - known)
        if lost:
            raise UserError(f"{path}: {lost[0]} is not in this copy of {dataset}; {again}.")
        parsed.splits |= _numbered(split_set, splits)
        parsed.generators[split_set] = generator


def read_foreign(source: Path, images: list[Image]) -> Listed:
    """Read the splits of a foreign file, as paths of `images`.

    Raises:
        UserError: another shape, an unknown or ambiguous image, an unknown identity.
    """
    source = Path(source)
    if not source.is_file():
        what = "is no file" if source.exists() else "does not exist"
        raise UserError(f"{source} {what}; give the JSON file that holds the splits.")
    try:
        node = json.loads(source.read_bytes())  # bytes, whose encoding JSON tells from their beginning
    except OSError as error:
        raise unreadable(source, error) from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{source}: not a JSON file that can be read ({reason}); get it again.") from error
    if not isinstance(node, list) or not node or not all(isinstance(split, dict) for split in node):
        raise UserError(f"{source}: expected a list of splits, as torchreid and MetaBIN write it.")
    find = _Finder(images)
    splits: Listed = []
    for number, split in enumerate(node):
        where = f"{source}, split {number}"
        if other := sorted(key for key in split if isinstance(split[key], list) and key not in FOREIGN):
            raise UserError(f"{where}: unknown role {other[0]!r}; known are {', '.join(ROLES)}: take it out.")
        if all(_is_entries(split.get(role)) for role in ROLES):
            splits.append({role: [find(entry[0], where) for entry in split[role]] for role in ROLES})
        elif all(_is_numbers(split.get(role)) for role in ("train", "test")):
            splits.append(_of_identities(split["train"], split["test"], images, where))
        else:
            raise UserError(
                f"{where}: expected train, query and gallery as lists of [path, identity, camera], or "
                "train and test as lists of identity numbers; found "
                f"{', '.join(sorted(map(str, split))) or 'nothing'}."
            )
    check_roles(splits, str(source))
    return splits


def check_roles(splits: Listed, where: str) -> None:
    """Check that every split has images in every role, and no others.

    Raises:
        UserError: names the split and the role.
    """
    for number, split in enumerate(splits):
        if wrong := sorted(split.keys() ^ set(ROLES)):
            what = "unknown" if wrong[0] in split else "missing"
            raise UserError(f"{where}, split {number}: the role {wrong[0]!r} is {what}.")
        if empty := [role for role in ROLES if not split[role]]:
            raise UserError(f"{where}, split {number}: no images in role {' and '.join(empty)}.")


def content(splits: Listed) -> str:
    """SHA-256 of splits, as hex."""
    return fingerprint([[role, *split.get(role, [])] for split in splits for role in ROLES])


class _Finder:
    """Finds the image that a foreign path means: the one that shares most of its last components."""

    def __init__(self, images: list[Image]):
        self.by_name = defaultdict(list)
        for image in images:
            self.by_name[PurePosixPath(image.member).name].append(image)

    def __call__(self, path: str, where: str) -> str:
        parts = str(path).replace("\\", "/").split("/")
        found = self.by_name.get(parts[-1], [])
        depth = 1
        while len(found) > 1 and depth < len(parts):
            depth += 1
            found = [image for image in found if image.member.split("/")[-depth:] == parts[-depth:]]
        if len(found) != 1:
            what = (
                f"could be {len(self.by_name[parts[-1]])} images" if parts[-1] in self.by_name else "is none"
            )
            raise UserError(f"{where}: {path} {what} of this data set; is it the right one?")
        return found[0].path


def _of_identities(
    train: list[int], test: list[int], images: list[Image], where: str
) -> dict[str, list[str]]:
    """Roles from identity numbers in two cameras: queries from the first, gallery from the second."""
    if {image.camera for image in images} != {0, 1}:
        raise UserError(f"{where}: identity numbers alone need a data set of two cameras.")
    cameras = [{int(i.person_raw): i for i in images if i.camera == camera} for camera in (0, 1)]
    both = {number for number in cameras[0] if number in cameras[1]}
    both = {number for number in both if cameras[0][number].person == cameras[1][number].person}
    if lost := sorted(set(train + test) - both):
        raise UserError(f"{where}: identity {lost[0]} is not seen by both cameras of this data set.")
    alone = [number for number in sorted(cameras[1]) if number not in both]
    return {
        "train": [camera[number].path for number in train for camera in cameras],
        "query": [cameras[0][number].path for number in test],
        "gallery": [cameras[1][number].path for number in (*test, *alone)],
    }


def _is_entries(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, list) and entry and isinstance(entry[0], str) and all(map(_is_number, entry[1:]))
        for entry in value
    )


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    """Whether a value may be an identity or a camera; -1 is that of distractors."""
    return type(value) is int and -1 <= value <= LARGEST_NUMBER


def _family(config: DatasetConfig, parsed: Parsed) -> str:
    """Return the common beginning of the names of a data set's split sets, such as `prid`."""
    return (
        min(split_set.split("/")[0] for split_set, _, _ in parsed.splits) if parsed.splits else config.parser
    )


def _numbered(split_set: str, splits: Listed) -> Splits:
    return {
        (split_set, number, role): paths
        for number, split in enumerate(splits)
        for role, paths in split.items()
    }


def _row(image: Image) -> dict:
    """Make the columns that the rules about roles read.

    The path stands for the hash of the pixels, because only the manifest stage decodes images.
    """
    return {
        "path": image.path,
        "person_key": image.person,
        "kind": image.kind,
        "camera": image.camera,
        "pixel_sha256": image.path,
    }
