"""What it costs to check files: a pack against reading it once, a checkpoint against writing it plainly.

The pack holds 0.8 GB of noise, as 8,192 images of 256x128 do (Market-1501 trains on 12,936). A cold file is
one that the system no longer keeps in memory; to make it so needs root, without which only the warm times are
measured. The checkpoint holds 200 MB.

    python -m benchmarks.checking                           # writes benchmarks/results/checking.json
    python -m benchmarks.checking --quick                   # small files, one round: prints only
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.common import RESULTS
from dgreid import sealed
from dgreid.files import whole
from dgreid.images import pack

RESULT = RESULTS / "checking.json"
CACHES = Path("/proc/sys/vm/drop_caches")
IMAGES, HEIGHT, WIDTH, STATE, ROUNDS = 8192, 256, 128, 200_000_000, 5  # STATE in bytes


def generate(path: Path, images: int) -> pack.Shape:
    """Write a pack of noise with its checksum; returns its shape."""
    shape, total = (images, HEIGHT, WIDTH, 3), 0
    size = HEIGHT * WIDTH * 3
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        file.write(pack._header(shape))
        for number in range(images):
            pixels = random.bytes(size)
            total = pack.add(total, number * size, pixels)
            file.write(pixels)
        file.write(pack._mark(images, total))
    os.sync()
    return shape


def read(path: Path) -> None:
    """Read a file once, the plain way."""
    block = memoryview(bytearray(2**20))
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass


def check(path: Path, shape: pack.Shape) -> None:
    """Check a pack as a new process does."""
    pack._checked.clear()
    if not pack.is_whole(path, shape):
        raise AssertionError("the benchmark's own pack is damaged")


def seconds(work: Callable[[], None], cold: bool) -> float:
    if cold:
        os.sync()
        CACHES.write_text("3\n", encoding="utf-8")
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(ways: dict[str, Callable[[], None]], rounds: int, cold: bool) -> dict:
    """Median seconds of two ways that alternate, and the ratio of the second to the first."""
    first, second = ways
    taken = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            taken[name].append(seconds(work, cold))
    ratios = [b / a for a, b in zip(taken[first], taken[second], strict=True)]
    return {
        "seconds": {name: round(statistics.median(each), 3) for name, each in taken.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def save_plainly(path: Path, state: dict) -> None:
    torch.save(state, path)


def save_sealed(path: Path, state: dict) -> None:
    """As training/checkpoint.py does: sealed, on the disk, and only then under its name."""
    with whole(path) as part:
        with open(part, "wb") as file:
            torch.save(state, file)
            file.write(sealed.PLACE)
        sealed.seal(part)


def measure(folder: Path, images: int, state_size: int, rounds: int) -> dict:
    path = folder / "pack.npy"
    shape = generate(path, images)
    state = {"weights": torch.from_numpy(np.random.default_rng(0).random(state_size // 8))}
    both = {"read": lambda: read(path), "check": lambda: check(path, shape)}
    saves = {
        "plain": lambda: save_plainly(folder / "plain.pt", state),
        "sealed": lambda: save_sealed(folder / "sealed.pt", state),
    }
    results = {"pack, warm": compare(both, rounds, cold=False)}
    if os.access(CACHES, os.W_OK):
        results["pack, cold"] = compare(both, rounds, cold=True)
    results["checkpoint"] = compare(saves, rounds, cold=False)
    return {"pack_MB": round(path.stat().st_size / 1e6), "checkpoint_MB": round(state_size / 1e6), **results}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small files, one round; writes nothing")
    quick = parser.parse_args().quick
    with TemporaryDirectory(dir=".") as folder:  # /tmp may be memory
        sizes = (64, STATE // 100, 1) if quick else (IMAGES, STATE, ROUNDS)
        results = measure(Path(folder), *sizes)
    text = json.dumps(results, indent=2)
    print(text)
    if not quick:
        RESULT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
