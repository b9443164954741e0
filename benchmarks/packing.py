"""Packed and batch-wise against per-image decoding: images per second on one core.

Both ways end in the same normalised float batch: flip, zero padding, random crop, ImageNet mean and
deviation. The plain way decodes and resizes every JPEG with Pillow each time, as re-identification code
commonly does; the packed way reads uint8 pixels from one memory-mapped file. The two alternate within one
process, so that other load falls on both. The JPEGs are noise, sized like Market-1501's.

    python -m benchmarks.packing                            # writes benchmarks/results/packing.json
    python -m benchmarks.packing --quick                    # fewer images, one round: prints only
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from benchmarks.common import RESULTS
from dgreid.images.augment import augment
from dgreid.images.config import ImageConfig
from dgreid.images.normalise import MEAN, STD, normalise
from dgreid.images.pack import Pack, build
from dgreid.images.streams import generator

RESULT = RESULTS / "packing.json"
COUNT, BATCH, ROUNDS = 640, 64, 7
FLIP, PADDING = 0.5, 10
AUGMENTATION = [{"operation": "flip", "probability": FLIP}, {"operation": "pad_crop", "padding": PADDING}]
SIZES = (ImageConfig(name="256x128", height=256, width=128, train=AUGMENTATION),)


def generate(folder: Path, count: int) -> list[str]:
    """Write smooth random pictures of 128x64 pixels as JPEGs; returns their names."""
    rng = np.random.default_rng(0)
    names = [f"{number:05d}.jpg" for number in range(count)]
    for name in names:
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3)).astype(np.uint8))
        coarse.resize((64, 128), Image.Resampling.BICUBIC).save(folder / name, quality=90)
    return names


def per_image(folder: Path, paths: list[str], image: ImageConfig, rng: np.random.Generator) -> torch.Tensor:
    """One batch the plain way, (N, 3, H, W)."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    batch = []
    for path in paths:
        with Image.open(folder / path) as file:
            picture = file.convert("RGB").resize((image.width, image.height), Image.Resampling.BICUBIC)
        if rng.random() < FLIP:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        padded = Image.new("RGB", (image.width + 2 * PADDING, image.height + 2 * PADDING))
        padded.paste(picture, (PADDING, PADDING))
        left, top = rng.integers(0, 2 * PADDING + 1, 2)
        cut = padded.crop((left, top, left + image.width, top + image.height))
        pixels = torch.from_numpy(np.array(cut)).permute(2, 0, 1).contiguous().float().div_(255)
        batch.append(pixels.sub_(mean).div_(std))
    return torch.stack(batch)


def packed(store: Pack, rows: np.ndarray, image: ImageConfig, rng: np.random.Generator) -> torch.Tensor:
    """The same batch from a pack, (N, 3, H, W)."""
    return normalise(torch.from_numpy(augment(store[rows], image.train, rng)))


def measure(folder: Path, image: ImageConfig, count: int, rounds: int) -> dict:
    """Median images per CPU second of both ways, and of building the pack."""
    paths = generate(folder, count)
    began = time.process_time()
    build(folder / "noise.npy", folder, paths, image)
    store = Pack(folder / "noise.npy")
    speeds = {"build": [count / (time.process_time() - began)], "per_image": [], "packed": []}
    first = np.arange(BATCH)
    same = torch.equal(store_pixels(store, first), plain_pixels(folder, paths[:BATCH], image))
    for turn in range(rounds):
        for way in ("per_image", "packed"):
            rng = generator(turn, way)
            order = rng.permutation(count).reshape(-1, BATCH)
            began = time.process_time()
            for rows in order:
                if way == "packed":
                    packed(store, rows, image, rng)
                else:
                    per_image(folder, [paths[row] for row in rows], image, rng)
            speeds[way].append(count / (time.process_time() - began))
    medians = {way: float(np.median(values)) for way, values in speeds.items()}
    ratios = [b / a for a, b in zip(speeds["per_image"], speeds["packed"], strict=True)]
    return {
        "size": image.name,
        "images_per_second_per_core": {way: round(value) for way, value in medians.items()},
        "ratio": round(float(np.median(ratios)), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "pixels_equal": bool(same),
    }


def store_pixels(store: Pack, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(store[rows])


def plain_pixels(folder: Path, paths: list[str], image: ImageConfig) -> torch.Tensor:
    size = image.width, image.height
    pictures = [
        Image.open(folder / path).convert("RGB").resize(size, Image.Resampling.BICUBIC) for path in paths
    ]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two batches, one round; writes nothing")
    quick = parser.parse_args().quick
    count, rounds = (2 * BATCH, 1) if quick else (COUNT, ROUNDS)
    torch.set_num_threads(1)
    results = []
    for image in SIZES:
        with TemporaryDirectory() as folder:
            results.append(measure(Path(folder), image, count, rounds))
        speed = results[-1]["images_per_second_per_core"]
        print(
            f"{image.name}: per image {speed['per_image']}/s, packed {speed['packed']}/s, "
            f"{results[-1]['ratio']}x ({results[-1]['ratio_range'][0]} to {results[-1]['ratio_range'][1]})"
        )
    if quick:
        return
    facts = {"batch": BATCH, "images": COUNT, "rounds": ROUNDS, "torch": torch.__version__}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({**facts, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
