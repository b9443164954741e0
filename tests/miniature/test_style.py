from dataclasses import asdict, replace

import numpy as np
import pytest

from dgreid.miniature.seeds import generator
from dgreid.miniature.style import degrade, draw_style, light, tone

NEUTRAL = replace(
    draw_style(generator("neutral"), 0.0), exposure=0.0, blur=1e-3, noise=0.0, lines=128.0, haze=0.0
)


def grey(value=0.42):
    return np.full((128, 64, 3), value, np.float32)


def test_without_spread_all_domains_share_a_style():
    one, other = (asdict(draw_style(generator(name), 0.0)) for name in "ab")
    one.pop("family"), other.pop("family")
    assert one == other


def test_spread_scales_the_prior():
    def spread(k):
        return np.std([draw_style(generator(n), k).exposure for n in range(300)])

    assert spread(1.0) == pytest.approx(0.2, rel=0.15)
    assert spread(2.0) == pytest.approx(2 * spread(1.0), rel=1e-6)


def test_a_neutral_style_leaves_middle_grey_alone():
    lit = light(grey(), NEUTRAL, np.zeros(3), 0.0)
    assert np.allclose(tone(lit, NEUTRAL), grey(), atol=1e-4)


def test_light_casts_and_never_clips():
    lit = light(grey(0.5), replace(NEUTRAL, red=0.3, blue=-0.3), np.zeros(3), 0.0)
    assert lit[..., 0].mean() > 0.5 > lit[..., 2].mean()
    assert light(grey(3.0), NEUTRAL, np.zeros(3), 0.0).max() <= 1


def test_gradient_brightens_one_side():
    lit = light(grey(0.4), NEUTRAL, np.zeros(3), 0.3)
    assert lit[:, -1].mean() / lit[:, 0].mean() == pytest.approx(np.exp(0.3), rel=1e-3)


def test_noise_has_its_strength():
    image = degrade(grey(0.5), replace(NEUTRAL, noise=0.02), 0.0, generator("noise")).astype(float) / 255
    assert image.std() == pytest.approx(0.02 * np.sqrt(1.25), rel=0.1)


def test_low_resolution_removes_detail():
    board = grey()
    board[::2] = 0.9
    sharp = degrade(board, NEUTRAL, 0.0, generator("x")).astype(float)
    coarse = degrade(board, replace(NEUTRAL, lines=48.0), 0.0, generator("x")).astype(float)
    assert coarse.std() < 0.3 * sharp.std()
