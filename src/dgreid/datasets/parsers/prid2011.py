"""PRID2011, single-shot version: 385 identities in camera A, 749 in B, 200 of them in both. PNG, 128 x 64.

The first 200 numbers are the same identity in both cameras; from 201 on the same number means different
identities, so 934 identities in 1,134 images. Ten random splits of the shared identities: 100 train, 100 are
queries (A) in a gallery of 649 (B: those 100 and the 549 seen by B only). `single_shot` is chosen by the
names of its images: the multi-shot version has folders of tracks.

Reference: Hirzer et al., Person Re-identification by Descriptive and Discriminative Classification,
SCIA 2011.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout, SplitSet
from dgreid.datasets.names import match_folders
from dgreid.datasets.records import Image, Parsed
from dgreid.datasets.splits import across_cameras, generator

NAME = re.compile(r"^person_(?P<identity>\d{4})\.png$")
FOLDERS = ("cam_a", "cam_b")
RAND10 = SplitSet(
    "prid/rand10",
    count=10,
    frozen="12b04f1703532a5719fde0eebdf9f0384bf7e89748ee862f017088302996015b",
    halves=(200, "7a5b8aabab892d433a283be49e5b2fab055515084b79066c55c83dfdb182826a"),
)
LAYOUT = Layout(
    title="PRID2011 (single-shot)",
    tree="prid_2011/single_shot/{cam_a,cam_b}/person_0001.png",
    nestings=(
        "single_shot",
        "prid_2011/single_shot",
        "prid2011/prid_2011/single_shot",
        "prid2011/single_shot",
    ),
    name=NAME,
    folders=FOLDERS,
    together=True,
    options=("shared",),
    split_sets=(RAND10,),
    single_shot=True,
)


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and generate the ten splits; a copy with an empty folder is partial.

    Option `shared` (default 200): the number up to which both cameras show the same identities.
    """
    shared = int(options.get("shared", 200))
    rows, missing = match_folders(root, FOLDERS, NAME, LAYOUT.title)
    images = [
        Image(
            path=path,
            person=raw if int(raw := match["identity"]) <= shared else f"{'ab'[camera]}:{raw}",
            person_raw=match["identity"],
            camera=camera,
            camera_raw=FOLDERS[camera],
            view=camera,
        )
        for camera, path, match in rows
    ]
    splits = {} if missing else across_cameras(images, RAND10)
    return Parsed(images, splits, missing, {RAND10.name: generator()} if splits else {})
