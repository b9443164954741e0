"""Patterns of cloth, faces and hair, as palettes and index functions (see `canvas.Texture`).

In the palette of a garment the first three entries are the main, the second and the inner colour; what lies
over the cloth (skin at the neck, straps, belt) is appended and painted by later rules.
"""

import numpy as np

from dgreid.miniature.canvas import Texture
from dgreid.miniature.identity import Identity

GIRTH = 0.095  # body radius used to turn azimuths into lengths


def pattern(person: Identity, name: str, sleeve: bool = False):
    """The index function (0 main, 1 second colour) of a named pattern; `sleeve`: on an arm or leg."""
    period, cells = np.float32(person.period), person.print_cells

    def hoops(azimuth, height):
        return (np.remainder(height, period) < period / 2).astype(np.intp)

    def check(azimuth, height):
        across = np.remainder(azimuth * GIRTH, period) < period / 2
        return (across ^ (np.remainder(height, period) < period / 2)).astype(np.intp)

    def dots(azimuth, height):
        u = np.remainder(azimuth * GIRTH, period) / period - 0.5
        v = np.remainder(height, period) / period - 0.5
        return (u * u + v * v < 0.09).astype(np.intp)

    def pinstripe(azimuth, height):
        return (np.remainder(azimuth * GIRTH, period * 0.7) < period * 0.25).astype(np.intp)

    def printed(azimuth, height):
        row = np.remainder(height * 60, 16).astype(np.intp)
        return cells[row, ((azimuth + 3.1416) * 3.8).astype(np.intp) % 24].astype(np.intp)

    def block(azimuth, height):
        return (height < 0.655).astype(np.intp)

    def band(azimuth, height):
        return ((height > 0.64) & (height < 0.64 + 0.07)).astype(np.intp)

    def logo(azimuth, height):
        return ((np.abs(azimuth) < 0.5) & (height > 0.655) & (height < 0.725)).astype(np.intp)

    def same(azimuth, height):
        return np.zeros(azimuth.shape, np.intp)

    whole = {"hoops": hoops, "check": check, "dots": dots, "pinstripe": pinstripe, "print": printed}
    if sleeve:
        return whole.get(name, same)
    return {**whole, "block": block, "band": band, "logo": logo}.get(name, same)


def torso(person: Identity, hem: float) -> Texture:
    """The garment on the trunk: pattern, collar, open front, straps and belt."""
    cloth = pattern(person, person.top_pattern)
    palette = np.stack(
        [*person.top_colours, person.skin, person.bag_colour * 0.9, person.top_colours[0] * 0.6]
    )
    side, bag = person.bag_side, person.bag
    low_neck = 0.775 if person.top == "tank" else 0.795 if person.woman else 0.805
    front_open = person.top == "jacket"
    coat = person.top == "coat"
    belted = person.bottom == "dress" and person.top_pattern in ("plain", "dots", "print")

    def index(azimuth, height):
        chosen = cloth(azimuth, height)
        away = np.abs(azimuth)
        if front_open:
            chosen[away < 0.16 + 0.9 * (height - hem)] = 2
        if coat:
            chosen[(away < 0.5 * (height - 0.66)) & (height > 0.68)] = 2  # lapels show the shirt
            chosen[away < 0.035] = 5
        chosen[(height > low_neck + 0.05 * away) & (away < 1.0)] = 2 if front_open or coat else 3
        if person.top == "tank":
            chosen[(height > 0.775) & (away > 0.85) & (away < 2.3)] = 3
        if belted:
            chosen[np.abs(height - 0.605) < 0.011] = 5
        if bag == "backpack":
            chosen[(np.abs(away - 0.62) < 0.15) & (height > 0.62)] = 4
        if bag == "shoulder":  # a strap from one shoulder to the other hip, in front and behind
            chosen[np.abs(height - 0.66 - 0.16 * np.sin(azimuth) * -side) < 0.014] = 4
        return chosen

    return Texture(palette, index)


def trunk_bottom(person: Identity) -> Texture:
    """Skirt, shorts or the seat of trousers, by body height."""
    palette = np.stack([*person.bottom_colours, person.bottom_colours[0] * 0.75])
    checked = person.bottom_pattern == "check"
    cloth = pattern(person, "check" if checked else "plain")
    seam = person.bottom_pattern == "seam"

    def index(azimuth, height):
        chosen = cloth(azimuth, height)
        if seam:
            chosen[np.abs(np.abs(azimuth) - np.pi / 2) < 0.3] = 1
        return chosen

    return Texture(palette, index)


