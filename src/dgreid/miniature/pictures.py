"""Labelled pictures of things, for a start like ImageNet's: `draw(...)` is a (64, 32) picture of one class.

Whatever can vary between the domains of the benchmark varies here between the pictures of a class: the place,
light, tone, quality and compression. No picture shows a person, also not in the distance.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from dgreid.miniature.canvas import Canvas
from dgreid.miniature.looks import Class, draw_look
from dgreid.miniature.scene import OBJECTS, cloud, draw_scene
from dgreid.miniature.seeds import generator
from dgreid.miniature.style import FAMILIES, degrade, draw_style, jpeg, light, tone
from dgreid.miniature.things import KINDS, Stand

HEIGHT, WIDTH = 128, 64  # as painted
SIZE = 64, 32  # as returned: height and width of the benchmark's images
SCENES = 48
THINGS_ONLY = tuple(name for name in OBJECTS if name != "passer")


def draw(named: Class, seed: int, number: int | str) -> np.ndarray:
    """Draw picture `number` of a class: (64, 32, 3) uint8; the same names give the same bytes."""
    rng = generator(seed, "picture", named.title, number)
    style = draw_style(rng, 1.0)
    pixels = _window(rng, seed)
    folds = 1 + 0.06 * cloud(rng, HEIGHT, WIDTH, (20, 10))
    side = float(rng.choice((-1, 1)) * rng.uniform(0.15, 0.8))
    canvas = Canvas(pixels, folds.astype(np.float32), side)
    scale = rng.uniform(0.55, 1.0) * HEIGHT
    wide = min(rng.uniform(0.8, 1.25), 1.1 * WIDTH / scale)
    stand = Stand(
        canvas,
        x=WIDTH * rng.uniform(0.35, 0.65),
        y=HEIGHT - rng.uniform(0, 1) * (HEIGHT - scale) - 3,
        scale=scale,
        wide=wide,
        yaw=rng.uniform(-np.pi, np.pi),
    )
    KINDS[named.kind](stand, draw_look(rng, named))
    gains = rng.normal(0, 0.05) * np.array([1, 0, -1]) + rng.normal(0, 0.17)
    image = tone(light(pixels, style, gains, rng.normal(0, 0.12)), style)
    image = Image.fromarray(degrade(image, style, rng.uniform(0, 0.25), rng))
    image = Image.open(io.BytesIO(jpeg(image, style.quality)))
    return np.asarray(image.resize(SIZE[::-1], Image.Resampling.BICUBIC))


def _window(rng: np.random.Generator, seed: int) -> np.ndarray:
    """A random part of a random scene, (128, 64, 3) float32."""
    scene = _scene(seed, int(rng.integers(SCENES)))
    y = int(rng.integers(scene.shape[0] - HEIGHT + 1))
    x = int(rng.integers(scene.shape[1] - WIDTH + 1))
    return scene[y : y + HEIGHT, x : x + WIDTH].astype(np.float32) / 255


@lru_cache(SCENES)
def _scene(seed: int, number: int) -> np.ndarray:
    rng = generator(seed, "things' scene", number)
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    scene = draw_scene(rng, family, rng.uniform(0, 0.35), THINGS_ONLY)
    return (gaussian_filter(scene, (0.7, 0.7, 0))[::2, ::2] * 255 + 0.5).astype(np.uint8)
