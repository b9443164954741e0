import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dgreid.images.augment import MEAN, STD, augment, crop, jitter, normalise, occlude
from dgreid.images.config import ImageConfig
from dgreid.images.samplers import generator

IMAGE = ImageConfig(name="small", height=8, width=6, padding=2)


def pixels(count: int = 5, height: int = 8, width: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, height, width, 3)).astype(np.uint8)


@settings(deadline=None)
@given(st.data())
def test_crop_equals_flip_then_zero_pad_then_slice(data):
    images = pixels()
    flipped = np.array(data.draw(st.lists(st.booleans(), min_size=5, max_size=5)))
    top, left = (np.array(data.draw(st.lists(st.integers(0, 4), min_size=5, max_size=5))) for _ in range(2))
    expected = []
    for i, image in enumerate(images):
        image = np.fliplr(image) if flipped[i] else image
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
        expected.append(padded[top[i] : top[i] + 8, left[i] : left[i] + 6])
    assert (crop(images, flipped, top, left, 2) == np.stack(expected)).all()


def test_half_of_the_images_are_flipped_and_every_offset_occurs():
    images = np.zeros((4000, 8, 6, 3), np.uint8)
    images[:, 4, 1] = 255  # one dot shows where the window fell
    out = augment(images, IMAGE, generator(0))
    where = np.argwhere(out[..., 0])
    rows, columns = where[:, 1], where[:, 2]
    assert set(rows) == {2, 3, 4, 5, 6}
    assert set(columns) == set(range(6))  # 1 + {-2..2} unflipped (-1 is outside), 4 + {-2..2} flipped
    assert 700 < (columns >= 4).sum() < 900  # half flipped, two of five offsets: 800 expected
    assert (np.unique(rows, return_counts=True)[1] > 500).all()


def test_the_same_generator_gives_the_same_batch_and_the_source_is_untouched():
    images = pixels()
    before = images.copy()
    config = IMAGE.model_copy(update={"color_jitter": (0.15, 0.15, 0.1, 0.1)})
    first, again, other = (augment(images, config, generator(0, "base", n)) for n in (7, 7, 8))
    assert (first == again).all() and (first != other).any()
    assert (images == before).all()


def test_no_flip_and_no_padding_is_the_identity():
    config = IMAGE.model_copy(update={"flip": 0.0, "padding": 0})
    assert (augment(pixels(), config, generator(0)) == pixels()).all()


def test_jitter_is_torchvisions_arithmetic():
    from dgreid.networks.vision import transforms

    adjust = transforms.functional
    changes = (adjust.adjust_brightness, adjust.adjust_contrast, adjust.adjust_saturation, adjust.adjust_hue)
    strengths = (0.15, 0.15, 0.1, 0.1)
    for image, seed in zip(pixels(20), range(20), strict=True):
        rng = generator(seed)
        factors, expected = rng.uniform(-1, 1, 4) * strengths, Image.fromarray(image)
        for kind in rng.permutation(4):
            expected = changes[kind](expected, factors[kind] + (kind < 3))
        assert (jitter(image, strengths, generator(seed)) == np.asarray(expected)).all()


def test_jitter_changes_brightness_within_its_bounds():
    image = np.full((4, 4, 3), 100, np.uint8)
    levels = [jitter(image, (0.15, 0, 0, 0), generator(n)).mean() for n in range(200)]
    assert 84 <= min(levels) < 87 and 113 < max(levels) <= 116


def test_hue_turns_both_ways_around_the_circle():
    image = np.full((2, 2, 3), (200, 40, 40), np.uint8)  # red: hue 0
    turned = np.stack([jitter(image, (0, 0, 0, 0.1), generator(n))[0, 0] for n in range(100)]).astype(int)
    assert (turned[:, 1] > turned[:, 2] + 20).any() and (turned[:, 2] > turned[:, 1] + 20).any()
    assert (turned.max(1) == 200).all()


def test_a_white_square_of_every_size_lies_inside_every_image():
    sides, tops, lefts = [], [], []
    for number in range(400):
        images = pixels(5, 12, 10) // 2  # no white in them
        before = images.copy()
        occlude(images, 0.8, generator(number))
        for image, old in zip(images, before, strict=True):
            changed = (image != old).all(2)
            (top, bottom), (left, right) = (np.flatnonzero(changed.any(axis))[[0, -1]] for axis in (1, 0))
            assert bottom - top == right - left  # a square,
            assert (
                changed[top : bottom + 1, left : right + 1].all() and changed.sum() == (bottom - top + 1) ** 2
            )
            assert (image[changed] == 255).all() and (image[~changed] == old[~changed]).all()  # white
            sides.append(bottom - top + 1)
            tops.append(top)
            lefts.append(left)
            assert bottom < 11 and right < 9  # as released, never at the lower and right edges
    counts = np.unique(sides, return_counts=True)
    assert counts[0].tolist() == [1, 2, 3, 4, 5, 6, 7]  # below .8 x 10
    assert (abs(counts[1] - 2000 / 7) < 60).all()
    assert set(tops) == set(range(11)) and set(lefts) == set(range(9))


def test_an_image_too_small_for_a_larger_square_gets_one_pixel():
    images = np.zeros((3, 4, 2, 3), np.uint8)
    occlude(images, 0.5, generator(0))
    assert ((images == 255).all(3).sum((1, 2)) == 1).all()


def test_the_square_comes_last_and_changes_no_other_draw():
    images = pixels() // 2
    for jitters in (None, (0.15, 0.15, 0.1, 0.1)):
        plain = IMAGE.model_copy(update={"color_jitter": jitters})
        covered = plain.model_copy(update={"occlusion": 0.8})
        without, with_one = (augment(images, each, generator(3)) for each in (plain, covered))
        white = (with_one == 255).all(3)
        assert white.any((1, 2)).all() and not white.all((1, 2)).any()
        assert (with_one[~white] == without[~white]).all()


def test_normalise_is_imagenet_in_channels_first():
    images = torch.from_numpy(pixels())
    out = normalise(images)
    expected = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1
    )
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    assert out.shape == (5, 3, 8, 6) and out.dtype == torch.float32
