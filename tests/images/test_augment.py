import numpy as np
import pytest

from dgreid.images import operations
from dgreid.images.augment import augment
from dgreid.images.config import ImageConfig
from dgreid.images.streams import generator
from helpers.pixels import pixels

SETTINGS = {"rotation": {"degrees": 90}, "color_jitter": {"brightness": [0.5, 2], "hue": 0.1}}


def steps(*nodes: dict) -> tuple[operations.Operation, ...]:
    return ImageConfig(name="small", height=16, width=12, train=nodes).train


@pytest.mark.parametrize("name", operations.names())
def test_an_operation_is_a_function_of_the_pixels_and_its_generator(name):
    (step,) = steps({"operation": name, **SETTINGS.get(name, {})})
    images = pixels(40, 16, 12)
    before = images.copy()
    images.flags.writeable = False  # as a pack's
    first, again, other = (augment(images, (step,), generator(0, "base", n)) for n in (7, 7, 8))
    assert (first == again).all() and (first != other).any() and (first != images).any()
    assert (images == before).all()
    assert (first.shape, first.dtype) == (images.shape, np.uint8)


@pytest.mark.parametrize("name", operations.names())
def test_with_probability_0_an_operation_changes_nothing(name):
    (step,) = steps({"operation": name, **SETTINGS.get(name, {}), "probability": 0})
    assert (augment(pixels(height=16, width=12), (step,), generator(0)) == pixels(height=16, width=12)).all()


@pytest.mark.parametrize("name", sorted({*operations.names()} - {"auto_augment", "rand_augment"}))
def test_with_a_probability_that_share_of_the_images_is_changed(name):
    (step,) = steps({"operation": name, **SETTINGS.get(name, {}), "probability": 0.25})
    images = pixels(2000, 16, 12)
    changed = (augment(images, (step,), generator(0)) != images).any((1, 2, 3))
    assert 430 < changed.sum() < 570
    assert (images == pixels(2000, 16, 12)).all()


def test_operations_come_in_the_order_of_the_list():
    images = np.full((20, 16, 12, 3), 100, np.uint8)
    square, shift = {"operation": "occlusion", "greatest_side": 0.8}, {"operation": "pad_crop", "padding": 3}
    edge = lambda batch: np.concatenate([batch[:, -1], batch[:, :, -1]], 1)  # noqa: E731
    late = augment(images, steps(shift, square), generator(3))
    assert not (edge(late) == 255).any()  # a square never reaches these edges,
    early = augment(images, steps(square, shift), generator(3))
    assert (edge(early) == 255).any()  # unless it is moved there


def test_an_operation_at_the_end_changes_no_earlier_one():
    first = {"operation": "flip"}, {"operation": "pad_crop", "padding": 2}
    images = pixels(height=16, width=12) // 2
    without, covered = (
        augment(images, steps(*nodes), generator(3))
        for nodes in (first, (*first, {"operation": "occlusion"}))
    )
    white = (covered == 255).all(3)
    assert white.any((1, 2)).all() and not white.all((1, 2)).any()
    assert (covered[~white] == without[~white]).all()
