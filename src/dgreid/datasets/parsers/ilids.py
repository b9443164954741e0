"""QMUL i-LIDS: 119 people of an airport hall, 476 images. JPEG, sizes vary, no camera labels.

Two to eight images per person. Ten random splits: 59 people train, of the other 60 one image is the
query and one other the gallery. The cameras are unknown, so the same-camera rule cannot apply.

Reference: Zheng, Gong and Xiang, Associating Groups of People, BMVC 2009.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, Places, find_root, has_names, here, match_names
from dgreid.datasets.splits import draw_pairs, generator, random_halves

TITLE = "QMUL i-LIDS"
TREE = "i-LIDS_Pedestrian/Persons/0001001.jpg"
NESTINGS = ("", "i-LIDS_Pedestrian", "ilids/i-LIDS_Pedestrian", "QMUL-iLIDS", "QMUL-iLIDS/i-LIDS_Pedestrian")
NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>\d{3})\.jpg$")
FOLDERS = ("Persons", "images")  # as published; as some copies have it
PEOPLE = frozenset(f"{number:04d}" for number in range(1, 120))  # one copy has a 120th, of another set
SPLIT_SET = "ilids/rand10"


def find(folder: Path) -> Path:
    """The folder that holds Persons (or images)."""
    return find_root(folder, places, NESTINGS, TITLE, TREE)


def places(path: Path) -> Places:
    """What makes `path` the root: its image folder, or folders that might be it."""
    return here(path, NAME, *FOLDERS)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names and draw the ten splits."""
    images = [
        Image(path=path, person=match["identity"], person_raw=match["identity"], index=int(match["index"]))
        for path, match in match_names(root, _folder(root), NAME, TITLE)
    ]
    how = {SPLIT_SET: f"{generator()}; query and gallery: two random images"}
    parsed = Parsed(images, generators=how, people=PEOPLE)
    _split(parsed)
    return parsed


def _split(parsed: Parsed) -> None:
    paths: dict[str, list[str]] = {}
    for image in parsed.images:
        paths.setdefault(image.person, []).append(image.path)
    halves = random_halves([person for person in paths if len(paths[person]) > 1])
    pairs = draw_pairs(paths, [test for _, test in halves])
    for number, ((train, _), (query, gallery)) in enumerate(zip(halves, pairs, strict=True)):
        parsed.splits[SPLIT_SET, number, "train"] = [path for person in train for path in paths[person]]
        parsed.splits[SPLIT_SET, number, "query"] = query
        parsed.splits[SPLIT_SET, number, "gallery"] = gallery


def _folder(root: Path) -> str:
    """The folder whose images are named right; "images" alone may be anything."""
    held = places(root)
    return next((folder for folder, name in held if has_names(root, [(folder, name)])), held[0][0])
