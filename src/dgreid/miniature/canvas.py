"""Three solids that are painted onto an image: capsule, stack of elliptic sections, ellipsoid.

All coordinates are pixels, x to the right and y down. A texture is a palette and a function to its indices
from a height and the azimuth on the body (radians; 0 in front, growing to the person's left as seen by a
camera in front). So a logo, an open jacket or a face is on the correct side of the body and turns with it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Texture(NamedTuple):
    """The colours of points on a surface: `palette[index(azimuth, height)]`."""

    palette: np.ndarray  # (k, 3) float32
    index: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None  # None: palette[0] everywhere


def plain(colour: np.ndarray) -> Texture:
    """A texture of one colour."""
    return Texture(colour[None])


class Canvas:
    """An image to paint on, with the mask of what was painted.

    Args:
        pixels: (H, W, 3) float32, modified in place.
        folds: (H, W) float32 about 1, the creases of cloth; multiplies the colours.
        light: azimuth of the light seen from the camera, radians.
    """

    def __init__(self, pixels: np.ndarray, folds: np.ndarray, light: float):
        self.pixels, self.folds, self.light = pixels, folds, light
        self.mask = np.zeros(pixels.shape[:2], bool)

    def capsule(self, start, end, radii, texture: Texture, yaw: float = 0.0, shade: float = 1.0) -> None:
        """Paint a tapered limb from `start` to `end`, (x, y) each; texture height 0 at start .. 1 at end."""
        (ax, ay), (bx, by) = start, end
        widest = max(radii) + 1
        window = self._window(
            min(ax, bx) - widest, max(ax, bx) + widest, min(ay, by) - widest, max(ay, by) + widest
        )
        if window is None:
            return
        rows, columns, x, y = window
        x, y = x - np.float32(ax), y - np.float32(ay)
        dx, dy = bx - ax, by - ay
        length = max(float(np.hypot(dx, dy)), 1e-3)
        ux, uy = np.float32(dx / length), np.float32(dy / length)
        along = np.clip((x * ux + y * uy) / np.float32(length), 0, 1)
        radius = np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * along
        offx, offy = x - along * np.float32(dx), y - along * np.float32(dy)
        inside = offx * offx + offy * offy <= radius * radius
        across = (x * uy - y * ux)[inside] / radius[inside]
        if dy < 0:  # keep "to the right" positive for limbs that point up
            across = -across
        self._paint(rows, columns, inside, across, along[inside], texture, yaw, shade)

    def stack(
        self, ys, centres, halves, heights, texture: Texture, yaw: float, sag=0.0, shade: float = 1.0
    ) -> None:
        """Paint elliptic sections joined into a body.

        Args:
            ys: section rows, growing downwards.
            centres: section centres, columns.
            halves: projected half widths.
            heights: body heights of the sections, passed to the texture.
            texture: of the surface.
            yaw: of the body.
            sag: how far the nearest point of a ring lies below its centre, in body heights.
            shade: factor on the brightness.
        """
        rise = (heights[0] - heights[-1]) / max(ys[-1] - ys[0], 1e-3)  # body height per row
        low = ys[-1] + sag / max(rise, 1e-4)
        window = self._window(
            min(c - q for c, q in zip(centres, halves, strict=True)),
            max(c + q for c, q in zip(centres, halves, strict=True)) + 1, ys[0], low,
        )  # fmt: skip
        if window is None:
            return
        rows, columns, x, y = window
        lines = y[:, 0]
        centre = np.interp(lines, ys, centres).astype(np.float32)[:, None]
        half = np.interp(lines, ys, halves).astype(np.float32)[:, None]
        height = np.interp(lines, ys, heights) - rise * np.maximum(lines - ys[-1], 0)
        across = (x - centre) / half
        inside = np.abs(across) <= 1
        height = height.astype(np.float32)[:, None] + np.float32(sag) * np.sqrt(np.maximum(1 - across**2, 0))
        inside &= height >= heights[-1]
        self._paint(rows, columns, inside, across[inside], height[inside], texture, yaw, shade)

    def ellipsoid(self, centre, radii, texture: Texture, yaw: float = 0.0, shade: float = 1.0) -> None:
        """Paint a ball with half axes `radii` = (x, y); texture height -1 at the bottom .. 1 at the top."""
        (cx, cy), (rx, ry) = centre, radii
        window = self._window(cx - rx, cx + rx + 1, cy - ry, cy + ry + 1)
        if window is None:
            return
        rows, columns, x, y = window
        across, up = (x - np.float32(cx)) / np.float32(rx), (np.float32(cy) - y) / np.float32(ry)
        ring = 1 - up * up + np.zeros_like(across)
        inside = across * across <= ring
        across = across / np.sqrt(np.maximum(ring, 1e-4))
        height = np.broadcast_to(up, inside.shape)[inside]
        self._paint(rows, columns, inside, across[inside], height, texture, yaw, shade)

    def _window(self, left, right, top, bottom):
        """Row and column slices of a box clipped to the image, and pixel centres; None if empty."""
        height, width = self.mask.shape
        x0, x1 = max(int(left), 0), min(int(right) + 1, width)
        y0, y1 = max(int(top), 0), min(int(bottom) + 1, height)
        if x0 >= x1 or y0 >= y1:
            return None
        x = np.arange(x0, x1, dtype=np.float32)[None] + np.float32(0.5)
        y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5)
        return slice(y0, y1), slice(x0, x1), x, y

    def _paint(self, rows, columns, inside, across, height, texture, yaw, shade) -> None:
        # (n,) from the camera's line of sight; in float64, see `seeds`
        angle = np.arcsin(np.clip(across, -1, 1).astype(np.float64))
        if texture.index is None:
            colours = texture.palette[0]
        else:
            azimuth = np.remainder(angle - yaw + np.pi, 2 * np.pi) - np.pi
            colours = texture.palette[texture.index(azimuth, height)]
        lit = ((0.66 + 0.38 * np.cos(angle - self.light)) * shade).astype(np.float32)
        lit *= self.folds[rows, columns][inside]
        self.pixels[rows, columns][inside] = colours * lit[:, None]
        self.mask[rows, columns] |= inside
