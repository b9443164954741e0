"""Things, none of them a person: each kind is painted from the solids of `canvas`.

Thing coordinates: x to the right, y up from the ground, both in heights of the thing; the stand turns and
scales it. The patterned material is on the thing's main part, the second colour on the rest.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dgreid.miniature.canvas import Canvas, Texture
from dgreid.miniature.looks import Look

STROKES = {  # letters as strokes (x, y, x, y) in a box of width 0.7 and height 1
    "A": [(0, 0, 0.35, 1), (0.7, 0, 0.35, 1), (0.15, 0.4, 0.55, 0.4)],
    "E": [(0, 0, 0, 1), (0, 1, 0.6, 1), (0, 0.5, 0.5, 0.5), (0, 0, 0.6, 0)],
    "H": [(0, 0, 0, 1), (0.65, 0, 0.65, 1), (0, 0.5, 0.65, 0.5)],
    "K": [(0, 0, 0, 1), (0, 0.45, 0.6, 1), (0.12, 0.55, 0.65, 0)],
    "T": [(0.35, 0, 0.35, 1), (0, 1, 0.7, 1)],
    "Z": [(0, 1, 0.7, 1), (0.7, 1, 0, 0), (0, 0, 0.7, 0)],
}  # fmt: skip


class Stand(NamedTuple):
    """Where a thing stands in the image, and how it is turned."""

    canvas: Canvas
    x: float  # pixels, of its middle
    y: float  # pixels, of its ground
    scale: float  # pixels per height of the thing
    wide: float  # factor on its width
    yaw: float  # radians

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Position of a point in the image, (column, row)."""
        return self.x + self.scale * self.wide * x, self.y - self.scale * y

    def rod(self, start: tuple, end: tuple, radii: tuple, texture: Texture) -> None:
        """A tapered rod between two points."""
        size = [radius * self.scale for radius in radii]
        self.canvas.capsule(self.place(*start), self.place(*end), size, texture, self.yaw)

    def ball(self, centre: tuple, radii: tuple, texture: Texture) -> None:
        """A ball with half axes `radii`; the texture's height is 0 at the bottom, 1 at the top."""
        index = texture.index
        halved = Texture(texture.palette, index and (lambda a, h: index(a, (h + 1) / 2)))
        size = (radii[0] * self.scale * self.wide, radii[1] * self.scale)
        self.canvas.ellipsoid(self.place(*centre), size, halved, self.yaw)

    def turned(self, profile: list[tuple[float, float]], texture: Texture, x: float = 0.0) -> None:
        """A turned body: (y, half width) from the top down; the texture's height is 0 .. 1 over all of it."""
        ys = [self.place(x, y)[1] for y, _ in profile]
        halves = [max(half * self.scale * self.wide, 0.3) for _, half in profile]
        high, low = profile[0][0], profile[-1][0]
        heights = np.array([(y - low) / (high - low) for y, _ in profile])
        middle = [self.place(x, 0)[0]] * len(profile)
        self.canvas.stack(ys, middle, halves, heights, texture, self.yaw)


def _ball(s: Stand, look: Look) -> None:
    s.ball((0, 0.3), (0.3, 0.3), look.cloth())


def _bottle(s: Stand, look: Look) -> None:
    s.turned([(0.72, 0.06), (0.62, 0.1), (0.52, 0.17), (0.0, 0.17)], look.cloth())
    s.turned([(0.95, 0.05), (0.94, 0.06), (0.70, 0.06)], look.trim())


def _vase(s: Stand, look: Look) -> None:
    s.turned([(0.8, 0.14), (0.7, 0.1), (0.55, 0.16), (0.35, 0.25), (0.1, 0.16), (0.0, 0.13)], look.cloth())
    s.turned([(0.85, 0.17), (0.78, 0.14)], look.trim())


def _barrel(s: Stand, look: Look) -> None:
    s.turned([(0.7, 0.2), (0.5, 0.26), (0.2, 0.26), (0.0, 0.2)], look.cloth())
    s.turned([(0.56, 0.255), (0.5, 0.262)], look.trim())
    s.turned([(0.2, 0.262), (0.14, 0.25)], look.trim())


def _lamp(s: Stand, look: Look) -> None:
    s.rod((0, 0), (0, 0.7), (0.025, 0.025), look.trim())
    s.turned([(0.05, 0.12), (0.0, 0.16)], look.trim())
    s.turned([(1.0, 0.12), (0.62, 0.26)], look.cloth())


def _fir(s: Stand, look: Look) -> None:
    s.rod((0, 0), (0, 0.3), (0.05, 0.04), look.trim())
    for low in (0.16, 0.4, 0.64):
        s.turned([(low + 0.36, 0.01), (low, 0.3 - 0.28 * low)], look.cloth())


