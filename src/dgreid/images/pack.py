"""A data set decoded once: every image resized to one size, in one memory-mapped uint8 file.

Packs are a cache under data/packs, named after their content, and safe to delete. They are built with
Pillow, so that a pack equals the per-image path bit for bit (other decoders' cubics differ by a few levels).
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

FORMAT = "Pillow bicubic, RGB, 1"  # how `load` makes pixels; a change makes new packs
CHUNK = 256  # images decoded at a time: the memory a build takes beyond the file's pages


class Pack:
    """The images of one data set in manifest order; `pack[rows]` is a uint8 array (n, H, W, 3)."""

    def __init__(self, path: Path):
        self.path = path
        self._images: np.ndarray | None = None

    @classmethod
    def open(cls, dataset: str, image: ImageConfig) -> "Pack":
        """The pack of a data set at one image size, built on first use; one process builds, others wait.

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
        if self._images is None:  # a plain array over the map: np.memmap's own indexing is slow
            self._images = np.load(self.path, mmap_mode="r").view(np.ndarray)
        return self._images

    def __len__(self) -> int:
        """Number of images, the manifest's rows."""
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The images of manifest rows, copied, (n, H, W, 3)."""
        return self.images[rows]

    def __reduce__(self) -> tuple:
        """Pickle the path alone: a worker process maps the file itself."""
        return Pack, (self.path,)


def load(root: Path, path: str, image: ImageConfig) -> np.ndarray:
    """One image the per-image way: decoded, RGB, Pillow bicubic -> (H, W, 3) uint8."""
    picture = open_image(root, path)
    return np.asarray(picture.resize((image.width, image.height), Image.Resampling.BICUBIC))


def _key(manifest: pd.DataFrame) -> str:
    """Twelve hex digits that change when any image, their order or the way to resize them does."""
    return hashlib.sha256(repr([FORMAT, *manifest["pixel_sha256"]]).encode()).hexdigest()[:12]


def build(path: Path, root: Path, paths: list[str], image: ImageConfig) -> None:
    """Write the whole pack; the caller holds its lock. A build that was killed goes on at its last chunk.

    Until it is whole, the pack is NAME.npy.part, and NAME.npy.done says how many of its images are on the
    disk. The name changes with the content and the size, so a part never belongs to other images.
    """
    part, done = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.done")
    _sweep(path, keep=(part, done))
    shape = len(paths), image.height, image.width, 3
    start = _finished(part, done, shape)
    size, free = int(np.prod((len(paths) - start, *shape[1:]))), shutil.disk_usage(path.parent).free
    if size > free:  # a mapped file that meets a full disk kills the process without a word
        raise UserError(
            f"{path.parent} needs {size / 1e9:.1f} GB for {path.name} and has {free / 1e9:.1f} GB free; "
            "delete packs you do not need, or link the folder to another disk."
        )
    if start:
        store = np.lib.format.open_memmap(part, mode="r+")
    else:
        done.unlink(missing_ok=True)  # it may speak of an older part
        store = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    with (
        ThreadPoolExecutor(threads()) as pool,
        tqdm(total=len(paths), initial=start, desc=f"packing {path.stem}", unit="img", disable=None) as bar,
    ):
        for first in range(start, len(paths), CHUNK):
            chunk = paths[first : first + CHUNK]
            for row, pixels in enumerate(pool.map(lambda name: load(root, name, image), chunk), first):
                store[row] = pixels
            store.flush()  # before it is called done
            with whole(done) as mark:
                mark.write_text(str(first + len(chunk)))
            bar.update(len(chunk))
    os.replace(part, path)
    done.unlink(missing_ok=True)


def _finished(part: Path, done: Path, shape: tuple[int, ...]) -> int:
    """How many images of a part are finished; 0 if there is no part, or none that can be continued."""
    try:
        count, store = int(done.read_text()), np.load(part, mmap_mode="r")
    except (OSError, ValueError):
        return 0
    return count if store.shape == shape and store.dtype == np.uint8 and 0 <= count <= shape[0] else 0


def _sweep(path: Path, keep: tuple[Path, ...]) -> None:
    """Remove parts of this data set and size whose images are no longer the manifest's."""
    family = path.stem.rpartition("-")[0]  # {dataset}-{height}x{width}
    for stale in sorted(path.parent.glob(f"{family}-*.npy.part")):
        if stale in keep:
            continue
        lock = FileLock(stale.with_name(stale.name.removesuffix(".npy.part") + ".lock"), timeout=0)
        with suppress(Timeout), lock:  # somebody may be at work on it
            stale.unlink(missing_ok=True)
            stale.with_suffix(".done").unlink(missing_ok=True)