def sleeve(person: Identity, top: float, bottom: float, covered: float) -> Texture:
    """An arm segment between two heights along the arm; cloth down to the fraction `covered`, then skin."""
    main = person.top_colours[1] if person.top_pattern == "block" else person.top_colours[0]
    palette = np.stack([main, person.top_colours[1], person.skin])
    cloth = pattern(person, person.top_pattern, sleeve=True)

    def index(azimuth, height):
        chosen = cloth(azimuth * 0.4, top + (bottom - top) * height)
        chosen[height > covered] = 2
        return chosen

    return Texture(palette, index)


def leg(person: Identity, lower: bool) -> Texture:
    """Thigh or shin: trousers, shorts or bare, boots on the shin."""
    cloth, second = person.bottom_colours
    palette = np.stack([cloth, second, person.skin, person.shoe_colour, cloth * 0.55 + 0.4])
    checked = pattern(person, "check" if person.bottom_pattern == "check" else "plain", sleeve=True)
    bare, short = person.bottom in ("skirt", "dress"), person.bottom == "shorts"
    boots = person.shoes == "boots"
    tights = bare and person.top in ("coat", "jacket")  # no bare legs in winter

    def index(azimuth, height):
        chosen = checked(azimuth * 0.6, height * 0.235)
        if person.bottom_pattern == "seam":
            chosen[np.abs(np.abs(azimuth) - np.pi / 2) < 0.45] = 1
        if person.bottom_pattern == "fade" and not lower:
            chosen[(np.abs(azimuth) < 0.6) & (height > 0.35)] = 4
        if (bare and not tights) or (short and lower):
            chosen[:] = 2
        elif tights:
            chosen[:] = 5
        if short and not lower:
            chosen[height > 0.8] = 2
        if lower and boots:
            chosen[height > 0.42] = 3
        return chosen

    return Texture(np.concatenate([palette, np.full((1, 3), 0.13, np.float32)]), index)


def head(person: Identity) -> Texture:
    """Face, hair line, beard and headwear on the ball of the head; height -1 chin .. 1 crown."""
    shade = np.stack([person.hair * 0.78, person.hair, person.hair * 1.12])
    beard = 0.55 * person.hair + 0.3 * person.skin
    palette = np.concatenate([
        shade, np.stack([person.skin, person.skin * 0.72, person.skin * 0.35, person.headwear_colour, beard]),
    ])  # fmt: skip
    style, wear = person.hair_style, person.headwear
    line = {"bald": 2.0, "crop": 0.55, "short": 0.42}.get(style, 0.38)
    nape = {"bald": 2.0, "crop": -0.35, "short": -0.6}.get(style, -0.95)
    side = 1.05 if style in ("short", "crop", "bald") else 0.92

    def index(azimuth, height):
        away = np.abs(azimuth)
        chosen = ((azimuth * 3.3 + height * 0.8) % 1.0 * 3).astype(np.intp)  # strands
        face = (away < side) & (height < line - 0.12 * away)
        bare = (away >= side) & (height < nape + 0.25 * np.maximum(0, 1.9 - away))
        chosen[face | bare] = 3
        chosen[(np.abs(away - 1.35) < 0.2) & (np.abs(height + 0.1) < 0.22) & bare] = 4  # ears
        chosen[face & (np.abs(away - 0.42) < 0.17) & (np.abs(height - 0.08) < 0.11)] = 5  # eyes
        chosen[face & (away < 0.14) & (np.abs(height + 0.14) < 0.12)] = 4  # nose
        if person.beard:
            chosen[
                (away < 1.35) & (height < -0.48 - 0.2 * (away < 0.35))
                | ((away < 0.4) & (np.abs(height + 0.36) < 0.06))
            ] = 7
        if wear in ("cap", "beanie"):
            chosen[height > (0.32 if wear == "cap" else 0.22)] = 6
        if wear == "hood":
            chosen[(away > 0.8) | (height > 0.5)] = 6
        return chosen

    return Texture(palette, index)


def case(colour: np.ndarray) -> Texture:
    """A bag: a flap or a pocket in a darker shade; texture height runs from 0 (bottom) to 1 (top)."""
    palette = np.stack([colour, colour * 0.72, colour * 0.85 + 0.08])

    def index(azimuth, height):
        chosen = np.zeros(azimuth.shape, np.intp)
        chosen[np.abs(height - 0.56) < 0.05] = 1
        chosen[(height > 0.1) & (height < 0.45) & (np.abs(np.abs(azimuth) - np.pi) < 0.8)] = 2
        return chosen

    return Texture(palette, index)
