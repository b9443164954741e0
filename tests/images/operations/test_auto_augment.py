import numpy as np
import pytest
from PIL import Image

from dgreid.images.operations import auto_augment
from dgreid.images.operations.auto_augment import POLICY, change
from dgreid.images.streams import generator
from dgreid.networks.vision import transforms

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 10, 3)).astype(np.uint8))
RAMP = Image.fromarray(np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, -1))
TORCHVISION = {"posterise": "Posterize", "solarise": "Solarize", "equalise": "Equalize", "colour": "Color"}
TORCHVISION |= {"autocontrast": "AutoContrast", "shear_x": "ShearX"}


def test_the_pairs_are_those_of_the_published_policy():
    reference = transforms.AutoAugment(transforms.AutoAugmentPolicy.IMAGENET)
    published = reference._policies  # noqa: SLF001  (torchvision shows its table nowhere else)
    named = [
        tuple((TORCHVISION.get(name, name.title()), probability, level) for name, probability, level in pair)
        for pair in POLICY
    ]
    without = {"AutoContrast", "Equalize", "Invert"}  # changes without a level
    assert len(named) == 25
    assert sorted(map(repr, named)) == sorted(
        repr(tuple((name, p, None if name in without else level) for name, p, level in pair))
        for pair in published
    )


@pytest.mark.parametrize(("level", "bits"), [(5, 6), (6, 6), (7, 6), (8, 7)])
def test_posterise_keeps_bits_by_level(level, bits):
    kept = np.unique(np.asarray(change(RAMP, "posterise", level)))
    assert len(kept) == 2**bits


@pytest.mark.parametrize(("level", "threshold"), [(3, 76), (4, 102), (5, 128), (7, 179), (8, 204)])
def test_solarise_inverts_from_a_threshold_by_level(level, threshold):
    before, after = np.asarray(RAMP).astype(int), np.asarray(change(RAMP, "solarise", level)).astype(int)
    assert (after == np.where(before < threshold, before, 255 - before)).all()


@pytest.mark.parametrize(("level", "factor"), [(0, 0.1), (2, 0.46), (4, 0.82), (8, 1.54)])
def test_colour_is_a_factor_by_level(level, factor):
    from dgreid.networks.vision import transforms

    expected = transforms.functional.adjust_saturation(NOISE, factor)
    assert (np.asarray(change(NOISE, "colour", level)) == np.asarray(expected)).all()


def test_moves_go_both_ways_on_grey():
    how = {"resample": Image.Resampling.BILINEAR, "fillcolor": auto_augment.GREY}
    for sign in (1, -1):
        turned = change(NOISE, "rotate", 9, sign, **how)
        assert (np.asarray(turned) == np.asarray(NOISE.rotate(sign * 27, **how))).all()
        assert turned.getpixel((0, 0)) == auto_augment.GREY
    sheared = np.asarray(change(NOISE, "shear_x", 5, 1, **how))
    assert (sheared[-1, -2:] == 128).all() and (sheared[0, :-1] != 128).any()  # .15 x 20 rows


def test_every_change_of_the_policy_is_known_and_one_image_in_ten_is_changed():
    images = np.random.default_rng(1).integers(0, 200, (3000, 24, 16, 3)).astype(np.uint8)
    options = auto_augment.Options(operation="auto_augment")
    changed = (auto_augment.apply(images, options, generator(0)) != images).any((1, 2, 3))
    assert 0.07 < changed.mean() < 0.11  # a pair may leave its picture as it is
