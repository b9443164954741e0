"""Occluders between the camera and the person: a railing, a post, a hedge, luggage, a passer-by."""

from dataclasses import replace

import numpy as np

from dgreid.miniature.canvas import Canvas, plain
from dgreid.miniature.figure import draw_figure, draw_pose

SHARE = 0.08  # of the shots


def draw_occluder(rng: np.random.Generator, canvas: Canvas, world, shot, view) -> np.ndarray:
    """Paint an occluder on some shots; returns the (H, W) mask of what it covers."""
    before = canvas.mask
    canvas.mask = np.zeros_like(before)
    if rng.random() < SHARE:
        grey = np.float32(rng.uniform(0.2, 0.5)) * (1 + rng.normal(0, 0.08, 3)).astype(np.float32)
        kind = rng.choice(("post", "railing", "hedge", "case", "passer"))
        side = rng.choice((-1, 1))
        if kind == "passer":
            _passer(rng, canvas, world, shot, view, side)
        else:
            {"post": _post, "railing": _railing, "hedge": _hedge, "case": _case}[kind](
                rng, canvas, grey, side
            )
    covered, canvas.mask = canvas.mask, before
    return covered


def _post(rng, canvas, colour, side) -> None:
    height, width = canvas.mask.shape
    x, r = width * (0.5 + side * rng.uniform(0.22, 0.4)), rng.uniform(4, 9)
    canvas.capsule((x, height * rng.uniform(-0.1, 0.3)), (x, height * 1.1), (r, r), plain(colour))


def _railing(rng, canvas, colour, side) -> None:
    height, width = canvas.mask.shape
    top = height * rng.uniform(0.62, 0.8)
    for y in (top, top + 0.12 * height):
        canvas.capsule((-10, y), (width + 10, y + side * 4), (3.0, 3.0), plain(colour))
    for x in np.arange(rng.uniform(0, 20), width, 22):
        canvas.capsule((x, top), (x, height * 1.1), (2.0, 2.0), plain(colour))


def _hedge(rng, canvas, colour, side) -> None:
    height, width = canvas.mask.shape
    colour = colour * np.array([0.75, 1.0, 0.6], np.float32)
    for _ in range(26):
        x = width * (0.5 + side * rng.uniform(0.0, 0.6))
        y = height * (1.02 - abs(rng.normal(0, 0.10)))
        r = rng.uniform(8, 18)
        canvas.ellipsoid((x, y), (r, 0.8 * r), plain(colour * np.float32(rng.uniform(0.75, 1.2))))


def _case(rng, canvas, colour, side) -> None:
    height, width = canvas.mask.shape
    x, half, low = width * (0.5 + side * rng.uniform(0.18, 0.36)), rng.uniform(14, 24), height * 1.0
    high = height * rng.uniform(0.70, 0.82)
    canvas.capsule((x, high - 0.12 * height), (x, high), (2.0, 2.0), plain(colour * 0.7))
    canvas.stack(
        [high, high + 6, low],
        [x] * 3,
        [half * 0.85, half, half],
        np.array([1.0, 0.95, 0.0]),
        plain(colour),
        0.0,
    )


def _passer(rng, canvas, world, shot, view, side) -> None:
    """Paint another person, nearer to the camera, half outside the image."""
    who = world.person(f"passer {shot.person} {shot.camera} {shot.number}")
    place = replace(
        view, x=view.x + side * view.scale * rng.uniform(0.20, 0.30), scale=view.scale * 1.08, y=view.y + 10
    )
    draw_figure(canvas, who, draw_pose(rng, rng.uniform(0, 2 * np.pi)), place)
