"""VIPeR: 632 identities, one image from each of two cameras (1,264). BMP, 128 x 48.

Identities run 0..873 with gaps. Ten random splits into 316 training and 316 test identities; queries
are cam_a, the gallery is cam_b.

MetaBIN's authors distribute their own splits, as copies of all images encoded again in PNG:
`split_1a/{train,query,gallery}/p000_c1_d045.png` to `split_10a`, where c1 is cam_a (`b`, `c` and `d`
exchange the halves and the cameras; MetaBIN evaluates on `a` alone). From such a copy the images of
`split_1a` are read, and its ten splits are the split set `viper/metabin10_a2b`. This form is known from the
released code only; no copy was available to check it.

Reference: Gray, Brennan and Tao, Evaluating Appearance Models for Recognition, Reacquisition, and
Tracking, PETS 2007.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout, SplitSet
from dgreid.datasets.names import Places, here, match_folders
from dgreid.datasets.records import Image, Parsed, Splits
from dgreid.datasets.splits import across_cameras, generator
from dgreid.errors import UserError

NAME = re.compile(r"^(?P<identity>\d{3})_(?P<angle>\d{1,3})\.bmp$")
FOLDERS = ("cam_a", "cam_b")
ENCODED = re.compile(r"^p(?P<identity>\d{3})_c(?P<camera>[12])_d(?P<angle>\d{3})\.png$")
ROLES = ("train", "query", "gallery")
RAND10 = SplitSet(
    "viper/rand10_a2b",
    count=10,
    frozen="9087b74c5a3d6ae0288a69e38a203ba373e5be9812328472a65e7412f3b937a1",
    halves=(632, "61fbbc5b7e08b13c72ba2ee3819610f69265883cac0fe6b2884d5334ecf7e9f6"),
    certain=False,  # the identities are known from a description of the data set
)
METABIN10 = SplitSet("viper/metabin10_a2b", count=10)


def _held(root: Path) -> Places:
    """The root holds the folders of both cameras, or else those of MetaBIN's splits."""
    released = here(root, NAME, *FOLDERS, together=True)
    return released or [place for number in range(METABIN10.count) for place in _split_folders(root, number)]


def _split_folders(root: Path, number: int) -> Places:
    return here(root, ENCODED, *(f"split_{number + 1}a/{role}" for role in ROLES), together=True)


LAYOUT = Layout(
    title="VIPeR",
    tree="VIPeR/{cam_a,cam_b}/000_45.bmp",
    nestings=("", "VIPeR", "viper/VIPeR", "viper"),
    name=NAME,
    folders=FOLDERS,
    together=True,
    held=_held,
    split_sets=(RAND10, METABIN10),
    single_shot=True,
)


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and generate the ten splits; a copy with an empty folder is partial.

    Raises:
        UserError: MetaBIN's ten splits do not have the same images.
    """
    if not here(root, NAME, *FOLDERS, together=True):
        return _parse_splits(root)
    rows, missing = match_folders(root, FOLDERS, NAME, LAYOUT.title)
    images = [_image(path, match, camera) for camera, path, match in rows]
    splits = {} if missing else across_cameras(images, RAND10)
    return Parsed(images, splits, missing, {RAND10.name: generator()} if splits else {})


def _parse_splits(root: Path) -> Parsed:
    """Read MetaBIN's copies of the images: those of the first split, and how every split divides them."""
    images: dict[str, Image] = {}
    splits: Splits = {}
    for number in range(METABIN10.count):
        folders = [folder for folder, _ in _split_folders(root, number)]
        rows, empty = match_folders(root, folders, ENCODED, LAYOUT.title)
        if not folders or empty:
            raise UserError(
                f"{root}: split_{number + 1}a of MetaBIN's copy of {LAYOUT.title} is not whole; get all ten "
                "again."
            )
        names = {match[0]: _image(path, match, int(match["camera"]) - 1) for _, path, match in rows}
        images = images or names
        if names.keys() != images.keys() or len(rows) != len(images):
            raise UserError(
                f"{root}: split_{number + 1}a has other images than split_1a, or one twice; get both again."
            )
        for place, _, match in rows:
            key = METABIN10.name, number, ROLES[place]
            splits.setdefault(key, []).append(images[match[0]].path)
    ours = across_cameras(list(images.values()), RAND10)
    made = {RAND10.name: generator(), METABIN10.name: "as MetaBIN's authors divided the images into folders"}
    return Parsed(list(images.values()), ours | splits, generators=made)


def _image(path: str, match: re.Match, camera: int) -> Image:
    return Image(
        path=path,
        person=match["identity"],
        person_raw=match["identity"],
        camera=camera,
        camera_raw=FOLDERS[camera],
        view=camera,
        attrs={"angle": str(int(match["angle"]))},
    )
