import numpy as np
import pytest
from PIL import Image

from dgreid.errors import UserError
from dgreid.images.operations import color_jitter, read
from dgreid.images.operations.color_jitter import jitter
from dgreid.images.streams import generator


def options(**values) -> color_jitter.Options:
    return color_jitter.Options(operation="color_jitter", **values)


ALL = options(brightness=0.15, contrast=0.15, saturation=0.1, hue=0.1)


def pictures(count: int) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(1, 256, (count, 8, 6, 3)).astype(np.uint8)
    return [Image.fromarray(each) for each in pixels]


@pytest.mark.parametrize("ranges", [False, True])
def test_jitter_is_torchvisions_arithmetic(ranges):
    from dgreid.networks.vision import transforms

    adjust = transforms.functional
    changes = (adjust.adjust_brightness, adjust.adjust_contrast, adjust.adjust_saturation, adjust.adjust_hue)
    given = options(brightness=(0.5, 2), contrast=(0.5, 2), saturation=(0.5, 2), hue=0.1) if ranges else ALL
    for seed, picture in enumerate(pictures(20)):
        rng, expected = generator(seed), picture
        shares = rng.uniform(-1, 1, 4)
        factors = shares * 0.75 + 1.25 if ranges else 1 + shares * (0.15, 0.15, 0.1, 0)
        factors[3] = shares[3] * 0.1
        for kind in rng.permutation(4):
            expected = changes[kind](expected, factors[kind])
        assert (np.asarray(jitter(picture, given, generator(seed))) == np.asarray(expected)).all()


@pytest.mark.parametrize(
    ("strength", "low", "high"), [(0.15, 85, 115), ((0.5, 2), 50, 200), ([1, 1.2], 100, 120)]
)
def test_brightness_fills_its_range(strength, low, high):
    image = Image.new("RGB", (4, 4), (100, 100, 100))
    given = options(brightness=strength)
    levels = [np.asarray(jitter(image, given, generator(n))).mean() for n in range(300)]
    assert low - 1 <= min(levels) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(levels) <= high


def test_hue_turns_both_ways_around_the_circle():
    image = Image.new("RGB", (2, 2), (200, 40, 40))  # red: hue 0
    turned = np.stack([np.asarray(jitter(image, options(hue=0.1), generator(n)))[0, 0] for n in range(100)])
    _, green, blue = turned.astype(int).T
    assert (green > blue + 20).any() and (blue > green + 20).any()
    assert (turned.max(1) == 200).all()


def test_a_strength_of_0_changes_nothing():
    for number, picture in enumerate(pictures(10)):  # a detour over HSV would round
        assert (np.asarray(jitter(picture, options(), generator(number))) == np.asarray(picture)).all()


@pytest.mark.parametrize("value", ["much", -0.1, [2, 0.5], [0.5], [-1, 1], [0.5, 1, 2], None, float("inf")])
def test_a_strength_that_is_none_is_said_in_a_sentence(value):
    with pytest.raises(UserError, match=r"image.train.0.contrast: .*a range of factors such as \[0.5, 2\]"):
        read({"operation": "color_jitter", "contrast": value}, "image.train.0")
