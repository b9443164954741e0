import numpy as np
import pytest
from PIL import Image

from dgreid.images.operations import rand_augment
from dgreid.images.operations.rand_augment import CHANGES, FULL
from dgreid.images.streams import generator

RAMP = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, -1)  # every level once
NOISE = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)  # 20 high, 40 wide


def result(number: int, pixels: np.ndarray, sign: int = 1) -> np.ndarray:
    """The pixels that change `number` makes at BAU's magnitude, 10 of 30."""
    change, low, high, _ = CHANGES[number]
    return np.asarray(change(Image.fromarray(pixels), sign * (10 / FULL * (high - low) + low)))


def test_moves_are_a_third_of_their_ranges():
    wide = np.zeros_like(NOISE)
    wide[:, :34] = NOISE[:, 6:]  # .15 of 40 pixels
    assert (result(1, NOISE) == wide).all()
    low = np.zeros_like(NOISE)
    low[3:] = NOISE[:-3]  # .15 of 20 pixels, the other way
    assert (result(2, NOISE, -1) == low).all()
    for number, axis in ((3, 0), (4, 1)):  # shears by .1
        lines, moved = np.moveaxis(NOISE, axis, 0), np.moveaxis(result(number, NOISE), axis, 0)
        for place in range(0, 20):
            shift = int(np.floor(0.1 * (place + 0.5) + 0.5))
            assert (moved[place, : len(lines[0]) - shift] == lines[place, shift:]).all()
            assert not moved[place, len(lines[0]) - shift :].any()
    assert (result(5, NOISE) == np.asarray(Image.fromarray(NOISE).rotate(10))).all()


def test_levels_change_as_released():
    level = RAMP.astype(int)
    expected = {
        0: level,
        6: level,  # the whole range is there already
        8: level & 0b11000000,
        13: 255 - level,
        14: np.where(level < 85.3, level, 255 - level),
        15: (lambda sum: np.where(sum < 128, sum, 255 - sum))(
            np.minimum(level + 36, 255)
        ),  # 36.67, truncated
    }
    for number, pixels in expected.items():
        assert (result(number, RAMP) == pixels).all(), number
    assert abs(result(7, RAMP).astype(int) - level).max() <= 1  # equal already


@pytest.mark.parametrize("number", [9, 10, 11, 12])
def test_factors_only_weaken(number):
    weaker = result(number, NOISE).astype(float)
    if number == 11:
        assert abs(weaker - 0.7 * NOISE).max() <= 1
    else:
        assert 0.5 * NOISE.std() < weaker.std() < 0.95 * NOISE.std()
        assert abs(weaker.mean() - NOISE.mean()) < 2


def test_two_of_sixteen_are_drawn_with_replacement_and_signs_by_coin(monkeypatch):
    seen = []

    def recorded(number, low, high, signed):
        return lambda picture, value: seen.append((number, value)) or picture, low, high, signed

    monkeypatch.setattr(
        rand_augment, "CHANGES", tuple(recorded(n, *rest) for n, (_, *rest) in enumerate(CHANGES))
    )
    options = rand_augment.Options(operation="rand_augment")
    rand_augment.apply(np.zeros((4000, 2, 2, 3), np.uint8), options, generator(0))
    numbers, counts = np.unique([number for number, _ in seen], return_counts=True)
    assert len(numbers) == 16 and (abs(counts - 250) < 60).all()  # 4000 x .5 x 2 / 16
    pairs = list(zip(seen[::2], seen[1::2], strict=True))
    assert any(first[0] == second[0] for first, second in pairs)
    for number, (_, _, _, signed) in enumerate(CHANGES):
        values = [value for each, value in seen if each == number]
        assert len(set(values)) == (2 if signed else 1)
        if signed:
            assert abs(np.mean(np.sign(values))) < 0.25
