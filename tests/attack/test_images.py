"""Odd and damaged images: refused by name, or read as Pillow reads them and with the colours they show."""

import io

import numpy as np
from PIL import Image

from attack.harness import SAME, SILENT, TAKEN, few_or_many
from attack.project import RUN, replica
from dgreid import sealed

LINE = f"embed --run {RUN} --images odd --out out/odd.parquet"
FORMATS = {
    "PNG": "png",
    "JPEG": "jpg",
    "BMP": "bmp",
    "GIF": "gif",
    "TIFF": "tif",
    "WEBP": "webp",
    "PPM": "ppm",
}


def picture(rng):
    """A smooth picture of random colours, (128, 64, 3) uint8."""
    small = Image.fromarray(rng.integers(0, 256, (4, 2, 3), dtype=np.uint8))
    return np.asarray(small.resize((64, 128), Image.Resampling.BICUBIC))


def same_colours(rng, tries):
    """Pictures in other modes and formats, and what they show as 8-bit RGB."""
    for number in range(tries):
        rgb = picture(rng)
        grey = np.asarray(Image.fromarray(rgb).convert("L"))
        bilevel, palette = Image.fromarray(rgb).convert("1"), Image.fromarray(rgb).quantize(256)
        shown = {
            "16-bit PNG": (Image.fromarray(grey.astype(np.uint16) * 257), "PNG", grey),
            "16-bit TIFF": (Image.fromarray(grey.astype(np.uint16) * 257), "TIFF", grey),
            "32-bit float": (Image.fromarray(grey.astype(np.float32) / 255), "TIFF", grey),
            "32-bit integer": (Image.fromarray(grey.astype(np.int32) * 257), "TIFF", grey),
            "grey": (Image.fromarray(grey), "PNG", grey),
            "grey, alpha": (Image.fromarray(grey).convert("LA"), "PNG", grey),
            "bilevel": (bilevel, "PNG", np.asarray(bilevel.convert("L"))),
            "CMYK": (Image.fromarray(rgb).convert("CMYK"), "TIFF", rgb),
            "YCbCr": (Image.fromarray(rgb).convert("YCbCr"), "TIFF", rgb),
            "palette": (palette, "PNG", np.asarray(palette.convert("RGB"))),
            "hidden colour": hidden(rgb, rng),
            "PPM": (Image.fromarray(rgb), "PPM", rgb),
            "turned": turned(rgb, rng),
        }  # fmt: skip
        name = list(shown)[number % len(shown)]
        image, form, expected = shown[name]
        exif = {"exif": image.getexif()} if name == "turned" else {}
        file = io.BytesIO()
        image.save(file, form, **exif)
        yield f"{name} {number}", FORMATS[form], file.getvalue(), expected


def hidden(rgb, rng):
    """Transparent places with another colour below, which nobody sees: they are white."""
    alpha = np.where(rng.random((128, 64)) < 0.3, 0, 255).astype(np.uint8)
    white = np.where(alpha[..., None] == 0, 255, rgb).astype(np.uint8)
    return Image.fromarray(np.dstack([rgb, alpha])), "PNG", white


def turned(rgb, rng):
    """A picture that its EXIF block says to turn."""
    image = Image.fromarray(np.ascontiguousarray(np.rot90(rgb, 1)))
    image.getexif()[0x0112] = 6
    return image, "PNG", rgb


def broken(rng, tries):
    """Files of all formats with flipped, lost and added bytes, and files that are no images."""
    for number in range(tries):
        form = list(FORMATS)[number % len(FORMATS)]
        file = io.BytesIO()
        Image.fromarray(picture(rng)).save(file, form)
        content = bytearray(file.getvalue())
        way = number // len(FORMATS) % 6
        if way == 0:
            del content[rng.integers(len(content)) :]
        elif way == 5:
            content = rng.bytes(int(rng.integers(0, 200)))
        elif way == 4:  # a header that says other sizes
            place = int(rng.integers(min(len(content), 64)))
            content[place : place + 4] = rng.bytes(4)
        else:
            for _ in range((1, 8, 64)[way - 1]):
                content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        yield f"{form}, way {way}, {number}", FORMATS[form], bytes(content)


@few_or_many(13, 52)
def test_other_modes_show_their_colours(server, built, tmp_path, tally, tries):
    counted, folder = tally("images: modes"), replica(built, tmp_path / "project")
    for name, suffix, content, expected in same_colours(np.random.default_rng(0), tries):
        said, vectors = embed(server, folder, suffix, content, expected)
        outcome = said.outcome
        if outcome is None:
            outcome = SAME if alike(*vectors) else SILENT
        counted.add(outcome, name, said)
    counted.close()


@few_or_many(14, 168)
def test_damaged_images(server, built, tmp_path, tally, tries):
    counted, folder = tally("images: damaged"), replica(built, tmp_path / "project")
    for name, suffix, content in broken(np.random.default_rng(1), tries):
        expected = as_pillow_reads(content)
        said, vectors = embed(server, folder, suffix, content, expected)
        outcome = said.outcome
        if outcome is None:
            outcome = TAKEN if expected is not None and alike(*vectors) else SILENT
        counted.add(outcome, name, said)
    counted.close()


def embed(server, folder, suffix, content, expected):
    """Embed a file, and what it should show as a plain PNG beside it."""
    odd = folder / "odd"
    odd.mkdir(exist_ok=True)
    for path in odd.iterdir():
        path.unlink()
    (odd / f"a.{suffix}").write_bytes(content)
    if expected is not None:
        Image.fromarray(expected).convert("RGB").save(odd / "b.png")
    (folder / "out/odd.parquet").unlink(missing_ok=True)
    said = server.call(LINE, folder)
    if said.outcome:
        return said, ()
    table = sealed.read_table(folder / "out/odd.parquet").to_pandas()
    return said, [np.array(vector) for vector in table["embedding"]]


def alike(*vectors) -> bool:
    """Whether two embeddings are those of one picture, up to the rounding of colours."""
    if len(vectors) != 2:
        return False
    a, b = vectors
    return float(np.linalg.norm(a - b)) < 0.15 * float(np.linalg.norm(b))


def as_pillow_reads(content: bytes):
    """The pixels of a file as Pillow alone reads them, (H, W, 3) uint8; None if it refuses."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > 50_000_000:
                return None
            image.load()
            return np.asarray(image.convert("RGB"))
    except Exception:
        return None
