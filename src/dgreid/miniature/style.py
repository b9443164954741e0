"""The style of a domain: one prior for all domains, sources and targets, and how a style is applied.

No range was chosen to favour or harm a normalisation. `spread` scales the prior about its centre (0: all
domains share one style); the scene family has no centre and is always drawn.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

FAMILIES = ("street", "campus", "mall", "station")
LUMA = (np.float32(0.299), np.float32(0.587), np.float32(0.114))


@dataclass(frozen=True)
class Style:
    """A draw from the domain prior; `dataclasses.replace` swaps one factor and leaves the others."""

    red: float  # log gain of red
    blue: float  # log gain of blue
    tint: float  # log gain of green
    exposure: float  # log
    saturation: float
    contrast: float
    gamma: float  # log
    haze: float  # share of a grey veil
    blur: float  # Gaussian sigma, pixels of the 128 x 64 image
    lines: float  # native height: the image passes through this resolution
    noise: float  # sigma, of 1
    quality: int  # JPEG
    family: str
    season: float  # 0 winter .. 1 summer
    colourfulness: float  # factor on the saturation of clothes
    pitch: float  # radians the cameras look down


def draw_style(rng: np.random.Generator, spread: float) -> Style:
    """Draw a domain's style from the prior, scaled by `spread` (1: default, 0: no spread)."""
    k = spread
    cast = rng.normal(0, 0.12 * k)
    return Style(
        red=cast,
        blue=-cast,
        tint=rng.normal(0, 0.035 * k),
        exposure=0.1 + rng.normal(0, 0.20 * k),
        saturation=max(0.2, 1 + k * rng.uniform(-0.45, 0.20)),
        contrast=max(0.4, 1 + k * rng.uniform(-0.30, 0.15)),
        gamma=rng.normal(0, 0.15 * k),
        haze=min(0.4, k * rng.uniform(0, 0.20)),
        blur=0.35 + k * rng.uniform(0, 0.9),
        lines=max(32.0, 128 - k * rng.uniform(0, 84)),
        noise=0.003 + k * rng.uniform(0, 0.02),
        quality=int(max(30, 95 - k * rng.uniform(0, 55))),
        family=FAMILIES[int(rng.integers(len(FAMILIES)))],
        season=float(np.clip(0.5 + k * rng.uniform(-0.5, 0.5), 0, 1)),
        colourfulness=float(np.exp(rng.normal(0, 0.35 * k)).clip(0.4, 1.6)),
        pitch=0.175 + k * rng.uniform(-0.175, 0.175),
    )


def light(image: np.ndarray, style: Style, gains: np.ndarray, gradient: float) -> np.ndarray:
    """Expose the scene: colour cast and exposure of the domain, gains of the camera and the shot.

    Args:
        image: (H, W, 3) float32.
        style: the domain's.
        gains: (3,) log gains of the camera and the shot.
        gradient: log gain at the right edge, minus that at the left edge.
    """
    cast = np.array([style.red, style.tint, style.blue]) + style.exposure + gains
    slope = np.exp(np.linspace(-gradient / 2, gradient / 2, image.shape[1]))
    lit = image * (np.exp(cast) * slope[:, None]).astype(np.float32)
    knee = np.float32(0.7)  # compress highlights as film does, so that faces stay visible in bright domains
    over = np.maximum(lit - knee, 0).astype(np.float64)
    return np.minimum(lit, knee) + (0.3 * (1 - np.exp(-over / 0.3))).astype(np.float32)


def tone(image: np.ndarray, style: Style) -> np.ndarray:
    """Apply saturation, contrast, gamma and haze: (H, W, 3) float32 in 0..1 to the same."""
    grey = sum(weight * image[..., channel] for channel, weight in enumerate(LUMA))
    image = grey[..., None] + np.float32(style.saturation) * (image - grey[..., None])
    image = np.float32(0.42) + np.float32(style.contrast) * (image - np.float32(0.42))
    image = (np.clip(image, 0, 1).astype(np.float64) ** np.exp(style.gamma)).astype(np.float32)
    return image + np.float32(style.haze) * (np.float32(0.68) - image)


def degrade(image: np.ndarray, style: Style, blur: float, rng: np.random.Generator) -> np.ndarray:
    """Apply blur, resolution and sensor noise: (H, W, 3) float32 to (H, W, 3) uint8."""
    sigma = style.blur + blur
    image = gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=3)
    height, width, _ = image.shape
    lines = round(style.lines)
    if lines < height:
        small = (max(8, round(width * lines / height)), lines)
        planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3)]
        planes = [
            p.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC)
            for p in planes
        ]
        image = np.stack([np.asarray(plane) for plane in planes], -1)
    grain = rng.standard_normal((height, width, 4), np.float32)
    image = image + np.float32(style.noise) * (grain[..., :1] + np.float32(0.5) * grain[..., 1:])
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode the image as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
