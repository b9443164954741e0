"""Training augmentation of a whole uint8 batch, and the normalisation that follows on the device.

Flip, zero padding and random crop, then (M->D and D->M only) colour jitter: MetaBIN's released settings,
no random erasing. Where asked for, QAConv's white square at last. All randomness comes from the generator
passed in.
"""

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from dgreid.images.config import ImageConfig

MEAN = (0.485, 0.456, 0.406)  # ImageNet
STD = (0.229, 0.224, 0.225)


def augment(images: np.ndarray, image: ImageConfig, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, H, W, 3) uint8, a new array."""
    count = len(images)
    flipped = rng.random(count) < image.flip
    top, left = rng.integers(0, 2 * image.padding + 1, (2, count))
    images = crop(images, flipped, top, left, image.padding)
    if image.color_jitter:
        images = np.stack([jitter(pixels, image.color_jitter, rng) for pixels in images])
    if image.occlusion:
        occlude(images, image.occlusion, rng)
    return images


def crop(
    images: np.ndarray, flipped: np.ndarray, top: np.ndarray, left: np.ndarray, padding: int
) -> np.ndarray:
    """Mirror where told, pad by zeros, cut a window of the old size at (top, left) of the padded image."""
    _, height, width, _ = images.shape
    images = images.copy()
    images[flipped] = torch.from_numpy(images[flipped]).flip(2).numpy()  # NumPy's own is three times slower
    out = np.zeros_like(images)
    for target, source, y, x in zip(out, images, top - padding, left - padding, strict=True):
        inside = source[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
        target[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)] = inside
    return out


def jitter(
    pixels: np.ndarray, strengths: tuple[float, float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Brightness, contrast, saturation and hue of one (H, W, 3) image, in random order, always applied.

    The factors are uniform in 1 -+ strength (hue: a shift uniform in -+ strength of the full circle), the
    arithmetic is Pillow's, as in torchvision's ColorJitter on Pillow images.
    """
    picture = Image.fromarray(pixels)
    factors = rng.uniform(-1, 1, 4) * strengths
    for kind in rng.permutation(4):
        if kind == 3:
            hue, saturation, value = picture.convert("HSV").split()
            shifted = np.asarray(hue) + np.int16(factors[3] * 255).astype(np.uint8)  # wraps around
            picture = Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
        else:
            change = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
            picture = change(picture).enhance(1 + factors[kind])
    return np.asarray(picture)


def occlude(images: np.ndarray, greatest: float, rng: np.random.Generator) -> None:
    """Paint a white square into every image, in place, as QAConv's released code does (Liao and Shao 2020).

    Its side is uniform from 1 to below `greatest` x min(H, W) pixels; it lies inside the image, one pixel or
    more from the right and the lower edge.
    """
    count, height, width, _ = images.shape
    sides = rng.integers(1, max(2, int(greatest * min(height, width))), count)
    tops, lefts = rng.integers(0, [height - sides, width - sides])  # (2, N)
    for pixels, side, top, left in zip(images, sides, tops, lefts, strict=True):
        pixels[top : top + side, left : left + side] = 255


def normalise(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float with ImageNet mean 0 and deviation 1, on the same device."""
    mean = torch.tensor(MEAN, device=images.device).mul_(255).view(3, 1, 1)
    scale = torch.tensor(STD, device=images.device).mul_(255).reciprocal_().view(3, 1, 1)
    planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return planes.sub_(mean).mul_(scale)
