"""Reading one image, from a file or out of a container.

A manifest's `path` is a file relative to the root, or a reference: `cuhk-03.mat#detected[2][359,4]`
(camera pair 2, identity 359, image 4, all counted from 1) or `s1.jpg#[x,y,w,h]` (a box in a scene: x
and y count from 1, and the box covers w+1 by h+1 pixels).
"""

import logging
import os
import re
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dgreid.datasets.mat import open_hdf5, reading
from dgreid.errors import UserError
from dgreid.files import check_mode

log = logging.getLogger(__name__)

# What may be an image, by its content; Pillow knows more, but some of those start other programs (EPS) or are
# no pictures. SUFFIXES are their file names, in lower case.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pnm", ".jp2", ".avif"),
)
PIXELS, SIDE = 50_000_000, 32_767  # of the largest image, and of its longer side: 200 MB when decoded
BYTES = 1 << 29  # of the largest file
PLAIN = (
    "RGB",
    "L",
    "1",
    "P",
    "PA",
    "LA",
    "RGBA",
    "RGBX",
    "RGBa",
    "CMYK",
    "YCbCr",
)  # modes of 8 bits and less
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")  # 16 bits of grey
NAMES = {"F": "32-bit floats", "I": "32-bit integers"}
DIMMEST = 4096  # 16-bit images below this have 12 bits or fewer

CELL = re.compile(r"^(?P<file>.+\.mat)#(?P<cells>\w+)\[(?P<pair>\d+)\]\[(?P<identity>\d+),(?P<index>\d+)\]$")
BOX = re.compile(r"^(?P<file>.+)#\[(?P<x>-?\d+),(?P<y>-?\d+),(?P<w>-?\d+),(?P<h>-?\d+)\]$")


def open_image(root: Path | str, path: str) -> Image.Image:
    """Open the image at `path` below `root`: RGB, upright, fully decoded.

    Raises:
        UserError: missing, truncated, not an image, or one that cannot be shown as 8-bit RGB by the rules of
            `decode`; names the file.
    """
    root = Path(root)
    if match := CELL.match(path):
        return Image.fromarray(read_cell(root / match["file"], match))
    if match := BOX.match(path):
        x, y, w, h = (int(match[key]) for key in "xywh")
        file = root / match["file"]
        scene = decode(read(file), file, upright=False)  # boxes refer to the pixels as stored
        # the authors' script takes rows y..y+h, columns x..x+w, both inclusive and counted from 1: h+1 by w+1
        # pixels, [y-1, y+h) by [x-1, x+w) counted from 0; never outside the scene
        box = (max(x - 1, 0), max(y - 1, 0), min(x + w, scene.width), min(y + h, scene.height))
        if box[2] <= box[0] or box[3] <= box[1]:
            raise UserError(f"{root / path}: the box is empty.")
        return scene.crop(box)
    return decode(read(root / path), root / path)


def read(file: Path) -> bytes:
    """Read the bytes of an image file.

    Raises:
        UserError: it cannot be read, is a pipe or a device, or is larger than any image.
    """
    try:
        with open(file, "rb", opener=_at_once) as content:
            facts = os.fstat(content.fileno())
            check_mode(file, facts.st_mode)
            if facts.st_size > BYTES:
                raise UserError(f"{file}: {facts.st_size:,} bytes are too large for an image; move it away.")
            return content.read()
    except FileNotFoundError as error:
        raise UserError(f"{file}: cannot be read (no such file); put it back, or adopt again.") from error
    except OSError as error:  # without the right to read a file, getting it again does not help
        raise UserError(f"{file}: cannot be read ({error.strerror}); fix that and run it again.") from error


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a named pipe would wait for its other end


def decode(content: bytes, file: Path | str, upright: bool = True) -> Image.Image:
    """Decode an image file as 8-bit RGB, to its end, so that a truncated file is noticed.

    Grey, palette, CMYK and YCbCr become RGB as Pillow converts them. 16-bit grey is divided by 257, which
    takes 65,535 to 255, and rounded. Transparent pixels are laid over white. Of an animation or of several
    pages the first is read.

    Args:
        content: the file's bytes.
        file: names it in messages.
        upright: turn or mirror the image by its EXIF orientation, as the released codes do.

    Raises:
        UserError: truncated or not an image, more than PIXELS pixels, or 32 bits per channel, whose range is
            not known.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > PIXELS or max(image.size) > SIDE:
                raise _too_large(file, f"{image.width} x {image.height}")
            image.load()
            if upright:
                with suppress(Exception):  # a damaged EXIF block does not damage the image
                    ImageOps.exif_transpose(image, in_place=True)
            return as_rgb(image, file)
    except UserError:
        raise
    except Image.DecompressionBombError as error:  # of Pillow's own bound, which is higher
        raise _too_large(file, "far too many") from error
    except Exception as error:  # a damaged file can raise any error
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(f"{file}: corrupt image ({reason}); get this file again.") from error


def as_rgb(image: Image.Image, file: Path | str) -> Image.Image:
    """Convert a decoded image of any mode to 8-bit RGB, by the rules of `decode`."""
    if image.mode in DEEP or (
        image.mode == "I" and image.format in ("PNG", "PPM")
    ):  # which hold 16 bits at most
        return _from_16_bits(image, file)
    if image.mode not in PLAIN:
        what = NAMES.get(image.mode, f"of mode {image.mode}")
        raise UserError(f"{file}: its pixels are {what}, whose colours are not known; save it as 8-bit RGB.")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    paper = Image.new("RGB", image.size, "white")
    paper.paste(layer, mask=layer.getchannel("A"))
    return paper


def _from_16_bits(image: Image.Image, file: Path | str) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)  # (H, W), 0 to 65535
    if 0 < values.max() < DIMMEST:
        _warn_of_dim(str(Path(file).parent))
    grey = ((values + 128) // 257).astype(np.uint8)  # rounded: 257 is odd, so there are no ties
    if isinstance(clear := image.info.get("transparency"), int):
        grey[values == clear] = 255
    return Image.fromarray(grey).convert("RGB")


@cache
def _warn_of_dim(folder: str) -> None:
    """Say it once for a folder."""
    log.warning(
        "%s: 16-bit images that reach only %d of 65535, as 10- and 12-bit pictures do, are nearly black; "
        "scale them to 16 bits.", folder, DIMMEST - 1
    )  # fmt: skip


def _too_large(file: Path | str, size: str) -> UserError:
    return UserError(
        f"{file}: {size} pixels are too many, images up to {PIXELS // 10**6} megapixels and {SIDE} pixels a "
        "side are read; make it smaller, or leave it out."
    )


def read_cell(file: Path, match: re.Match) -> np.ndarray:
    """Read one image of CUHK03's HDF5 file, uint8 (height, width, 3)."""
    mat = open_hdf5(file)
    with reading(file, match.string):
        cells = mat[mat[match["cells"]][0][int(match["pair"]) - 1]]  # (10, identities) references
        node = mat[cells[int(match["index"]) - 1, int(match["identity"]) - 1]]
        if node.dtype != np.uint8 or node.ndim != 3 or node.shape[0] != 3 or node.size > 3 * PIXELS:
            raise ValueError(f"its pixels are {node.dtype} {node.shape}")
        array = node[:].T  # stored (3, width, height)
    return np.ascontiguousarray(array)
