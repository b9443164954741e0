"""MSMT17: 4,101 identities, 15 cameras indoors and outdoors, 126,441 images. JPEG, sizes vary.

Train 1,041 identities / 32,621 images, some of them in a validation list (same identities); query 3,060 /
11,659; gallery 3,060 / 82,161. On request from its authors. Version 1 shows faces, version 2 masks them:
different pixels, so the manifest states which (option `version`; needed if a folder holds both).

Layouts: `MSMT17_V1/{train,test}` or `MSMT17_V2/{mask_train_v2,mask_test_v2}` with one folder per identity
and `list_{train,val,query,gallery}.txt`, lines `0000/0000_000_01_0303morning_0015_0.jpg 0`; and a repacked
version 1, `bounding_box_train/0000_c14_0030.jpg`, which has lost the validation list. The numbers restart
at 0000 in the test half, where they are other identities.

Split sets: `msmt17/official` as listed (train, val, query, gallery); `msmt17/official_with_val`, with the
validation images in the training part. Papers differ here and rarely say so.

Reference: Wei et al., Person Transfer GAN to Bridge Domain Gap for Person Re-identification, CVPR 2018.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Incomplete, Layout
from dgreid.datasets.names import Places, as_published, has_names, here, inside, match_names, read_lines
from dgreid.datasets.parsers import market1501
from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError, unknown

FOLDERS = ("MSMT17_V1", "MSMT17_V2", "msmt17v1", "msmt17v2")  # places of a version inside the root
SIDES = {"v1": ("train", "test"), "v2": ("mask_train_v2", "mask_test_v2")}
VERSIONS = tuple(SIDES)
LISTS = {"train": 0, "val": 0, "query": 1, "gallery": 1}  # list_{role}.txt names images of this side
NAME = re.compile(
    r"^(?P<folder>\d{4})/(?P<identity>\d{4})_(?P<sequence>\d{3})_(?P<camera>0[1-9]|1[0-5])_(?P<date>\d{4})"
    r"(?P<slot>morning|noon|afternoon)_(?P<frame>\d{4})_(?P<index>\d+)(?P<ex>_ex)?\.jpg$"
)
REPACKED = re.compile(r"^(?P<identity>\d{4})_c(?P<camera>[1-9]|0[1-9]|1[0-5])_(?P<index>\d+)\.jpg$")
OFFICIAL, WITH_VAL = "msmt17/official", "msmt17/official_with_val"


def _versions(path: Path) -> list[tuple[str, str, bool, list[str]]]:
    """List (version, folder below path, whether repacked, its image folders) of each version that is here."""
    found = {}
    for folder in ("", *(folder for folder, _ in here(path, NAME, *FOLDERS))):
        place = path / folder
        for version, repacked, sides in (
            ("v1", False, SIDES["v1"]),
            ("v2", False, SIDES["v2"]),
            ("v1", True, tuple(market1501.FOLDERS.values())),
        ):
            held = here(place, REPACKED if repacked else NAME, *sides)
            # folders called train and test would fit any data set, so ask for identities' folders in them;
            if sides == SIDES["v1"] and not any((place / side / "0000").is_dir() for side, _ in held):
                continue
            if held and (not repacked or has_names(place, held)):  # the repack's fit Market-1501
                found[folder, version, repacked] = (version, folder, repacked, [side for side, _ in held])
    return list(found.values())


def _held(root: Path) -> Places:
    """The root holds image folders of one or several versions."""
    return [
        (f"{folder}/{side}" if folder else side, REPACKED if repacked else NAME)
        for _, folder, repacked, sides in _versions(root)
        for side in sides
    ]


LAYOUT = Layout(
    title="MSMT17",
    tree="MSMT17_V2/{mask_train_v2,mask_test_v2}/0000/0000_000_01_0303morning_0015_0.jpg and list_train.txt",
    nestings=("", "msmt17", "MSMT17"),
    name=NAME,
    held=_held,
    options=("version",),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read one version, in the layout it has here; rule R16: lists and images must agree.

    Raises:
        UserError: both versions are here and none is chosen, the chosen one is not here, or a list is
            missing, names an image that is not here, or leaves one out.
    """
    wanted, held = options.get("version"), _versions(root)
    if wanted is not None and wanted not in VERSIONS:
        raise unknown("MSMT17 version", wanted, VERSIONS)
    chosen = [place for place in held if wanted in (None, place[0])]
    if not chosen:
        other = " and ".join(sorted({version for version, *_ in held}))
        raise UserError(f"{root}: holds MSMT17 {other}, not {wanted}; adopt it as a data set of its version.")
    if len(chosen) > 1:
        names = " and ".join(f"{folder or '.'} ({version})" for version, folder, *_ in chosen)
        raise UserError(f"{root}: holds {names}; adopt one of these folders, or choose with options.version.")
    version, folder, repacked, _ = chosen[0]
    return _parse_repacked(root, folder) if repacked else _parse_lists(root, folder, version)


