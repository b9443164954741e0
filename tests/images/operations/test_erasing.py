import numpy as np
import pytest
import torch

from dgreid.errors import UserError
from dgreid.images.normalise import MEAN, STD, normalise
from dgreid.images.operations import erasing, read
from dgreid.images.streams import generator


def options(**values) -> erasing.Options:
    return erasing.Options(operation="erasing", probability=1, **values)


def test_one_rectangle_of_the_right_area_and_shape_is_erased():
    images = np.zeros((600, 64, 32, 3), np.uint8)
    given = options(fill=(9, 8, 7))
    areas, aspects = [], []
    for image in erasing.apply(images, given, generator(0)):
        erased = image.any(2)
        (top, bottom), (left, right) = (np.flatnonzero(erased.any(axis))[[0, -1]] for axis in (1, 0))
        height, width = bottom - top + 1, right - left + 1
        assert erased.sum() == height * width and (image[erased] == (9, 8, 7)).all()
        assert height < 64 and width < 32
        areas.append(height * width / (64 * 32))
        aspects.append(height / width)
    assert 0.018 < min(areas) < 0.03 and 0.37 < max(areas) < 0.41
    assert abs(np.median(aspects) - 1.9) < 0.2  # uniform in .3 .. 3.33, few do not fit
    assert min(aspects) < 0.45 and 3.1 < max(aspects) < 3.7


def test_a_rectangle_that_never_fits_erases_nothing():
    images = np.ones((3, 8, 4, 3), np.uint8)
    assert (erasing.apply(images, options(area=(1, 1)), generator(0)) == images).all()


def test_the_default_colour_is_imagenets_mean_after_the_normalisation():
    # BAU's release fills with (.485, .456, .406) where pixels are normalised already
    pixel = torch.tensor(erasing.Options(operation="erasing").fill, dtype=torch.uint8).view(1, 1, 1, 3)
    assert (normalise(pixel).view(3) - torch.tensor(MEAN)).abs().max() < 0.5 / 255 / min(STD)


@pytest.mark.parametrize(
    "wrong", [{"area": [0.4, 0.1]}, {"aspect": [0, 1]}, {"fill": [0, 0, 256]}, {"fill": [1]}]
)
def test_a_wrong_range_or_colour_is_said_in_a_sentence(wrong):
    with pytest.raises(UserError, match=f"image.train.1.{next(iter(wrong))}"):
        read({"operation": "erasing", **wrong}, "image.train.1")