def _tree(s: Stand, look: Look) -> None:
    s.rod((0, 0), (0, 0.6), (0.06, 0.04), look.trim())
    s.ball((0, 0.7), (0.3, 0.28), look.cloth())


def _mushroom(s: Stand, look: Look) -> None:
    s.turned([(0.5, 0.09), (0.2, 0.1), (0.0, 0.13)], look.trim())
    s.turned([(0.75, 0.05), (0.7, 0.17), (0.58, 0.29), (0.44, 0.34), (0.42, 0.3)], look.cloth())


def _balloon(s: Stand, look: Look) -> None:
    s.rod((0, 0.05), (0.04, 0.45), (0.012, 0.012), look.trim())
    s.ball((0, 0.7), (0.24, 0.3), look.cloth())


def _lighthouse(s: Stand, look: Look) -> None:
    s.turned([(0.78, 0.1), (0.0, 0.19)], look.cloth())
    s.turned([(0.8, 0.15), (0.76, 0.15)], look.trim())
    s.turned([(1.0, 0.01), (0.9, 0.12), (0.8, 0.09)], look.trim())


def _cactus(s: Stand, look: Look) -> None:
    s.turned([(0.2, 0.2), (0.0, 0.14)], look.trim())
    s.rod((0, 0.2), (0, 0.92), (0.1, 0.09), look.cloth())
    for side, y in ((-1, 0.5), (1, 0.4)):
        s.rod((0, y), (0.22 * side, y), (0.055, 0.055), look.cloth())
        s.rod((0.22 * side, y), (0.22 * side, y + 0.25), (0.055, 0.055), look.cloth())


def _table(s: Stand, look: Look) -> None:
    for x in (-0.3, -0.2, 0.2, 0.3):
        s.rod((x, 0), (x, 0.5), (0.025, 0.025), look.trim())
    s.turned([(0.58, 0.38), (0.46, 0.38)], look.cloth())


def _chair(s: Stand, look: Look) -> None:
    for x in (-0.2, 0.2):
        s.rod((x, 0), (x, 0.95), (0.03, 0.03), look.trim())
    s.turned([(0.95, 0.22), (0.6, 0.22)], look.cloth())
    s.turned([(0.46, 0.24), (0.38, 0.24)], look.cloth())


def _house(s: Stand, look: Look) -> None:
    s.turned([(0.5, 0.32), (0.0, 0.32)], look.cloth())
    s.turned([(0.85, 0.01), (0.48, 0.4)], look.trim())


def _car(s: Stand, look: Look) -> None:
    s.turned([(0.5, 0.18), (0.3, 0.28)], look.trim())
    s.turned([(0.32, 0.46), (0.12, 0.48)], look.cloth())
    dark = Texture(np.full((1, 3), 0.13, np.float32))
    for x in (-0.28, 0.28):
        s.ball((x, 0.1), (0.1, 0.1), dark)


def _mug(s: Stand, look: Look) -> None:
    for a, b in (((0.22, 0.15), (0.36, 0.2)), ((0.36, 0.2), (0.36, 0.45)), ((0.36, 0.45), (0.22, 0.5))):
        s.rod(a, b, (0.035, 0.035), look.trim())
    s.turned([(0.62, 0.25), (0.0, 0.22)], look.cloth())


def _sign(s: Stand, look: Look) -> None:
    s.rod((0, 0), (0, 0.7), (0.03, 0.03), look.trim())
    s.turned([(1.0, 0.26), (0.6, 0.26)], look.cloth())


def _cone(s: Stand, look: Look) -> None:
    s.turned([(0.06, 0.3), (0.0, 0.3)], look.trim())
    s.turned([(0.85, 0.03), (0.06, 0.24)], look.cloth())


def _wall(s: Stand, look: Look) -> None:
    s.turned([(1.1, 1.2), (-0.2, 1.2)], look.cloth())


def _letter(strokes: list[tuple]) -> Callable[[Stand, Look], None]:
    def paint(s: Stand, look: Look) -> None:
        for a, b, c, d in strokes:
            s.rod((a - 0.35, 0.85 * b), (c - 0.35, 0.85 * d), (0.08, 0.08), look.cloth())

    return paint


KINDS: dict[str, Callable[[Stand, Look], None]] = {
    "ball": _ball, "balloon": _balloon, "barrel": _barrel, "bottle": _bottle, "cactus": _cactus,
    "car": _car, "chair": _chair, "cone": _cone, "fir": _fir, "house": _house, "lamp": _lamp,
    "lighthouse": _lighthouse, "mug": _mug, "mushroom": _mushroom, "sign": _sign, "table": _table,
    "tree": _tree, "vase": _vase, "wall": _wall,
    **{f"letter {name}": _letter(strokes) for name, strokes in STROKES.items()},
}  # fmt: skip
