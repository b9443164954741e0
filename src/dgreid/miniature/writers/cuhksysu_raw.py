"""CUHK-SYSU as released for person search: `Image/SSM/s1.jpg` and `annotation/Person.mat`.

Scenes are photographs with several people side by side; Person.mat lists for each person (`idname`,
`nAppear`) the scenes with their boxes (`imname`, `idlocate` = x, y, width, height, `ishard`); x and y count
from 1, as in MATLAB, and a box covers width + 1 columns and height + 1 rows.
"""

import io
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.io import savemat

from dgreid.miniature.render import World
from dgreid.miniature.style import jpeg
from dgreid.miniature.writers import Item, cuhksysu, need

ENCODING = "png"  # of the crops that make the scenes
GAP = 6  # pixels between two people


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the same identities as the ready crops; `pack` composes the scenes."""
    need(sizes, "identities", "scenes", "most_appearances")
    return cuhksysu.plan(sizes, world)


def pack(drawn: list[tuple[Item, bytes]], sizes: dict[str, int], world: World) -> Iterator[tuple[str, bytes]]:
    """Pack the scenes, each with its people in a row, and the annotation."""
    scenes, persons = defaultdict(list), defaultdict(list)
    for item, content in drawn:
        identity, _, scene, hard = item.path.rsplit("/")[-1].removesuffix(".png").split("_")
        scenes[int(scene[1:])].append((identity, hard == "hard1", Image.open(io.BytesIO(content))))
    for number, people in sorted(scenes.items()):
        width = GAP + sum(crop.width + GAP for _, _, crop in people)
        photograph = Image.new(
            "RGB", (width, 2 * GAP + max(crop.height for *_, crop in people)), (120, 120, 110)
        )
        x = GAP
        for identity, hard, crop in people:
            photograph.paste(crop, (x, GAP))
            box = (x + 1, GAP + 1, crop.width - 1, crop.height - 1)  # counted from 1, inclusive
            persons[identity].append((f"s{number}.jpg", box, hard))
            x += crop.width + GAP
        yield f"Image/SSM/s{number}.jpg", jpeg(photograph, world.style.quality)
    yield "annotation/Person.mat", _annotation(persons)


def _annotation(persons: dict[str, list[tuple]]) -> bytes:
    table = np.zeros(len(persons), [("idname", object), ("nAppear", object), ("scene", object)])
    for row, (identity, appearances) in zip(table, sorted(persons.items()), strict=True):
        scenes = np.zeros(len(appearances), [("imname", object), ("idlocate", object), ("ishard", object)])
        for scene, (name, box, hard) in zip(scenes, appearances, strict=True):
            scene["imname"], scene["idlocate"], scene["ishard"] = name, np.array(box), int(hard)
        row["idname"], row["nAppear"], row["scene"] = f"p{int(identity[1:])}", len(appearances), scenes
    buffer = io.BytesIO()
    savemat(buffer, {"Person": table})
    header = b"MATLAB 5.0 MAT-file, drawn by dgreid".ljust(116)  # in place of the date of writing
    return header + buffer.getvalue()[116:]
