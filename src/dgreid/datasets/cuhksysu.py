"""CUHK-SYSU as re-identification data: 11,934 people, 34,574 boxes of street snapshots. Sizes vary.

Every appearance of every entry of `Person.mat`, so training and test people of the person-search
benchmark together: as a source it excludes CUHK-SYSU as a target. No real cameras. Three kinds of crops
go around, with different pixels, so the manifest states the variant:

- crops_a: `cropped_images/p11422_s16929_1.jpg`, of unknown origin (torchreid, fast-reid, ACL, META);
- crops_b: `cropped_image/p00001_n01_s00001_hard0.png`, MetaBIN's script, boxes inclusive; the same boxes
  are read from the original release (`Image/SSM`, `annotation/Person.mat`) without writing crops;
- crops_c: `combine/00001_s1_0000001_0.jpg`, lifelong re-identification.

Reference: Xiao et al., Joint Detection and Identification Feature Learning for Person Search, CVPR 2017.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, find_root, match_names
from dgreid.errors import UserError

TITLE = "CUHK-SYSU"
TREE = "cropped_image/p00001_n01_s00001_hard0.png (or Image/SSM/s1.jpg with annotation/Person.mat)"
OPTIONS = ("variant",)
NESTINGS = ("", "CUHK-SYSU", "cuhksysu", "CUHK_SYSU", "cuhksysu4reid", "dataset")
CROPS = {  # folder: (variant, name)
    "cropped_image": (
        "crops_b",
        re.compile(r"^p(?P<identity>\d+)_n(?P<index>\d+)_s(?P<scene>\d+)_hard(?P<hard>[01])\.png$"),
    ),
    "cropped_images": (
        "crops_a",
        re.compile(r"^p(?P<identity>\d+)_s(?P<scene>\d+)_(?P<index>\d+)\.jpg$"),
    ),
    "combine": (
        "crops_c",
        re.compile(r"^(?P<identity>\d{5})_s(?P<scene>\d+)_(?P<index>\d{7})_(?P<hard>[01])\.jpg$"),
    ),
}
PERSONS = "annotation/Person.mat"


def find(folder: Path) -> Path:
    """The folder that holds one of the crop folders, or Image and annotation."""
    return find_root(folder, _is_root, NESTINGS, TITLE, TREE)


def parse(root: Path, options: dict) -> Parsed:
    """Read the crops that are here.

    Option `variant` names the wanted crops; without it there must be one kind.
    """
    wanted = options.get("variant")
    here = {CROPS[folder][0]: folder for folder in CROPS if (root / folder).is_dir()}
    if not here and wanted in (None, "crops_b") and (root / PERSONS).is_file():
        return Parsed(_read_persons(root))
    if wanted is None and len(here) > 1:
        raise UserError(f"{root}: holds {' and '.join(sorted(here))}; choose one with options.variant.")
    variant = wanted or next(iter(here), None)
    if variant not in here:
        raise UserError(f"{root}: has {', '.join(sorted(here)) or 'no crops'}, not {variant}; see TREE.")
    folder = here[variant]
    return Parsed(
        [_image(path, match, variant) for path, match in match_names(root, folder, CROPS[folder][1], TITLE)]
    )


def _image(path: str, match: re.Match, variant: str) -> Image:
    part = match.groupdict()
    return Image(
        path=path,
        person=f"{int(part['identity']):05d}",
        person_raw=part["identity"],
        variant=variant,
        index=int(part["index"]),
        scene=f"s{int(part['scene'])}",
        hard=part["hard"] == "1" if "hard" in part else None,
    )


def _read_persons(root: Path) -> list[Image]:
    """Every appearance in the original annotation, as a box of its scene, named as MetaBIN's crops are."""
    from scipy.io import loadmat  # late: only this layout needs it

    try:
        persons = loadmat(root / PERSONS, squeeze_me=True, struct_as_record=False)["Person"]
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{root / PERSONS}: no Person table ({error}); get the release again.") from error
    images = []
    for person in persons.ravel():
        number = int(str(person.idname).removeprefix("p"))
        appearances = person.scene.ravel() if hasattr(person.scene, "ravel") else [person.scene]
        for index, scene in enumerate(appearances, start=1):
            box = tuple(int(value) for value in scene.idlocate)
            stem, hard = str(scene.imname).removesuffix(".jpg"), bool(scene.ishard)
            images.append(
                Image(
                    path=f"Image/SSM/{stem}.jpg#[{','.join(map(str, box))}]",
                    person=f"{number:05d}",
                    person_raw=str(person.idname),
                    variant="crops_b",
                    name=f"p{number:05d}_n{index:02d}_s{int(stem[1:]):05d}_hard{int(hard)}.png",
                    index=index,
                    scene=f"s{int(stem[1:])}",
                    hard=hard,
                    bbox=box,
                )
            )
    return images


def _is_root(path: Path) -> bool:
    return any((path / folder).is_dir() for folder in CROPS) or (path / PERSONS).is_file()
