"""Decode a data set once: every image, resized to one size, in one memory-mapped uint8 file.

Packs are a cache under data/packs, named after their content, and safe to delete. Pillow makes them, so that
a pack equals single images read by `load` bit for bit (cubic filters of other decoders differ by a few
levels).

Behind the pixels stands their checksum, made as they are written. A process checks a pack when it first opens
it, and builds a damaged one again. It is a multilinear hash by NumPy, which detects accidents and no forgery:
a cache needs no more, and `python -m benchmarks.packing` compares its time with that of reading the file.
"""

import hashlib
import json
import logging
import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image
from tqdm import tqdm

from dgreid import sealed
from dgreid.datasets.adopt.archive import images_root
from dgreid.datasets.images import open_image
from dgreid.datasets.manifest import read_manifest
from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.files import check_room, whole
from dgreid.images.config import ImageConfig
from dgreid.paths import MANIFESTS, PACKS

FORMAT = "Pillow bicubic, RGB, 1"  # how `load` makes pixels; change this and new packs are built
CHUNK = 256  # images decoded at a time, so many that they make whole words; this bounds the memory of a build
WORDS = 2**15  # summed at a time: so many stay in the processor's cache
WEIGHTS = np.random.PCG64(0).random_raw(WORDS) | np.uint64(1)  # odd, so that no flipped bit vanishes mod 2^64

Shape = tuple[int, int, int, int]  # images, height, width, 3

log = logging.getLogger(__name__)
_checked: set[tuple] = set()  # the files that this process has checked or built


class Pack:
    """The images of one data set in manifest order; `pack[rows]` is a uint8 array (n, H, W, 3)."""

    def __init__(self, path: Path):
        self.path = path
        self._images: np.ndarray | None = None

    @classmethod
    def open(cls, dataset: str, image: ImageConfig) -> "Pack":
        """Open the pack of a data set at one image size; on first use one process builds it, others wait.

        Raises:
            UserError: the data set has no manifest or no images, an image cannot be read, or its pixels are
            not those of the manifest.
        """
        manifest = read_manifest(MANIFESTS / dataset)
        path = PACKS / f"{dataset}-{image.height}x{image.width}-{_key(manifest)}.npy"
        shape = len(manifest), image.height, image.width, 3
        if not is_whole(path, shape):
            PACKS.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not is_whole(path, shape):  # no other process has built it meanwhile
                    if path.exists():
                        log.warning("%s is damaged, or of an earlier version: it is built again.", path)
                    build(
                        path,
                        images_root(dataset),
                        list(manifest["path"]),
                        image,
                        list(manifest["pixel_sha256"]),
                    )
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


def load(root: Path, path: str, image: ImageConfig, expected: bytes | None = None) -> np.ndarray:
    """Load one image: decode, convert to RGB, resize by Pillow's bicubic -> (H, W, 3) uint8.

    Raises:
        UserError: the image cannot be read, or the SHA-256 of its pixels is not the `expected` one.
    """
    picture = open_image(root, path)
    if expected is not None and hashlib.sha256(picture.tobytes()).digest() != expected:
        raise UserError(
            f"{root / path}: its pixels are not those that the manifest was made from: put the image back, "
            "or make the manifest again with `dgreid manifest dataset=NAME`."
        )
    return np.asarray(picture.resize((image.width, image.height), Image.Resampling.BICUBIC))


def _key(manifest: pd.DataFrame) -> str:
    """Return twelve hex digits that change if any image, their order or the way of resizing changes."""
    return hashlib.sha256(repr([FORMAT, *manifest["pixel_sha256"]]).encode()).hexdigest()[:12]


