"""Scenes: what a camera sees without the person.

A scene is five crops wide and shared by every person that the camera sees; each shot takes a random window,
so a background can never identify a person. Colours are muted, so that people stand out and not the clutter.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

HEIGHT, WIDTH = 300, 640  # pixels at twice the crop's resolution; a window is 256 x 128
OBJECTS = ("post", "bin", "bench", "car", "passer")  # passer: a distant person
GROUND = {"street": (0.08, 0.05), "campus": (0.20, 0.12), "mall": (0.09, 0.05), "station": (0.14, 0.05)}


def tint(rng: np.random.Generator, hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """Draw a muted colour near a hue, as sRGB bytes."""
    h = (hue + rng.normal(0, 0.04)) % 1
    s = np.clip(saturation * rng.uniform(0.5, 1.5), 0, 0.35)
    v = np.clip(value + rng.normal(0, 0.05), 0.12, 0.85)
    return tuple(int(255 * c) for c in colorsys.hsv_to_rgb(h, s, v))


def cloud(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> np.ndarray:
    """Draw smooth noise of standard deviation about 1, with the given number of cells (down, across)."""
    small = Image.fromarray(rng.standard_normal(cells).astype(np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) * np.float32(1.3)


def draw_scene(
    rng: np.random.Generator, family: str, pitch: float, objects: Sequence[str] = OBJECTS
) -> np.ndarray:
    """Draw a scene: (HEIGHT, WIDTH, 3) float32 in 0..1.

    Args:
        rng: the scene's own stream.
        family: the domain's: street, campus, mall or station; half of the scenes take a random one.
        pitch: radians the camera looks down; the larger, the higher the ground reaches.
        objects: what may stand around.
    """
    if rng.random() < 0.5:
        family = str(rng.choice(list(GROUND)))
    edge = int(HEIGHT * np.clip(0.66 - 1.1 * pitch + rng.normal(0, 0.05), 0.12, 0.75))
    hue, saturation = GROUND[family]
    floor = tint(rng, hue, saturation, rng.uniform(0.46, 0.66))
    wall = tint(rng, rng.choice((0.07, 0.1, 0.12, 0.3, 0.58)), 0.09, rng.uniform(0.42, 0.66))
    image = Image.new("RGB", (WIDTH, HEIGHT), floor)
    pen = ImageDraw.Draw(image)
    _floor(rng, pen, family, floor, edge)
    pen.rectangle((0, 0, WIDTH, edge), fill=wall)
    {"street": _street, "campus": _campus, "mall": _mall, "station": _station}[family](rng, pen, wall, edge)
    _objects(rng, pen, family, edge, objects)
    image = image.filter(ImageFilter.GaussianBlur(1.2))
    pixels = np.asarray(image, np.float32) / 255
    return _weather(rng, pixels, edge)


def _shade(colour, factor: float) -> tuple[int, int, int]:
    return tuple(int(np.clip(c * factor, 0, 255)) for c in colour)


def _floor(rng, pen, family: str, floor, edge: int) -> None:
    """Draw paving in perspective, kerb or lane."""
    line = _shade(floor, rng.uniform(0.86, 0.94))
    eye = edge - rng.integers(40, 140)  # vanishing row
    step = rng.uniform(34, 70)
    middle = rng.uniform(0.2, 0.8) * WIDTH
    if family in ("mall", "station") or rng.random() < 0.5:
        for k in range(-24, 25):  # joints running away from the camera
            near, far = middle + k * step * 2.2, middle + k * step * 2.2 * (edge - eye) / (HEIGHT - eye)
            pen.line((far, edge, near, HEIGHT), fill=line, width=2)
        for k in range(1, 12):
            y = eye + (HEIGHT - eye) * 6 / (5 + k)
            if edge < y < HEIGHT:
                pen.line((0, y, WIDTH, y), fill=line, width=2)
    if family == "street":
        kerb = edge + rng.integers(8, 50)
        pen.rectangle((0, edge, WIDTH, kerb), fill=_shade(floor, rng.uniform(1.05, 1.18)))
        pen.rectangle((0, kerb, WIDTH, kerb + 4), fill=_shade(floor, 0.75))
    if family == "campus":
        grass = tint(rng, 0.25, 0.28, 0.42)
        x = rng.uniform(0, WIDTH)
        pen.polygon([(x - 90, edge), (x + 190, edge), (x + 420, HEIGHT), (x - 420, HEIGHT)], fill=grass)
    if family == "station":
        y = edge + rng.integers(20, 60)
        pen.rectangle((0, y, WIDTH, y + rng.integers(6, 14)), fill=tint(rng, 0.13, 0.3, 0.6))


def _windows(rng, pen, box, wall, columns: int, rows: int) -> None:
    """Draw a grid of panes in a facade."""
    x0, y0, x1, y1 = box
    pane = _shade(wall, rng.uniform(0.55, 0.85))
    dx, dy = (x1 - x0) / columns, (y1 - y0) / rows
    for i in range(columns):
        for j in range(rows):
            a, b = x0 + dx * (i + 0.18), y0 + dy * (j + 0.15)
            pen.rectangle((a, b, a + dx * 0.64, b + dy * 0.68), fill=_shade(pane, rng.uniform(0.92, 1.08)))


def _street(rng, pen, wall, edge: int) -> None:
    x = 0
    while x < WIDTH:
        width = int(rng.integers(110, 240))
        front = tint(rng, rng.choice((0.06, 0.1, 0.58)), 0.12, rng.uniform(0.36, 0.6))
        pen.rectangle((x, 0, x + width, edge), fill=front)
        _windows(
            rng,
            pen,
            (x, -20, x + width, edge * 0.72),
            front,
            int(rng.integers(2, 5)),
            int(rng.integers(2, 4)),
        )
        door = x + int(rng.integers(8, max(9, width - 50)))
        pen.rectangle((door, edge * 0.55, door + 36, edge), fill=_shade(front, rng.uniform(0.5, 0.75)))
        pen.rectangle((x, edge * 0.74, x + width, edge * 0.8), fill=_shade(front, rng.uniform(0.7, 1.15)))
        x += width


def _campus(rng, pen, wall, edge: int) -> None:
    _windows(rng, pen, (0, -10, WIDTH, edge * 0.9), wall, int(rng.integers(8, 16)), 2)
    for _ in range(int(rng.integers(8, 16))):  # trees and bushes, each a heap of leaves
        x, y = rng.uniform(-20, WIDTH + 20), edge * rng.uniform(0.3, 1.0)
        size, leaf = rng.uniform(20, 60), tint(rng, 0.26, 0.24, rng.uniform(0.26, 0.42))
        for dx, dy, shade in rng.normal(0, (0.5, 0.35, 0.12), (int(size * 1.6), 3)):
            a, b, r = x + dx * size, y + dy * size, rng.uniform(3, 8)
            pen.ellipse((a - r, b - 0.7 * r, a + r, b + 0.7 * r), fill=_shade(leaf, 1 + shade - 0.3 * dy))
    for _ in range(int(rng.integers(2, 5))):
        x = rng.uniform(0, WIDTH)
        pen.rectangle((x, 0, x + rng.uniform(8, 16), edge + 10), fill=tint(rng, 0.08, 0.2, 0.28))


def _mall(rng, pen, wall, edge: int) -> None:
    x = 0
    while x < WIDTH:
        width = int(rng.integers(80, 170))
        glass = tint(rng, rng.choice((0.1, 0.55)), 0.10, rng.uniform(0.45, 0.72))
        pen.rectangle((x + 5, edge * 0.14, x + width - 5, edge - 4), fill=glass)
        for _ in range(3):  # goods behind the glass
            a, b = x + rng.uniform(8, max(9, width - 40)), edge * rng.uniform(0.35, 0.7)
            goods = tint(rng, rng.random(), 0.15, rng.uniform(0.35, 0.6))
            pen.rectangle((a, b, a + rng.uniform(10, 30), edge - 6), fill=goods)
        pen.rectangle(
            (x, 0, x + width, edge * 0.12), fill=tint(rng, rng.random(), 0.18, rng.uniform(0.3, 0.6))
        )
        x += width


def _station(rng, pen, wall, edge: int) -> None:
    for y in np.arange(0, edge, rng.uniform(14, 30)):  # tiles
        pen.line((0, y, WIDTH, y), fill=_shade(wall, 0.92), width=1)
    for x in np.arange(rng.uniform(0, 60), WIDTH, rng.uniform(90, 170)):
        poster = tint(rng, rng.random(), 0.2, rng.uniform(0.35, 0.65))
        pen.rectangle((x, edge * 0.3, x + 46, edge * 0.85), fill=_shade(wall, 0.6))
        pen.rectangle((x + 4, edge * 0.3 + 4, x + 42, edge * 0.85 - 4), fill=poster)
    for x in np.arange(rng.uniform(0, 120), WIDTH, rng.uniform(150, 260)):
        width = rng.uniform(16, 30)
        pen.rectangle((x, 0, x + width, edge + 18), fill=_shade(wall, 1.12))
        pen.rectangle((x + width * 0.7, 0, x + width, edge + 18), fill=_shade(wall, 0.88))


def _objects(rng, pen, family: str, edge: int, objects: Sequence[str]) -> None:
    """Draw posts, bins, benches, cars and distant people; small, grey and few."""
    for _ in range(int(rng.integers(3, 8))):
        kind = rng.choice(objects)
        x, y = rng.uniform(0, WIDTH), edge + rng.uniform(0, 0.25) * (HEIGHT - edge)
        colour = tint(rng, rng.random(), 0.14, rng.uniform(0.24, 0.55))
        if kind == "post":
            pen.rectangle((x, y - rng.uniform(60, 220), x + rng.uniform(3, 7), y), fill=colour)
        elif kind == "bin":
            w, h = rng.uniform(14, 26), rng.uniform(26, 46)
            pen.rounded_rectangle((x, y - h, x + w, y), 4, fill=colour)
            pen.rectangle((x, y - h * 0.8, x + w, y - h * 0.72), fill=_shade(colour, 0.7))
        elif kind == "bench":
            pen.rectangle((x, y - 18, x + 64, y - 12), fill=colour)
            pen.rectangle((x, y - 36, x + 64, y - 28), fill=_shade(colour, 1.1))
            for leg in (4, 56):
                pen.rectangle((x + leg, y - 14, x + leg + 4, y), fill=_shade(colour, 0.6))
        elif kind == "car" and family == "street":
            pen.rounded_rectangle((x, y - 34, x + 120, y - 6), 10, fill=colour)
            pen.rounded_rectangle((x + 22, y - 56, x + 92, y - 28), 12, fill=_shade(colour, 0.65))
            for wheel in (24, 94):
                pen.ellipse((x + wheel - 11, y - 18, x + wheel + 11, y + 4), fill=(38, 38, 40))
        elif kind == "passer":
            h = rng.uniform(50, 90)
            legs = tint(rng, 0.6, 0.12, 0.25)
            pen.rectangle((x - h * 0.07, y - h * 0.5, x + h * 0.07, y), fill=legs)
            pen.rounded_rectangle((x - h * 0.11, y - h * 0.84, x + h * 0.11, y - h * 0.45), 4, fill=colour)
            pen.ellipse((x - h * 0.055, y - h, x + h * 0.055, y - h * 0.85), fill=(128, 100, 84))


def _weather(rng, pixels: np.ndarray, edge: int) -> np.ndarray:
    """Apply patches of light, the ground's grain and a gradient towards the camera."""
    patches = 1 + 0.07 * cloud(rng, HEIGHT, WIDTH, (4, 8)) + 0.03 * cloud(rng, HEIGHT, WIDTH, (24, 40))
    grain = 0.03 * cloud(rng, HEIGHT, WIDTH, (150, 160))
    grain[:edge] *= 0.5
    down = np.ones((HEIGHT, 1), np.float32)
    down[edge:, 0] = np.linspace(0.92, 1.06, HEIGHT - edge)
    foot = (
        np.exp(-np.maximum(np.arange(HEIGHT) - edge, 0) / 8)[:, None] * (np.arange(HEIGHT) >= edge)[:, None]
    )
    shading = (patches + grain) * down * (1 - 0.25 * foot)
    softened = gaussian_filter(pixels * shading[..., None].astype(np.float32), (0.5, 0.5, 0))
    return np.clip(softened, 0, 1).astype(np.float32)
