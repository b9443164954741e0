import numpy as np
import pytest
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
