"""Reading one image, from a file or out of a container.

A manifest's `path` is a file relative to the root, or a reference: `cuhk-03.mat#detected[2][359,4]`
(camera pair 2, identity 359, image 4, all counted from 1) or `s1.jpg#[x,y,w,h]` (a box in a scene: x
and y count from 1, and the box covers w+1 by h+1 pixels).
"""

import os
import re
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dgreid.errors import UserError

CELL = re.compile(r"^(?P<file>.+\.mat)#(?P<cells>\w+)\[(?P<pair>\d+)\]\[(?P<person>\d+),(?P<index>\d+)\]$")
BOX = re.compile(r"^(?P<file>.+)#\[(?P<x>-?\d+),(?P<y>-?\d+),(?P<w>-?\d+),(?P<h>-?\d+)\]$")


def open_image(root: Path | str, path: str) -> Image.Image:
    """Open the image at `path` below `root`: RGB, upright, fully decoded.

    Raises:
        UserError: missing, truncated or not an image; names the file.
    """
    if match := CELL.match(path):
        return Image.fromarray(read_cell(Path(root) / match["file"], match))
    if match := BOX.match(path):
        x, y, w, h = (int(match[key]) for key in "xywh")
        file = Path(root) / match["file"]
        scene = decode(read(file), file, upright=False)  # boxes refer to the pixels as stored
        # the authors' script takes rows y..y+h, columns x..x+w, both inclusive and counted from 1: h+1 by w+1
        # pixels, [y-1, y+h) by [x-1, x+w) counted from 0; never outside the scene
        box = (max(x - 1, 0), max(y - 1, 0), min(x + w, scene.width), min(y + h, scene.height))
        if box[2] <= box[0] or box[3] <= box[1]:
            raise UserError(f"{Path(root) / path}: the box is empty.")
        return scene.crop(box)
    file = Path(root) / path
    return decode(read(file), file)


def read(file: Path) -> bytes:
    """Read the bytes of a file."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); adopt the data set again.") from error


def decode(content: bytes, file: Path | str, upright: bool = True) -> Image.Image:
    """Decode an image file as RGB, to its end, so that a truncated file is noticed.

    Args:
        content: the file's bytes.
        file: names it in messages.
        upright: turn or mirror the image by its EXIF orientation, as the released codes do.
    """
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            if upright:
                with suppress(Exception):  # a damaged EXIF block does not damage the image
                    ImageOps.exif_transpose(image, in_place=True)
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(f"{file}: corrupt image ({reason}); get this file again.") from error


def read_cell(file: Path, match: re.Match) -> np.ndarray:
    """Read one image of CUHK03's HDF5 file, uint8 (height, width, 3)."""
    mat = open_mat(str(file))
    try:
        table = mat[mat[match["cells"]][0][int(match["pair"]) - 1]]  # (10, identities) references
        cell = table[int(match["index"]) - 1, int(match["person"]) - 1]
        array = mat[cell][:].T  # stored (3, width, height)
    except (KeyError, IndexError, ValueError, OSError) as error:
        raise UserError(f"{match.string}: not in {file} ({error}); adopt the data set again.") from error
    return np.ascontiguousarray(array)


def open_mat(file: str):
    """Open an HDF5 file; kept open per process (a handle must not cross a fork) and version of the file."""
    try:
        return _open_mat(file, os.stat(file).st_mtime_ns, os.getpid())
    except OSError as error:
        raise UserError(f"{file}: not a whole MATLAB 7.3 (HDF5) file; get it again and adopt it.") from error


@lru_cache(maxsize=4)
def _open_mat(file: str, version: int, process: int):
    import h5py  # late: only CUHK03 needs it

    return h5py.File(file, "r")
