"""200,000 images through parser and manifest: seconds and peak memory, with one and two threads.

The images are small JPEGs of noise in Market-1501's layout, so what is measured is the cost per image of
names, rows, hashes and rules rather than that of decoding large pictures. Each measurement is a process of
its own; its memory is the highest resident set, beside that of the bare imports.

    python -m benchmarks.scale                              # writes benchmarks/results/scale.json
    python -m benchmarks.scale --images 1000                # prints only
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from tqdm import tqdm

RESULT = Path(__file__).parent / "results" / "scale.json"
IMAGES, PER_IDENTITY, WIDTH, HEIGHT = 200_000, 25, 16, 32
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")


def generate(root: Path, count: int) -> None:
    """`count` different JPEGs: half of the identities train; of the others, image 0 is the query."""
    rng = np.random.default_rng(0)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    identities = count // PER_IDENTITY
    for number in tqdm(range(count), desc="generating", unit=" images", disable=None):
        identity, shot = divmod(number, PER_IDENTITY)
        folder = FOLDERS[0] if identity < identities // 2 else FOLDERS[1 if shot == 0 else 2]
        name = f"{identity + 1:04d}_c{shot % 6 + 1}s1_{number:06d}_01.jpg"
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / folder / name, quality=75)


def memory() -> float:
    """Highest resident set of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts KiB


def measure(root: Path) -> None:
    """Parse and build in this process; prints one line of JSON."""
    from dgreid.datasets import parse, read_manifest
    from dgreid.datasets.config import DatasetConfig
    from dgreid.datasets.manifest import build, write_manifest
    from dgreid.device import threads

    config = DatasetConfig(name="inflated", title="inflated", parser="market1501", access="drawn")
    seconds, imports, start = {}, memory(), time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name] = round(time.perf_counter() - start, 1)
        start = time.perf_counter()

    parsed = parse(config, root)
    lap("parse")
    tables = build(config, root, parsed)
    lap("build")
    write_manifest(root.parent / "manifest", *tables)
    lap("write")
    peak = memory()
    del tables, parsed
    rows = len(read_manifest(root.parent / "manifest"))
    lap("read")
    print(
        json.dumps(
            {
                "threads": threads(),
                "images": rows,
                "seconds": seconds,
                "peak_MiB": round(peak),
                "imports_MiB": round(imports),
                "manifest_MiB": round((root.parent / "manifest/images.parquet").stat().st_size / 2**20, 1),
            }
        )
    )


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--images", type=int, default=IMAGES, help="only the default writes the result")
    arguments.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        return measure(given.measure)
    rows = []
    with TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        generate(root, given.images)
        for threads in (1, 2):
            command = [sys.executable, __file__, "--measure", str(root)]
            environment = {**os.environ, "DGREID_THREADS": str(threads)}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
        facts = {"size": f"{WIDTH}x{HEIGHT}", "cores": os.cpu_count(), "python": platform.python_version()}
        if given.images == IMAGES:
            RESULT.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n", encoding="utf-8")
        print("removing the images", flush=True)  # which some disks take long for
    return None


if __name__ == "__main__":
    main()
