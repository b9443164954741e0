import pytest

from dgreid.reporting.site import svg


def test_a_curve_ends_where_its_numbers_do():
    text = svg.curve("loss", [0, 5, 10], [1.0, 0.0, 0.5])
    points = text.split('points="')[1].split('"')[0].split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in points)
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y0 < y2 < y1 and y2 == pytest.approx((y0 + y1) / 2, abs=0.1)  # y falls as the value rises
    assert "nan" not in svg.curve("flat", [0, 1], [2.0, 2.0])


def test_dots_have_a_ring_for_every_seed_and_a_disc_for_the_mean():
    text = svg.dots("R-1", [svg.Dots("a <b>", (40.0, 50.0)), svg.Dots("c", (61.0,))])
    assert text.count('class="seed"') == 2 and text.count('class="mean"') == 2
    assert "a &lt;b&gt; 45.0; c 61.0" in text
    centres = [float(part.split('"')[0]) for part in text.split('class="seed" cx="')[1:]]
    mean = float(text.split('class="mean" cx="')[1].split('"')[0])
    assert mean == pytest.approx(sum(centres) / 2, abs=0.1)


def test_a_name_that_is_too_long_is_cut_where_it_is_drawn_and_said_in_full():
    text = svg.dots("R-1", [svg.Dots("x" * 80, (40.0,))])
    assert f">{'x' * 59}…<" in text and "x" * 80 in text.split('aria-label="')[1].split('"')[0]
