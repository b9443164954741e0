"""QMUL i-LIDS: 119 identities in an airport hall, 476 images. JPEG, sizes vary, no camera labels.

Two to eight images per identity. Ten random splits: 59 identities train, of the other 60 one image is the
query and one other the gallery. The cameras are unknown, so images of the same camera cannot be left out.

Reference: Zheng, Gong and Xiang, Associating Groups of People, BMVC 2009.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout, SplitSet
from dgreid.datasets.names import has_names, match_names
from dgreid.datasets.records import Image, Parsed
from dgreid.datasets.splits import draw_pairs, generator, random_halves

NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>\d{3})\.jpg$")
FOLDERS = ("Persons", "images")  # as published; as some copies have it
IDENTITIES = frozenset(f"{number:04d}" for number in range(1, 120))  # one copy has a 120th, from another set
RAND10 = SplitSet(
    "ilids/rand10",
    count=10,
    frozen="1a17d3d43890a3e177b03eacea37d55a8f5056ce6a548e04beab1cb30019076a",
    halves=(119, "b01495a86f47cf73b92339f3509a9b3d56d3adb9c3d7618a124e5ece73132ce4"),
)
LAYOUT = Layout(
    title="QMUL i-LIDS",
    tree="i-LIDS_Pedestrian/Persons/0001001.jpg",
    nestings=(
        "",
        "i-LIDS_Pedestrian",
        "ilids/i-LIDS_Pedestrian",
        "QMUL-iLIDS",
        "QMUL-iLIDS/i-LIDS_Pedestrian",
    ),
    name=NAME,
    folders=FOLDERS,
    split_sets=(RAND10,),
    single_shot=True,
)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names and generate the ten splits."""
    images = [
        Image(path=path, person=match["identity"], person_raw=match["identity"], index=int(match["index"]))
        for path, match in match_names(root, _folder(root), NAME, LAYOUT.title)
    ]
    how = {RAND10.name: f"{generator()}; query and gallery: two random images"}
    parsed = Parsed(images, generators=how, identities=IDENTITIES)
    _split(parsed)
    return parsed


def _split(parsed: Parsed) -> None:
    paths: dict[str, list[str]] = {}
    for image in parsed.images:
        paths.setdefault(image.person, []).append(image.path)
    halves = random_halves([identity for identity in paths if len(paths[identity]) > 1], halves=RAND10.halves)
    pairs = draw_pairs(paths, [test for _, test in halves])
    for number, ((train, _), (query, gallery)) in enumerate(zip(halves, pairs, strict=True)):
        parsed.splits[RAND10.name, number, "train"] = [path for identity in train for path in paths[identity]]
        parsed.splits[RAND10.name, number, "query"] = query
        parsed.splits[RAND10.name, number, "gallery"] = gallery


def _folder(root: Path) -> str:
    """The folder whose images have the right names; a folder called "images" may hold anything."""
    held = LAYOUT.places(root)
    return next((folder for folder, name in held if has_names(root, [(folder, name)])), held[0][0])
