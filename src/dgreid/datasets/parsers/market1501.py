"""Market-1501: 1,501 identities, 6 cameras, one fixed split.

Train 751 identities / 12,936 images; query 750 / 3,368; gallery 19,732 = 13,115 of identities + 2,798
distractors (0000: stay in the gallery, never match) + 3,819 junk (-1: ignored by every evaluation).
JPEG, 128 x 64. The official page says 2,793 distractors; the shipped testID.mat says 2,798.

Reference: Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout
from dgreid.datasets.names import match_names
from dgreid.datasets.records import Image, Parsed
from dgreid.errors import UserError

NAME = re.compile(
    r"^(?P<identity>-1|\d{4})_c(?P<camera>[1-6])s(?P<sequence>[1-6])_(?P<frame>\d{6})_(?P<index>\d{2})\.jpg$"
)
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
LAYOUT = Layout(
    title="Market-1501",
    tree="Market-1501-v15.09.15/{bounding_box_train,bounding_box_test,query}/0002_c1s1_000451_03.jpg",
    nestings=(
        "",
        "Market-1501-v15.09.15",
        "market1501/Market-1501-v15.09.15",
        "Market-1501",
        "market1501",
        "market",
    ),
    name=NAME,
    folders=tuple(FOLDERS.values()),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; a copy without one of the three folders is partial."""
    return parse_folders(root, LAYOUT, "market1501/official")


def parse_folders(root: Path, layout: Layout, split_set: str) -> Parsed:
    """Read the three folders of a data set in Market's layout."""
    images, splits, missing = [], {}, []
    for role, folder in FOLDERS.items():
        names = match_names(root, folder, layout.name, layout.title)
        rows = [_image(path, match, role) for path, match in names]
        if not rows:
            missing.append(folder)
            continue
        images += rows
        splits[split_set, 0, role] = [row.path for row in rows if row.kind != "junk"]
    return Parsed(images, splits, tuple(missing))


def _image(path: str, match: re.Match, role: str) -> Image:
    part = match.groupdict()
    identity, camera = part["identity"], int(part["camera"])
    # only Market has the two special numbers, and only outside the training folder
    kind = {"-1": "junk", "0000": "distractor"}.get(identity, "person") if "sequence" in part else "person"
    if kind != "person" and role == "train":
        raise UserError(f"{path}: a {kind} image cannot be in the training folder; get the published copy.")
    return Image(
        path=path,
        person=identity if kind == "person" else None,
        person_raw=identity,
        kind=kind,
        role=role,
        camera=camera - 1,
        camera_raw=f"c{camera}",
        sequence=int(part["sequence"]) if "sequence" in part else None,
        frame=int(part["frame"]) if "frame" in part else None,
        index=int(part["index"]) if "index" in part else None,
    )
