"""VIPeR: 632 people, one image from each of two cameras (1,264). BMP, 128 x 48.

Identities run 0..873 with gaps. Ten random splits in 316 training and 316 test people; queries are
cam_a, the gallery is cam_b.

MetaBIN's authors hand out their own splits, as copies of all images encoded again in PNG:
`split_1a/{train,query,gallery}/p000_c1_d045.png` to `split_10a`, c1 being cam_a (`b`, `c` and `d` are the
same halves and cameras exchanged; its evaluation takes `a` alone). Such a copy is the images of `split_1a`,
and its ten splits are the split set `viper/metabin10_a2b`. Known from the released code; none was at hand.

Reference: Gray, Brennan and Tao, Evaluating Appearance Models for Recognition, Reacquisition, and
Tracking, PETS 2007.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, Places, find_root, here, match_folders
from dgreid.datasets.splits import COUNT, across_cameras, generator
from dgreid.errors import UserError

TITLE = "VIPeR"
TREE = "VIPeR/{cam_a,cam_b}/000_45.bmp"
NESTINGS = ("", "VIPeR", "viper/VIPeR", "viper")
NAME = re.compile(r"^(?P<identity>\d{3})_(?P<angle>\d{1,3})\.bmp$")
FOLDERS = ("cam_a", "cam_b")
SPLIT_SET = "viper/rand10_a2b"
ENCODED = re.compile(r"^p(?P<identity>\d{3})_c(?P<camera>[12])_d(?P<angle>\d{3})\.png$")
ROLES = ("train", "query", "gallery")
AUTHORS_SPLITS = "viper/metabin10_a2b"


def find(folder: Path) -> Path:
    """The folder that holds cam_a and cam_b, or split_1a."""
    return find_root(folder, places, NESTINGS, TITLE, TREE, [(name, NAME) for name in FOLDERS])


def places(path: Path) -> Places:
    """What makes `path` the root: the folders of both cameras, or else those of MetaBIN's splits."""
    released = here(path, NAME, *FOLDERS, together=True)
    return released or [place for number in range(COUNT) for place in _split_folders(path, number)]


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and draw the ten splits; a copy with an empty folder is partial.

    Raises:
        UserError: MetaBIN's splits are not of the same images.
    """
    if not here(root, NAME, *FOLDERS, together=True):
        return _parse_splits(root)
    rows, missing = match_folders(root, FOLDERS, NAME, TITLE)
    images = [_image(path, match, camera) for camera, path, match in rows]
    splits = {} if missing else across_cameras(images, SPLIT_SET)
    return Parsed(images, splits, missing, {SPLIT_SET: generator()} if splits else {})


def _split_folders(root: Path, number: int) -> Places:
    return here(root, ENCODED, *(f"split_{number + 1}a/{role}" for role in ROLES), together=True)


def _parse_splits(root: Path) -> Parsed:
    """MetaBIN's copies of the images: those of the first split, and how every split divides them."""
    images: dict[str, Image] = {}
    splits: dict[tuple[str, int, str], list[str]] = {}
    for number in range(COUNT):
        folders = [folder for folder, _ in _split_folders(root, number)]
        rows, empty = match_folders(root, folders, ENCODED, TITLE)
        if not folders or empty:
            raise UserError(
                f"{root}: split_{number + 1}a of MetaBIN's copy of {TITLE} is not whole; get all ten again."
            )
        names = {match[0]: _image(path, match, int(match["camera"]) - 1) for _, path, match in rows}
        images = images or names
        if names.keys() != images.keys() or len(rows) != len(images):
            raise UserError(
                f"{root}: split_{number + 1}a has other images than split_1a, or one twice; get both again."
            )
        for place, _, match in rows:
            key = AUTHORS_SPLITS, number, ROLES[place]
            splits.setdefault(key, []).append(images[match[0]].path)
    drawn = across_cameras(list(images.values()), SPLIT_SET)
    made = {SPLIT_SET: generator(), AUTHORS_SPLITS: "as MetaBIN's authors divided the images into folders"}
    return Parsed(list(images.values()), drawn | splits, generators=made)


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