def _parse_lists(root: Path, folder: str, version: str) -> Parsed:
    parsed, missing = Parsed([]), []
    for number, side in enumerate(SIDES[version]):
        side = inside(root / folder, side) or side
        prefix = f"{folder}/{side}" if folder else side
        # the lists say .jpg even if the files are .JPG
        names = {as_published(path): (path, m) for path, m in match_names(root, prefix, NAME, LAYOUT.title)}
        if not names:
            missing.append(side)
            continue
        roles = {role: _read_list(root / folder, role) for role, half in LISTS.items() if half == number}
        _check_lists(root / prefix, {path.removeprefix(f"{prefix}/") for path in names}, roles)
        for role, listed in roles.items():
            rows = [names[f"{prefix}/{name}"] for name in listed]
            parsed.images += [_image(path, match, role, version, number) for path, match in rows]
            parsed.splits[OFFICIAL, 0, role] = [path for path, _ in rows]
    for role, parts in {"train": ("train", "val"), "query": ("query",), "gallery": ("gallery",)}.items():
        paths = [path for part in parts for path in parsed.splits.get((OFFICIAL, 0, part), [])]
        if paths:
            parsed.splits[WITH_VAL, 0, role] = paths
    parsed.missing = tuple(missing)
    return parsed


def _read_list(folder: Path, role: str) -> dict[str, str]:
    """Read list_{role}.txt: image name -> label, in its order."""
    file, listed = folder / f"list_{role}.txt", {}
    if not file.is_file():
        raise Incomplete(
            f"{file} is missing, and without the four lists the images' roles are unknown; put it "
            "there from the archive the images came in, or get a whole copy"
        )
    for line in read_lines(file):
        name, *rest = line.replace("\\", "/").split(maxsplit=1)  # copies edited on Windows
        label = "".join(rest).strip()
        if not label.isdigit():
            raise UserError(f"{file}: the line '{line}' is not `path label`; get the list again.")
        if name in listed:
            raise UserError(f"{file}: {name} is listed twice; get the list again.")
        listed[name] = label
    return listed


def _check_lists(folder: Path, here: set[str], roles: dict[str, dict[str, str]]) -> None:
    """R16: every listed image is here, every image is in exactly one list, labels agree with identities."""
    seen: set[str] = set()
    labels: dict[str, str] = {}
    for role, listed in roles.items():
        if lost := sorted(listed.keys() - here):
            raise UserError(
                f"{folder}: {len(lost)} images of list_{role}.txt are missing, first {lost[0]}; "
                "get a whole copy of one version."
            )
        if twice := sorted(listed.keys() & seen):
            raise UserError(f"{folder}: {twice[0]} is in two lists; get the lists again.")
        seen |= listed.keys()
        for name, label in listed.items():
            if labels.setdefault(name[:4], label) != label:
                raise UserError(
                    f"{folder}: {name} has the label {label}, other images of its identity have "
                    "another; get the lists again."
                )
    if len(set(labels.values())) < len(labels):
        raise UserError(f"{folder}: one label stands for two identities; get the lists again.")
    if orphans := sorted(here - seen):
        raise UserError(f"{folder}: {len(orphans)} images are in no list, first {orphans[0]}; remove them.")


def _parse_repacked(root: Path, folder: str) -> Parsed:
    parsed, missing = Parsed([]), []
    for role, name in market1501.FOLDERS.items():
        place = f"{folder}/{name}" if folder else name
        rows = match_names(root, place, REPACKED, LAYOUT.title)
        missing += [] if rows else [name]
        parsed.images += [_image(path, match, role, "v1", int(role != "train")) for path, match in rows]
        paths = [path for path, _ in rows]
        if paths:
            parsed.splits[WITH_VAL, 0, role] = paths
        if paths and role != "train":  # which of the training images are for validation is lost
            parsed.splits[OFFICIAL, 0, role] = paths
    parsed.missing = tuple(missing)
    return parsed


def _image(path: str, match: re.Match, role: str, version: str, side: int) -> Image:
    part = match.groupdict()
    if part.get("folder", part["identity"]) != part["identity"]:
        raise UserError(f"{path}: lies in the folder of another identity; get this file again.")
    camera = int(part["camera"])
    attrs = {key: part[key] for key in ("date", "slot") if key in part}
    return Image(
        path=path,
        person=f"{('train', 'test')[side]}:{part['identity']}",
        person_raw=part["identity"],
        variant=version,
        role=role,
        camera=camera - 1,
        camera_raw=f"c{camera}",
        sequence=int(part["sequence"]) if "sequence" in part else None,
        frame=int(part["frame"]) if "frame" in part else None,
        index=int(part["index"]),
        attrs=attrs | ({"ex": "1"} if part.get("ex") else {}),
    )
