import numpy as np

from dgreid.images.operations import occlusion
from dgreid.images.streams import generator


def occlude(images: np.ndarray, greatest: float, *key: int) -> np.ndarray:
    options = occlusion.Options(operation="occlusion", greatest_side=greatest)
    return occlusion.apply(images, options, generator(*key))


def test_a_white_square_of_every_size_lies_inside_every_image():
    sides, tops, lefts = [], [], []
    before = np.random.default_rng(0).integers(1, 128, (5, 12, 10, 3)).astype(np.uint8)  # no white in them
    for number in range(400):
        for image, old in zip(occlude(before, 0.8, number), before, strict=True):
            changed = (image != old).all(2)
            (top, bottom), (left, right) = (np.flatnonzero(changed.any(axis))[[0, -1]] for axis in (1, 0))
            side = bottom - top + 1
            assert side == right - left + 1  # a square,
            assert changed[top : bottom + 1, left : right + 1].all() and changed.sum() == side**2
            assert (image[changed] == 255).all() and (image[~changed] == old[~changed]).all()  # white
            sides.append(side)
            tops.append(top)
            lefts.append(left)
            assert bottom < 11 and right < 9  # as released, never at the lower and right edges
    values, counts = np.unique(sides, return_counts=True)
    assert values.tolist() == [1, 2, 3, 4, 5, 6, 7]  # below .8 x 10
    assert (abs(counts - 2000 / 7) < 60).all()
    assert set(tops) == set(range(11)) and set(lefts) == set(range(9))


def test_an_image_too_small_for_a_larger_square_gets_one_pixel():
    covered = occlude(np.zeros((3, 4, 2, 3), np.uint8), 0.5, 0)
    assert ((covered == 255).all(3).sum((1, 2)) == 1).all()
