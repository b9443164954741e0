"""QMUL underGround Re-IDentification (GRID): 250 pairs and 775 distractors from a metro station.

250 probe images, 1,025 gallery images (250 matches + 775 distractors, all named 0000: 775 different
unknown identities). Its description speaks of eight cameras; 1-6 occur. JPEG, sizes vary. Ten official folds
of 125 training identities; the other 125 are queries in a gallery of 900 images.

Reference: Loy, Liu and Gong, Person Re-identification by Manifold Ranking, ICIP 2013.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout, SplitSet
from dgreid.datasets.mat import load_mat, reading
from dgreid.datasets.names import match_folders, read_lines
from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError

NAME = re.compile(
    r"^(?P<identity>\d{4})_(?P<camera>[1-8])_(?P<frame>\d+)"
    r"_(?P<x>-?\d+)_(?P<y>-?\d+)_(?P<w>\d+)_(?P<h>\d+)\.jpeg$"
)
FOLDERS = {"query": "probe", "gallery": "gallery"}
PARTITIONS = "features_and_partitions.mat"
FOLDS = "train_ids_10_folds.txt"  # the same ten folds as text, one line each
OFFICIAL10 = SplitSet(  # each fold trains on half of the pairs
    "grid/official10",
    count=10,
    frozen="ed29069ebfe03d22f6ea762a0cd5b6a35a346a4e307fd04194ca7faf56f1ed7b",
    shipped=True,
    certain=False,  # the folds are known from one copy, as text
)
LAYOUT = Layout(
    title="GRID",
    tree="underground_reid/{probe,gallery,features_and_partitions.mat}, "
    "probe/0001_1_25004_107_32_106_221.jpeg",
    nestings=("", "underground_reid", "grid/underground_reid", "GRID", "grid"),
    name=NAME,
    folders=tuple(FOLDERS.values()),
    together=True,
    split_sets=(OFFICIAL10,),
    single_shot=True,
)


def parse(root: Path, options: dict) -> Parsed:
    """Read probe and gallery and the official folds; a copy without one of these is partial."""
    rows, missing = match_folders(root, LAYOUT.folders, NAME, LAYOUT.title)
    images = [_image(path, match, tuple(FOLDERS)[number]) for number, path, match in rows]
    folds = read_folds(root)
    if not folds:
        missing += (PARTITIONS,)
    parsed = Parsed(images, {}, missing)
    if not missing:
        _split(parsed, folds, root)
    return parsed


def read_folds(root: Path) -> list[list[int]]:
    """The training identities of each official fold; empty if neither file is here.

    Raises:
        UserError: the file is not what it should be.
    """
    if (root / PARTITIONS).is_file():
        return _read_partitions(root / PARTITIONS)
    if (root / FOLDS).is_file():
        try:
            return [sorted(map(int, line.split())) for line in read_lines(root / FOLDS)]
        except ValueError as error:
            raise UserError(f"{root / FOLDS}: expected one line of identity numbers per fold.") from error
    return []


def _read_partitions(path: Path) -> list[list[int]]:
    with reading(path, "trainIdxAll with ten folds"):
        cells = load_mat(path)["trainIdxAll"].ravel()  # 1 x 10 cell of structs; the third field holds the ids
        return [sorted(int(identity) for identity in cell[0][0][2].ravel()) for cell in cells]


def _image(path: str, match: re.Match, role: str) -> Image:
    identity = match["identity"]
    distractor = identity == "0000"
    if distractor and role == "query":
        raise UserError(f"{path}: a distractor (0000) cannot be a probe; get the published copy.")
    return Image(
        path=path,
        person=None if distractor else identity,
        person_raw=identity,
        kind="distractor" if distractor else "person",
        role=role,
        camera=int(match["camera"]) - 1,
        camera_raw=match["camera"],
        frame=int(match["frame"]),
        bbox=tuple(int(match[key]) for key in "xywh"),
    )


def _check_folds(folds: list[list[int]], identities: list[int], root: Path) -> None:
    """Check that there are ten folds, each of half of the identities (125 of 250), each of them once."""
    if len(folds) != OFFICIAL10.count:
        raise UserError(
            f"{root}: {len(folds)} folds instead of {OFFICIAL10.count}; get the published folds again."
        )
    for number, fold in enumerate(folds, start=1):
        if not set(fold) <= set(identities):
            raise UserError(
                f"{root}: fold {number} names identities that are not among the probes; get the "
                "published folds and images again."
            )
        if len(set(fold)) != len(fold) or len(fold) != len(identities) // 2:
            raise UserError(
                f"{root}: fold {number} has {len(set(fold))} different identities in {len(fold)} entries "
                f"instead of {len(identities) // 2}; get the published folds again."
            )


def _split(parsed: Parsed, folds: list[list[int]], root: Path) -> None:
    probes, matches = (
        {int(i.person): i.path for i in parsed.images if i.role == role and i.person}
        for role in ("query", "gallery")
    )
    distractors = [i.path for i in parsed.images if i.kind == "distractor"]
    identities = sorted(probes.keys() & matches.keys())
    _check_folds(folds, identities, root)
    for number, fold in enumerate(folds):
        test = [identity for identity in identities if identity not in set(fold)]
        parsed.splits[OFFICIAL10.name, number, "train"] = [f[p] for p in fold for f in (probes, matches)]
        parsed.splits[OFFICIAL10.name, number, "query"] = [probes[p] for p in test]
        parsed.splits[OFFICIAL10.name, number, "gallery"] = [matches[p] for p in test] + distractors
