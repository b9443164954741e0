"""One writer per raw layout: which shots to draw, and how the real archive names and packs them.

A file here is a writer; nothing else registers it. It has `ENCODING` (jpg, png or bmp) and
`plan(sizes, world) -> list[Item]`; if its archive holds more than loose images, also
`pack(drawn, sizes, world) -> Iterator[(path, bytes)]`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dgreid.errors import UserError, unknown
from dgreid.miniature.render import HEIGHT, WIDTH, Shot, World
from dgreid.miniature.style import jpeg
from dgreid.registry import Registry

WRITERS = Registry("dgreid.miniature.writers", "layout", ("plan", "ENCODING"))
writer = WRITERS.module


@dataclass(frozen=True)
class Item:
    """One image of an archive."""

    path: str  # inside the archive
    shot: Shot
    size: tuple[int, int] = (WIDTH, HEIGHT)  # width, height of the file


def need(sizes: dict[str, int], *names: str) -> list[int]:
    """Read the counts of these names; none may be missing, none unknown.

    Raises:
        UserError: a name is missing or unknown.
    """
    for name in names:
        if name not in sizes:
            raise UserError(f"miniature.sizes lacks '{name}': add it; needed are {', '.join(names)}.")
    for name in sizes:
        if name not in names:
            raise unknown("miniature size", name, names)
    return [sizes[name] for name in names]


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a total into whole numbers proportional to the weights.

    >>> shares(10, [843, 440, 77])
    [6, 3, 1]
    """
    exact = np.array(weights, float) * total / sum(weights)
    counts = exact.astype(int)
    for position in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[position] += 1
    return counts.tolist()


def random_size(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    """Draw the size of a detector's box, (width, height), with a height in low..high."""
    height = int(rng.integers(low, high + 1))
    return round(height * rng.uniform(0.38, 0.5)), height


def encode(pixels: np.ndarray, size: tuple[int, int], encoding: str, quality: int) -> bytes:
    """Encode a drawn crop as a file.

    Args:
        pixels: (128, 64, 3) uint8.
        size: (width, height) of the file; a narrower shape loses part of the margins.
        encoding: jpg, png or bmp; the lossless ones store the result of JPEG of that quality.
        quality: of the JPEG compression.
    """
    margin = max(0, WIDTH - round(HEIGHT * size[0] / size[1] * 1.15)) // 2
    image = Image.fromarray(pixels[:, margin : WIDTH - margin])
    if encoding == "jpg":
        return jpeg(_resize(image, size), quality)
    image = Image.open(io.BytesIO(jpeg(image, quality)))
    buffer = io.BytesIO()
    _resize(image, size).save(buffer, encoding)
    return buffer.getvalue()


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def draw(item: Item, world: World, encoding: str) -> bytes:
    """Draw an item and encode its file."""
    return encode(world.draw(item.shot).pixels, item.size, encoding, world.style.quality)
