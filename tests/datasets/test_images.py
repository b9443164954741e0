import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from dgreid.datasets.images import open_image
from dgreid.errors import UserError


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "RGB"])
def test_every_mode_comes_out_as_rgb(tmp_path, mode):
    Image.new("RGB", (4, 6), (10, 200, 30)).convert(mode).save(tmp_path / "a.png")
    image = open_image(tmp_path, "a.png")
    assert (image.mode, image.size) == ("RGB", (4, 6))


def test_pixels_are_exact(draw, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    assert np.array_equal(np.asarray(open_image(tmp_path, "a.bmp")), pixels)


def test_truncated_image_names_the_file(draw, tmp_path):
    draw(tmp_path, ["a.jpg"], size=(64, 128))
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"a\.jpg: corrupt image"):
        open_image(tmp_path, "a.jpg")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_no_image_at_all(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.jpg: corrupt image \(not an image\)"):
        open_image(tmp_path, "a.jpg")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"b\.jpg: cannot be read"):
        open_image(tmp_path, "b.jpg")


def turned(path, orientation, exif=None):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 3), dtype=np.uint8)
    block = Image.Exif()
    block[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif or block)
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_as_the_released_codes_read_them(tmp_path, orientation):
    turned(tmp_path / "a.png", orientation)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    image = open_image(tmp_path, "a.png")
    assert image.size == ((6, 12) if orientation < 5 else (12, 6))
    assert np.array_equal(np.asarray(image), np.asarray(expected))


def test_boxes_are_cut_from_the_pixels_as_stored(tmp_path):
    pixels = turned(tmp_path / "s1.png", 6)
    (tmp_path / "s1.png").rename(tmp_path / "s1.jpg")
    assert np.array_equal(np.asarray(open_image(tmp_path, "s1.jpg#[2,3,2,6]")), pixels[2:9, 1:4])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_is_no_damaged_image(tmp_path):
    turned(tmp_path / "a.jpg", 1, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x01")
    assert open_image(tmp_path, "a.jpg").size == (6, 12)


def decoded(tmp_path, name, image, **options):
    image.save(tmp_path / name, **options)
    return np.asarray(open_image(tmp_path, name))


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 5))), st.sampled_from(["png", "tif", "pgm"])
)
def test_16_bit_grey_is_scaled_by_257(tmp_path_factory, values, suffix):
    folder = tmp_path_factory.mktemp("deep")
    pixels = decoded(folder, f"a.{suffix}", Image.fromarray(values))
    assert np.array_equal(pixels, np.repeat(np.round(values / 257).astype(np.uint8)[..., None], 3, 2))


def test_16_bit_grey_is_turned_upright_too(tmp_path):
    values = np.arange(12, dtype=np.uint16).reshape(4, 3) * 257
    block = Image.Exif()
    block[0x0112] = 6
    pixels = decoded(tmp_path, "a.png", Image.fromarray(values), exif=block)
    assert np.array_equal(pixels[..., 0], np.rot90(values // 257, -1))


def test_10_and_12_bits_in_16_are_said_once(tmp_path, caplog):
    for name in ("a.tif", "b.tif"):
        decoded(tmp_path, name, Image.fromarray(np.full((4, 3), 4080, np.uint16)))
    assert caplog.text.count("nearly black") == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [(np.zeros((4, 3), np.float32), "32-bit floats"), (np.full((4, 3), 70000, np.int32), "32-bit integers")],
)
def test_pixels_whose_range_is_not_known_are_refused_by_name(tmp_path, values, sentence):
    with pytest.raises(UserError, match=rf"a\.tif: its pixels are {sentence}.*save it as 8-bit RGB"):
        decoded(tmp_path, "a.tif", Image.fromarray(values))


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (4, 3, 4)), st.sampled_from(["png", "webp", "tif"]))
def test_transparent_pixels_lie_over_white(tmp_path_factory, values, suffix):
    folder = tmp_path_factory.mktemp("clear")
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    pixels = decoded(folder, f"a.{suffix}", Image.fromarray(values), **options)
    colour, alpha = values[..., :3].astype(float), values[..., 3:] / 255
    assert np.abs(pixels - (colour * alpha + 255 * (1 - alpha))).max() <= 1
    assert np.array_equal(pixels[values[..., 3] == 255], values[values[..., 3] == 255][:, :3])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA"])
def test_a_transparent_colour_of_any_mode_is_white(tmp_path, mode):
    if mode == "LA":
        image, options = Image.merge("LA", [Image.new("L", (3, 2), 10), Image.new("L", (3, 2), 0)]), {}
    else:
        image = Image.new("RGB", (3, 2), (10, 10, 10)).convert(mode)
        options = {"transparency": (10, 10, 10) if mode == "RGB" else image.getpixel((0, 0))}
    assert (decoded(tmp_path, "a.png", image, **options) == 255).all()


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, (5, 4, 3)), st.sampled_from(["png", "bmp", "ppm", "tif", "webp"]))
def test_ordinary_rgb_is_not_changed_by_a_bit(tmp_path_factory, values, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = decoded(tmp_path_factory.mktemp("plain"), f"a.{suffix}", Image.fromarray(values), **options)
    assert np.array_equal(pixels, values)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_is_as_pillow_converts_it(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    pixels = decoded(tmp_path, "a.jpg", Image.fromarray(noise).convert(mode), quality=90)
    assert np.array_equal(pixels, np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")))


def test_of_an_animation_the_first_picture_is_read(tmp_path):
    first, second = Image.new("RGB", (4, 6), "red"), Image.new("RGB", (4, 6), "blue")
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        pixels = decoded(tmp_path, name, first, save_all=True, append_images=[second], **options)
        assert (pixels == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(20_000, 10_000), (9_000, 6_000), (40_000, 10)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_too_large_is_refused_before_it_is_decoded(tmp_path, size, monkeypatch):
    Image.new("1", size).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", None)
    with pytest.raises(UserError, match=r"a\.png: .* pixels are too many.*make it smaller") as caught:
        open_image(tmp_path, "a.png")
    assert "\n" not in str(caught.value)


def test_pictures_that_start_other_programs_are_not_opened(tmp_path):
    Image.new("RGB", (4, 6)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="not an image"):
        open_image(tmp_path, "a.jpg")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "zero.jpg"):
        with pytest.raises(UserError, match=f"{name} is a pipe or a device: give the name of a file"):
            open_image(tmp_path, name)
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UserError, match="too large for an image"):
        open_image(tmp_path, "huge.jpg")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about what it misses
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "bmp", "ppm"])
def test_a_file_cut_anywhere_is_an_image_or_one_sentence(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(file)
    whole = file.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:length])
        try:
            open_image(tmp_path, file.name)
        except UserError as error:
            assert file.name in str(error) and "\n" not in str(error)
