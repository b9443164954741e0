"""A data set decoded once: every image resized to one size, in one memory-mapped uint8 file.

Packs are a cache under data/packs, named after their content, and safe to delete. They are built with
Pillow, so that a pack equals the per-image path bit for bit (other decoders' cubics differ by a few levels).
"""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from dgreid.config import ImageConfig, threads
from dgreid.datasets.archive import images_root
from dgreid.datasets.images import open_image
from dgreid.datasets.manifest import read_manifest
from dgreid.errors import UserError
from dgreid.files import whole

MANIFESTS, PACKS = Path("data/manifests"), Path("data/packs")
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
                    _build(path, images_root(dataset), list(manifest["path"]), image)
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


def _build(path: Path, root: Path, paths: list[str], image: ImageConfig) -> None:
    """Write the whole pack; the caller holds its lock. A build that was killed starts afresh."""
    for stale in path.parent.glob(f".tmp-{path.name}-*"):  # of a killed build: nobody else holds the lock
        shutil.rmtree(stale, ignore_errors=True)
    shape = len(paths), image.height, image.width, 3
    size, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if size > free:  # a mapped file that meets a full disk kills the process without a word
        raise UserError(
            f"{path.parent} needs {size / 1e9:.1f} GB for {path.name} and has {free / 1e9:.1f} GB free; "
            "delete packs you do not need, or link the folder to another disk."
        )
    with (
        whole(path) as part,
        ThreadPoolExecutor(threads()) as pool,
        tqdm(total=len(paths), desc=f"packing {path.stem}", unit="img", disable=None) as bar,
    ):
        store = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            for row, pixels in enumerate(pool.map(lambda name: load(root, name, image), chunk), start):
                store[row] = pixels
            store.flush()
            bar.update(len(chunk))
