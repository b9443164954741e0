"""The classes of things: a kind of thing, the pattern of its material, and two colours.

Classes share kinds, patterns and colours with each other, so that only all three together name one.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

from dgreid.miniature.canvas import Texture
from dgreid.miniature.seeds import generator
from dgreid.miniature.textures import pattern

PATTERNS = ("plain", "hoops", "pinstripe", "check", "dots", "print", "halves")
COLOURS = {  # hue, saturation, value
    "red": (0.0, 0.72, 0.72),
    "orange": (0.07, 0.75, 0.85),
    "yellow": (0.14, 0.68, 0.85),
    "green": (0.33, 0.55, 0.5),
    "teal": (0.48, 0.55, 0.55),
    "blue": (0.6, 0.65, 0.6),
    "purple": (0.77, 0.45, 0.5),
    "pink": (0.93, 0.42, 0.85),
    "brown": (0.07, 0.55, 0.38),
    "white": (0.1, 0.04, 0.88),
    "grey": (0.6, 0.04, 0.5),
    "black": (0.6, 0.1, 0.14),
}


@dataclass(frozen=True)
class Class:
    """What a picture is named by."""

    kind: str
    pattern: str
    main: str  # names in COLOURS
    second: str

    @property
    def title(self) -> str:
        """All of it in words, which also name its pictures' random streams."""
        return f"{self.kind}, {self.pattern}, {self.main} and {self.second}"


@dataclass(frozen=True)
class Look:
    """The material of a specimen of a class: its colours in a random shade, its pattern in a random size."""

    pattern: str
    main: np.ndarray  # (3,) float32
    second: np.ndarray
    period: float
    print_cells: np.ndarray  # (16, 24) of 0/1

    def cloth(self) -> Texture:
        """The patterned material, by azimuth and by height 0 .. 1 on the thing."""
        palette = np.stack([self.main, self.second])
        if self.pattern == "halves":
            return Texture(palette, lambda azimuth, height: (height < 0.5).astype(np.intp))
        of = pattern(self, self.pattern)
        return Texture(palette, lambda azimuth, height: of(azimuth, height * np.float32(0.4)))

    def trim(self) -> Texture:
        """The plain second colour."""
        return Texture(self.second[None])


def draw_classes(kinds: tuple[str, ...], looks: int, seed: int) -> list[Class]:
    """Draw `looks` classes of every kind."""
    found: dict[Class, None] = {}
    for kind in kinds:
        rng, wanted = generator(seed, "looks", kind), len(found) + looks
        while len(found) < wanted:
            main, second = rng.permutation(list(COLOURS))[:2]
            found[Class(kind, str(rng.choice(PATTERNS)), str(main), str(second))] = None
    return list(found)


def draw_look(rng: np.random.Generator, named: Class) -> Look:
    """Draw a specimen of a class."""
    return Look(
        named.pattern,
        _shade(rng, named.main),
        _shade(rng, named.second),
        period=rng.uniform(0.05, 0.09),
        print_cells=(generator("print", named.kind, named.main).random((16, 24)) < 0.45).astype(np.uint8),
    )


def _shade(rng: np.random.Generator, name: str) -> np.ndarray:
    hue, saturation, value = COLOURS[name]
    hue = (hue + rng.uniform(-0.02, 0.02)) % 1
    saturation = min(saturation * rng.uniform(0.75, 1.2), 0.85)
    value = float(np.clip(value * rng.uniform(0.85, 1.15), 0.1, 0.92))
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)
