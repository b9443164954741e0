"""CUHK-SYSU as re-identification data: 11,934 identities, 34,574 boxes of street snapshots. Sizes vary.

Every appearance of every entry of `Person.mat`, so training and test identities of the person-search
benchmark together: as a source it excludes CUHK-SYSU as a target. No real cameras. Three kinds of crops
are in use, with different pixels, so the manifest states the variant:

- crops_a: `cropped_images/p11422_s16929_1.jpg`, of unknown origin (torchreid, fast-reid, ACL, META);
- crops_b: `cropped_image/p00001_n01_s00001_hard0.png`, MetaBIN's script: MATLAB's
  im(y:y+h, x:x+w), inclusive and counted from 1, so w+1 by h+1 pixels; the same boxes are read from the
  original release (`Image/SSM`, `annotation/Person.mat`) without writing crops;
- crops_c: `combine/00001_s1_0000001_0.jpg`, lifelong re-identification.

Reference: Xiao et al., Joint Detection and Identification Feature Learning for Person Search, CVPR 2017.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from dgreid.datasets.layout import Layout
from dgreid.datasets.mat import load_mat, open_hdf5, reading
from dgreid.datasets.names import Places, as_published, here, inside, list_images, match_names
from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError

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
SCENES, SCENE = "Image/SSM", re.compile(r"^s\d+\.jpg$")
Person = tuple[str, list[tuple[str, tuple[int, ...], bool]]]  # name, appearances (scene, box, hard)


def _held(root: Path) -> Places:
    """The root holds crop folders, or the original annotation with its scenes."""
    found = [place for folder, (_, name) in CROPS.items() for place in here(root, name, folder)]
    return found + ([(PERSONS, None), *here(root, SCENE, SCENES)] if (root / PERSONS).is_file() else [])


LAYOUT = Layout(
    title="CUHK-SYSU",
    tree="cropped_image/p00001_n01_s00001_hard0.png (or Image/SSM/s1.jpg with annotation/Person.mat)",
    nestings=("", "CUHK-SYSU", "cuhksysu", "CUHK_SYSU", "cuhksysu4reid", "dataset"),
    name=CROPS["cropped_image"][1],
    held=_held,
    alternatives=True,  # different kinds of crops beside each other are not one data set
    options=("variant",),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read the crops that are here.

    Option `variant` names the wanted crops; without it there must be one kind.
    """
    wanted = options.get("variant")
    folders = {variant: spelled for name, (variant, _) in CROPS.items() if (spelled := inside(root, name))}
    filled = {variant: folder for variant, folder in folders.items() if list_images(root / folder)}
    released = (root / PERSONS).is_file()
    crops = filled if filled or released else folders  # an empty folder does not hide what lies beside it
    if not crops and wanted in (None, "crops_b") and released:
        return _parse_scenes(root)
    if wanted is None and len(crops) > 1:
        raise UserError(f"{root}: holds {' and '.join(sorted(crops))}; choose one with options.variant.")
    variant = wanted or next(iter(crops), None)
    if variant not in crops:
        raise UserError(
            f"{root}: has {', '.join(sorted(crops)) or 'no crops'}, not {variant}; expected {LAYOUT.tree}."
        )
    name = next(name for kind, name in CROPS.values() if kind == variant)
    return Parsed(
        [
            _image(path, match, variant)
            for path, match in match_names(root, crops[variant], name, LAYOUT.title)
        ]
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


def _parse_scenes(root: Path) -> Parsed:
    """Read the boxes of the scenes that are here; a copy that lacks some is partial."""
    named = match_names(root, SCENES, SCENE, LAYOUT.title)
    held = {as_published(path.rsplit("/", 1)[-1]): path for path, _ in named}
    images, scenes = [], set()
    for image in _read_persons(root):
        scene, box = image.path.split("#")
        scenes.add(scene)
        if scene in held:  # spelled as it is here
            images.append(replace(image, path=f"{held[scene]}#{box}"))
    lost = sorted(scenes - held.keys())
    said = [f"{len(lost)} of {len(scenes)} scenes of {SCENES} (first {lost[0]})"] if lost else []
    return Parsed(images, missing=tuple(said))


def _read_persons(root: Path) -> list[Image]:
    """Read every appearance in the original annotation, as a box of its scene named like MetaBIN's crops."""
    import h5py  # late: only this layout needs it

    file = root / PERSONS
    with reading(file, "the table Person"):
        with open(file, "rb"):  # HDF5's own question takes a file that may not be read for another kind
            pass
        persons = list(_hdf5_persons(file) if h5py.is_hdf5(file) else _mat5_persons(file))
        if not persons:
            raise ValueError("it is empty")
        return [
            _appearance(name, index, *appearance)
            for name, appearances in persons
            for index, appearance in enumerate(appearances, start=1)
        ]


def _appearance(person: str, index: int, scene: str, box: tuple[int, ...], hard: bool) -> Image:
    number, stem = int(person.removeprefix("p")), scene.removesuffix(".jpg")
    return Image(
        path=f"{stem}.jpg#[{','.join(map(str, box))}]",  # below the folder of the scenes
        person=f"{number:05d}",
        person_raw=person,
        variant="crops_b",
        name=f"p{number:05d}_n{index:02d}_s{int(stem[1:]):05d}_hard{int(hard)}.png",
        index=index,
        scene=f"s{int(stem[1:])}",
        hard=hard,
        bbox=box,
    )


def _mat5_persons(file: Path) -> Iterator[Person]:
    """Read the released file, MATLAB 5."""
    for person in np.ravel(load_mat(file, squeeze_me=True, struct_as_record=False)["Person"]):
        yield (
            str(person.idname),
            [
                (str(scene.imname), tuple(int(value) for value in scene.idlocate), bool(scene.ishard))
                for scene in np.ravel(person.scene)
            ],
        )


def _hdf5_persons(file: Path) -> Iterator[Person]:
    """Read the same table saved as MATLAB 7.3: a struct array is a group, a field a table of references."""
    import h5py

    mat = open_hdf5(file)

    def items(node: h5py.Group | h5py.Dataset) -> list:
        """The elements of a field; the field of a single struct is the element itself."""
        several = isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype)
        return [mat[reference] for reference in node[:].ravel()] if several else [node]

    for name, scene in zip(*(items(mat["Person"][field]) for field in ("idname", "scene")), strict=True):
        fields = (items(scene[field]) for field in ("imname", "idlocate", "ishard"))
        yield (
            _word(name),
            [
                (_word(image), tuple(int(value) for value in box[:].ravel()), bool(hard[:].ravel()[0]))
                for image, box, hard in zip(*fields, strict=True)
            ],
        )


def _word(node) -> str:
    """A MATLAB char array in HDF5."""
    return "".join(map(chr, node[:].ravel()))
