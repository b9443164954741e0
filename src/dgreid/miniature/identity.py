"""An identity: everything about a person that is the same in every camera.

The weights are those of a street, not of a colour wheel: most clothes are black, grey, white, navy or denim,
so people sometimes look alike and no table of colours solves the task.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

from dgreid.miniature.seeds import pick

COLOURS = {  # sRGB
    "black": (32, 32, 36), "charcoal": (62, 63, 68), "grey": (122, 123, 127), "silver": (172, 173, 175),
    "white": (222, 221, 216), "navy": (36, 44, 78), "blue": (48, 84, 148), "sky": (128, 160, 196),
    "denim": (66, 86, 118), "teal": (38, 104, 108), "green": (50, 104, 64), "olive": (94, 94, 60),
    "khaki": (160, 142, 106), "beige": (200, 184, 154), "brown": (102, 72, 50), "maroon": (108, 34, 44),
    "red": (172, 44, 44), "pink": (208, 142, 156), "orange": (200, 114, 54), "yellow": (206, 178, 78),
    "purple": (96, 62, 120),
}  # fmt: skip
UPPER = {
    "black": 0.20, "white": 0.13, "grey": 0.07, "charcoal": 0.08, "silver": 0.05, "navy": 0.08,
    "blue": 0.06, "sky": 0.04, "denim": 0.02, "teal": 0.02, "green": 0.03, "olive": 0.03, "khaki": 0.03,
    "beige": 0.04, "brown": 0.03, "maroon": 0.03, "red": 0.05, "pink": 0.03, "orange": 0.02,
    "yellow": 0.03, "purple": 0.02,
}  # fmt: skip
LOWER = {
    "black": 0.30, "denim": 0.16, "navy": 0.13, "charcoal": 0.12, "grey": 0.06, "khaki": 0.05,
    "beige": 0.04, "brown": 0.03, "olive": 0.03, "white": 0.03, "blue": 0.02, "maroon": 0.01,
    "red": 0.01, "green": 0.01,
}  # fmt: skip
SHOES = {
    "black": 0.34, "charcoal": 0.12, "white": 0.18, "brown": 0.14, "grey": 0.08, "navy": 0.05,
    "beige": 0.04, "red": 0.03, "blue": 0.02,
}  # fmt: skip
BAGS = {
    "black": 0.32, "charcoal": 0.1, "brown": 0.13, "navy": 0.1, "grey": 0.06, "red": 0.06, "beige": 0.07,
    "olive": 0.05, "blue": 0.05, "white": 0.03, "orange": 0.02, "teal": 0.01,
}  # fmt: skip
SKINS = ((228, 190, 166), (214, 168, 138), (194, 144, 112), (160, 112, 82), (120, 80, 58), (84, 56, 42))
HAIRS = {
    "black": (30, 26, 27), "dark brown": (54, 39, 31), "brown": (84, 57, 39), "light brown": (112, 80, 52),
    "blond": (164, 126, 62), "red": (126, 58, 32), "grey": (132, 131, 130),
}  # fmt: skip
PATTERNS = {
    "plain": 4.2, "logo": 1.1, "hoops": 1.1, "check": 0.9, "block": 0.9, "print": 0.8, "band": 0.7,
    "dots": 0.5, "pinstripe": 0.4,
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """A person. Colours are float32 RGB in 0..1, lengths are fractions of the standing height."""

    height: float  # standing height relative to the average
    stoutness: float
    woman: bool
    skin: np.ndarray
    hair: np.ndarray
    hair_style: str  # short, crop, bald, bob, long, ponytail, bun
    beard: bool
    headwear: str  # none, cap, beanie, hood
    headwear_colour: np.ndarray
    top: str  # tee, long, jacket (open), coat, tank
    top_pattern: str
    top_colours: np.ndarray  # (3, 3): main, second, inner shirt
    period: float  # of stripes and checks
    bottom: str  # trousers, shorts, skirt, dress
    bottom_pattern: str  # plain, seam, check, fade
    bottom_colours: np.ndarray  # (2, 3)
    shoes: str  # shoes, boots
    shoe_colour: np.ndarray
    bag: str  # none, backpack, shoulder, tote, hand
    bag_colour: np.ndarray
    bag_side: int
    scarf: bool
    scarf_colour: np.ndarray
    print_cells: np.ndarray  # (16, 24) of 0/1, the print of the cloth


def rgb(colour: tuple[int, int, int]) -> np.ndarray:
    """An sRGB byte triple as float32 in 0..1."""
    return np.array(colour, np.float32) / 255


def dye(rng: np.random.Generator, weights: dict[str, float], colourfulness: float = 1.0) -> np.ndarray:
    """Draw a cloth colour: a named one, in a random shade."""
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb(COLOURS[pick(rng, weights)]))
    hue += rng.uniform(-0.02, 0.02)
    saturation = min(saturation * rng.uniform(0.75, 1.2) * colourfulness, 0.82)
    value = np.clip(value * rng.uniform(0.8, 1.2), 0.1, 0.9)
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)


def _contrast(rng: np.random.Generator, first: np.ndarray, colourfulness: float) -> np.ndarray:
    """Draw a second colour that differs visibly from the first."""
    for _ in range(8):
        second = dye(rng, UPPER, colourfulness)
        if np.abs(second - first).sum() > 0.45:
            break
    return second


def draw_identity(rng: np.random.Generator, season: float, colourfulness: float) -> Identity:
    """Draw a person dressed for the season (0 winter .. 1 summer).

    Args:
        rng: the person's own stream.
        season: the domain's.
        colourfulness: the domain's factor on the saturation of cloth.
    """
    woman = bool(rng.random() < 0.5)
    skin = rgb(SKINS[int(rng.integers(len(SKINS)))]) * np.float32(rng.uniform(0.93, 1.04))
    styles = (
        {"short": 1, "bob": 2.2, "long": 2.8, "ponytail": 2.2, "bun": 1.2}
        if woman
        else {"short": 4, "crop": 3, "bald": 0.8, "bob": 0.4, "long": 0.3}
    )
    hair = rgb(HAIRS[pick(rng, dict(zip(HAIRS, (3.2, 2.4, 1.8, 1.0, 1.0, 0.5, 0.8), strict=True)))])
    while np.abs(hair - skin).sum() < 0.5:  # hair seen from behind must not read as skin
        hair = hair * np.float32(0.85)
    warm = {"tee": 4.5, "tank": 0.9 if woman else 0.5, "long": 2.0, "jacket": 0.6, "coat": 0.05}
    cold = {"tee": 0.2, "tank": 0.02, "long": 2.4, "jacket": 2.6, "coat": 2.6}
    top = pick(rng, {name: season * warm[name] + (1 - season) * cold[name] for name in warm})
    summer = max(0.0, season - 0.3)
    bottom = pick(
        rng,
        {
            "trousers": 3.5,
            "shorts": 2.6 * summer,
            "skirt": (0.35 + 1.0 * summer) * woman,
            "dress": (0.25 + 1.0 * summer) * woman * (top in ("tee", "tank", "long")),
        },
    )
    main = dye(rng, UPPER, colourfulness)
    bare = bottom in ("shorts", "skirt", "dress")
    return Identity(
        height=rng.uniform(0.90, 1.0) if woman else rng.uniform(0.94, 1.04),
        stoutness=float(np.clip(rng.normal(1, 0.13), 0.78, 1.4)),
        woman=woman,
        skin=skin,
        hair=hair,
        hair_style=pick(rng, styles),
        beard=not woman and bool(rng.random() < 0.25),
        headwear=pick(
            rng, {"none": 0.8, "cap": 0.1, "beanie": 0.14 * (1 - season), "hood": 0.07 * (1 - season)}
        ),
        headwear_colour=dye(rng, BAGS, colourfulness),
        top=top,
        top_pattern=pick(rng, PATTERNS if top not in ("coat", "jacket") else {**PATTERNS, "plain": 9.0}),
        top_colours=np.stack(
            [main, _contrast(rng, main, colourfulness), _contrast(rng, main, colourfulness)]
        ),
        period=rng.uniform(0.035, 0.075),
        bottom=bottom,
        bottom_pattern=pick(rng, {"plain": 5, "seam": 0.7, "check": 0.5, "fade": 0.9}),
        bottom_colours=np.stack([dye(rng, LOWER, colourfulness), dye(rng, UPPER, colourfulness)]),
        shoes=pick(rng, {"shoes": 3.0, "boots": 0.25 + 1.2 * (1 - season) * (1.5 if bare else 1)}),
        shoe_colour=dye(rng, SHOES, colourfulness),
        bag=pick(
            rng,
            {
                "none": 1.3,
                "backpack": 1.2,
                "shoulder": 0.8,
                "tote": 0.5,
                "hand": 0.5 * (1.3 if woman else 0.3),
            },
        ),
        bag_colour=dye(rng, BAGS, colourfulness),
        bag_side=int(rng.choice((-1, 1))),
        scarf=bool(rng.random() < 0.3 * (1 - season)),
        scarf_colour=dye(rng, UPPER, colourfulness * 1.2),
        print_cells=(rng.random((16, 24)) < 0.45).astype(np.uint8),
    )
