import numpy as np
from PIL import Image

from dgreid.images import pillow
from helpers.pixels import pixels

PIXELS = pixels(1, 6, 10)[0]
PICTURE = Image.fromarray(PIXELS)


def test_only_the_chosen_images_change_and_the_batch_stays():
    images = pixels(4)
    before, chosen = images.copy(), np.array([True, False, False, True])
    changed = pillow.change_each(images, chosen, lambda image: image.transpose(Image.Transpose.ROTATE_180))
    assert (images == before).all()
    assert (changed[1:3] == before[1:3]).all()
    assert (changed[chosen] == before[chosen][:, ::-1, ::-1]).all()


def test_a_pixel_comes_from_where_the_map_points():
    shifted = np.asarray(pillow.affine(PICTURE, (1, 0, 2, 0, 1, 1)))
    assert (shifted[:-1, :-2] == PIXELS[1:, 2:]).all()
    assert (shifted[-1] == 0).all() and (shifted[:, -2:] == 0).all()  # black behind the edge
    filled = np.asarray(pillow.affine(PICTURE, (1, 0, 2, 0, 1, 1), fillcolor=(9, 9, 9)))
    assert (filled[-1] == 9).all()


def test_translations_are_shares_of_the_size():
    assert (np.asarray(pillow.translate_x(PICTURE, 0.2))[:, :-2] == PIXELS[:, 2:]).all()
    assert (np.asarray(pillow.translate_y(PICTURE, -0.5))[3:] == PIXELS[:3]).all()


def test_shears_shift_each_row_one_further_than_the_last():
    found = np.asarray(pillow.shear_x(PICTURE, 1.0))
    for number in range(6):  # a pixel is taken at its middle, half a row further on
        assert (found[number, : 9 - number] == PIXELS[number, number + 1 :]).all()
        assert (found[number, 9 - number :] == 0).all()
    turned = Image.fromarray(PIXELS.transpose(1, 0, 2))
    columns = np.asarray(pillow.shear_y(turned, 1.0)).transpose(1, 0, 2)
    assert (columns == found).all()
