"""What several studies share: new identities from the renderer, Rank-1, where results are written."""

import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from dgreid.miniature.render import Shot, World
from dgreid.miniature.style import jpeg

RESULTS = Path(__file__).parent / "results"
SOURCES = ("mini_market1501", "mini_cuhk02", "mini_cuhk03", "mini_cuhksysu")
TARGETS = ("mini_viper", "mini_prid2011", "mini_grid", "mini_ilids")
IDENTITIES, CAMERAS = 60, 4  # of each domain
HEIGHT, WIDTH = 64, 32


def image(world: World, shot: Shot, person: bool = True, silhouette: bool = False) -> np.ndarray:
    """A (64, 32, 3) uint8 image, compressed with the domain's JPEG quality."""
    drawn = world.draw(shot, person)
    pixels = drawn.pixels
    if silhouette:
        pixels = np.repeat((drawn.mask[..., None] * 255).astype(np.uint8), 3, -1)
    picture = Image.open(io.BytesIO(jpeg(Image.fromarray(pixels), world.style.quality)))
    return np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def pairs(world: World, **options: bool) -> np.ndarray:
    """(identities, 2, 64, 32, 3) uint8: identities of no data set, each seen by two random cameras."""
    shots = []
    for identity in range(IDENTITIES):
        two = np.random.default_rng([world.seed, identity]).permutation(CAMERAS)[:2]
        shots.append([image(world, Shot(f"held {identity}", int(camera)), **options) for camera in two])
    return np.array(shots)


def rank1(features: Tensor) -> float:
    """Rank-1 in per cent of (identities, 2, C) features: cosine, either image as query, all as gallery."""
    a, b = F.normalize(features[:, 0], dim=1), F.normalize(features[:, 1], dim=1)
    scores, truth = a @ b.T, torch.arange(len(a))
    hits = (scores.argmax(1) == truth).float().mean() + (scores.argmax(0) == truth).float().mean()
    return float(hits) * 50