def build(
    path: Path, root: Path, paths: list[str], image: ImageConfig, expected: list[bytes] | None = None
) -> None:
    """Write the whole pack; the caller holds its lock. A killed build resumes after its last chunk.

    Decoded images are compared with the hashes that the manifest has of their pixels, if they are given.

    Until it is complete, the pack is NAME.npy.part, and NAME.npy.done holds the number of images on the disk
    and their checksum. The name depends on content and size, so a part never belongs to other images.
    """
    part, done = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.done")
    _sweep(path, keep=(part, done))
    shape = len(paths), image.height, image.width, 3
    start, total = _finished(part, done, shape)
    size = int(np.prod(shape[1:]))
    check_room(path, (len(paths) - start) * size, path.name)
    if not start:
        done.unlink(missing_ok=True)  # it may belong to an older part
    with (
        open(part, "r+b")
        if start
        else open(part, "wb") as file,  # not mapped: a full disk would kill the process
        ThreadPoolExecutor(threads()) as pool,
        tqdm(total=len(paths), initial=start, desc=f"packing {path.stem}", unit="img", disable=None) as bar,
    ):
        file.write(_header(shape))
        file.seek(start * size, os.SEEK_CUR)
        for first in range(start, len(paths), CHUNK):
            chunk = paths[first : first + CHUNK]
            known = expected[first : first + CHUNK] if expected else [None] * len(chunk)
            loaded = pool.map(lambda name, pixels: load(root, name, image, pixels), chunk, known)
            pixels = np.stack(list(loaded)).tobytes()
            total = add(total, first * size, pixels)
            file.write(pixels)
            _flush(file)  # before `done` counts it
            with whole(done) as mark:
                mark.write_bytes(_mark(first + len(chunk), total))
            bar.update(len(chunk))
        file.truncate()  # what a killed build wrote after its last mark
        file.write(_mark(len(paths), total))
        _flush(file)
    os.replace(part, path)
    done.unlink(missing_ok=True)
    _checked.add(_version(path))


def is_whole(path: Path, shape: Shape) -> bool:
    """Whether a pack is there and its pixels are those that were written; read once per process and file."""
    if not path.exists():
        return False
    if _version(path) not in _checked:
        with open(path, "rb", buffering=0) as file:
            file.seek(len(_header(shape)) + int(np.prod(shape)))
            count, total = _read_mark(file.read())
            if count != shape[0] or not _holds(file, shape, count, total):
                return False
        _checked.add(_version(path))
    return True


def _version(path: Path) -> tuple:
    facts = path.stat()
    return str(path.resolve()), facts.st_ino, facts.st_size, facts.st_mtime_ns


def _finished(part: Path, done: Path, shape: Shape) -> tuple[int, int]:
    """Images of a part from which a build can resume, and their checksum; 0 and 0 if there is none."""
    if part.is_file() and done.is_file():
        count, total = _read_mark(done.read_bytes())
        with open(part, "rb", buffering=0) as file:
            if 0 < count <= shape[0] and _holds(file, shape, count, total):
                return count, total
    return 0, 0


def _holds(file: BinaryIO, shape: Shape, count: int, total: int) -> bool:
    """Whether a file begins like a pack of this shape whose first `count` images have this checksum."""
    header, size = _header(shape), count * int(np.prod(shape[1:]))
    file.seek(0)
    if os.fstat(file.fileno()).st_size < len(header) + size or file.read(len(header)) != header:
        return False
    with mmap.mmap(file.fileno(), len(header) + size, access=mmap.ACCESS_READ) as content:
        content.madvise(mmap.MADV_SEQUENTIAL)  # the disk reads ahead while we add
        with memoryview(content) as view, view[len(header) :] as pixels:
            return add(0, 0, pixels) == total


def add(total: int, at: int, pixels: bytes | memoryview) -> int:
    """Add bytes that begin at the place `at`, a multiple of 8, to a checksum; 0 is that of no bytes.

    It is the sum mod 2^64 of all words, each times an odd number that its place decides.
    """
    rest = len(pixels) % 8
    words = np.frombuffer(pixels, "<u8", count=len(pixels) // 8)
    done = 0
    while done < len(words):
        block, start = divmod(at // 8 + done, WORDS)
        part = words[done : done + WORDS - start]
        total += pow(5, block, 2**64) * int(np.einsum("i,i", part, WEIGHTS[start : start + len(part)]))
        done += len(part)
    if rest:
        block, start = divmod(at // 8 + done, WORDS)
        total += pow(5, block, 2**64) * int(WEIGHTS[start]) * int.from_bytes(pixels[-rest:], "little")
    return total % 2**64


def _mark(count: int, total: int) -> bytes:
    return sealed.to_json({"images": count, "checksum": str(total)}).encode()


def _read_mark(text: bytes) -> tuple[int, int]:
    """Number of images and their checksum; -1 and 0 if the text is damaged."""
    try:
        node = sealed.opened(json.loads(text), text.decode())
        return int(node["images"]), int(node["checksum"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return -1, 0


def _header(shape: Shape) -> bytes:
    """What stands before the pixels: that of NumPy's format for a uint8 array."""
    buffer = BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, facts)
    return buffer.getvalue()


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


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
