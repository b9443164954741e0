"""Decode a data set once: every image, resized to one size, in one memory-mapped uint8 file.

Packs are a cache under data/packs, named after their content, and safe to delete. Pillow makes them, so that
a pack equals single images read by `load` bit for bit (cubic filters of other decoders differ by a few
levels).
"""

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image
from tqdm import tqdm

from dgreid.datasets.adopt.archive import images_root
from dgreid.datasets.images import open_image
from dgreid.datasets.manifest import read_manifest
from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.images.config import ImageConfig
from dgreid.paths import MANIFESTS, PACKS

FORMAT = "Pillow bicubic, RGB, 1"  # how `load` makes pixels; change this and new packs are built
CHUNK = 256  # images decoded at a time; this bounds the memory of a build


class Pack:
    """The images of one data set in manifest order; `pack[rows]` is a uint8 array (n, H, W, 3)."""

    def __init__(self, path: Path):
        self.path = path
        self._images: np.ndarray | None = None

    @classmethod
    def open(cls, dataset: str, image: ImageConfig) -> "Pack":
        """Open the pack of a data set at one image size; on first use one process builds it, others wait.

        Raises:
            UserError: the data set has no manifest or no images, or an image cannot be read.
        """
        manifest = read_manifest(MANIFESTS / dataset)
        path = PACKS / f"{dataset}-{image.height}x{image.width}-{_key(manifest)}.npy"
        if not path.exists():
            PACKS.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    build(path, images_root(dataset), list(manifest["path"]), image)
        return cls(path)

    @property
    def images(self) -> np.ndarray:
        """The mapped file, (N, H, W, 3) uint8, read only."""
        if self._images is None:  # a plain array, because np.memmap's own indexing is slow
            self._images = np.load(self.path, mmap_mode="r").view(np.ndarray)
        return self._images

    def __len__(self) -> int:
        """The number of images, which is that of the manifest's rows."""
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Copy the images of manifest rows, (n, H, W, 3)."""
        return self.images[rows]

    def __reduce__(self) -> tuple:
        """Pickle only the path: a worker process maps the file itself."""
        return Pack, (self.path,)


def load(root: Path, path: str, image: ImageConfig) -> np.ndarray:
    """Load one image: decode, convert to RGB, resize by Pillow's bicubic -> (H, W, 3) uint8."""
    picture = open_image(root, path)
    return np.asarray(picture.resize((image.width, image.height), Image.Resampling.BICUBIC))


def _key(manifest: pd.DataFrame) -> str:
    """Return twelve hex digits that change if any image, their order or the way of resizing changes."""
    return hashlib.sha256(repr([FORMAT, *manifest["pixel_sha256"]]).encode()).hexdigest()[:12]


def build(path: Path, root: Path, paths: list[str], image: ImageConfig) -> None:
    """Write the whole pack; the caller holds its lock. A killed build resumes after its last chunk.

    Until it is complete, the pack is NAME.npy.part, and NAME.npy.done holds the number of images on the disk.
    The name depends on content and size, so a part never belongs to other images.
    """
    part, done = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.done")
    _sweep(path, keep=(part, done))
    shape = len(paths), image.height, image.width, 3
    start = _finished(part, done, shape)
    size, free = int(np.prod((len(paths) - start, *shape[1:]))), shutil.disk_usage(path.parent).free
    if size > free:  # writing a mapped file on a full disk kills the process without a message
        raise UserError(
            f"{path.parent} needs {size / 1e9:.1f} GB for {path.name} and has {free / 1e9:.1f} GB free; "
            "delete packs you do not need, or link the folder to another disk."
        )
    if start:
        store = np.lib.format.open_memmap(part, mode="r+")
    else:
        done.unlink(missing_ok=True)  # it may belong to an older part
        store = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    with (
        ThreadPoolExecutor(threads()) as pool,
        tqdm(total=len(paths), initial=start, desc=f"packing {path.stem}", unit="img", disable=None) as bar,
    ):
        for first in range(start, len(paths), CHUNK):
            chunk = paths[first : first + CHUNK]
            for row, pixels in enumerate(pool.map(lambda name: load(root, name, image), chunk), first):
                store[row] = pixels
            store.flush()  # before `done` counts it
            with whole(done) as mark:
                mark.write_text(str(first + len(chunk)), encoding="utf-8")
            bar.update(len(chunk))
    os.replace(part, path)
    done.unlink(missing_ok=True)


def _finished(part: Path, done: Path, shape: tuple[int, ...]) -> int:
    """Count the finished images of a part; 0 if there is no part from which a build can resume."""
    try:
        count, store = int(done.read_text(encoding="utf-8")), np.load(part, mmap_mode="r")
    except (OSError, ValueError):
        return 0
    return count if store.shape == shape and store.dtype == np.uint8 and 0 <= count <= shape[0] else 0


def _sweep(path: Path, keep: tuple[Path, ...]) -> None:
    """Remove parts of this data set and size that belong to an older manifest."""
    family = path.stem.rpartition("-")[0]  # {dataset}-{height}x{width}
    for stale in sorted(path.parent.glob(f"{family}-*.npy.part")):
        if stale in keep:
            continue
        lock = FileLock(stale.with_name(stale.name.removesuffix(".npy.part") + ".lock"), timeout=0)
        with suppress(Timeout), lock:  # another process may be building it
            stale.unlink(missing_ok=True)
            stale.with_suffix(".done").unlink(missing_ok=True)
