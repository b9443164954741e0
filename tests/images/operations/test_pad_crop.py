import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.images.operations import pad_crop
from dgreid.images.operations.pad_crop import crop
from dgreid.images.streams import generator
from helpers.pixels import pixels


@settings(deadline=None)
@given(st.data())
def test_crop_is_zero_padding_and_a_slice(data):
    images = pixels()
    top, left = (np.array(data.draw(st.lists(st.integers(0, 4), min_size=5, max_size=5))) for _ in range(2))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    expected = [padded[i, top[i] : top[i] + 8, left[i] : left[i] + 6] for i in range(5)]
    assert (crop(images, top, left, 2) == np.stack(expected)).all()


def test_every_offset_occurs_equally_often():
    images = np.zeros((4000, 8, 6, 3), np.uint8)
    images[:, 4, 2] = 255  # one dot shows where the window fell
    out = pad_crop.apply(images, pad_crop.Options(operation="pad_crop", padding=2), generator(0))
    _, rows, columns = np.argwhere(out[..., 0]).T
    for places, values in ((rows, [2, 3, 4, 5, 6]), (columns, [0, 1, 2, 3, 4])):
        found, counts = np.unique(places, return_counts=True)
        assert found.tolist() == values and (abs(counts - 800) < 100).all()


def test_no_padding_changes_nothing_and_draws_nothing():
    rng = generator(0)
    still = pad_crop.Options(operation="pad_crop", padding=0)
    assert (pad_crop.apply(pixels(), still, rng) == pixels()).all()
    assert rng.random() == generator(0).random()  # so that a list may as well leave it out
