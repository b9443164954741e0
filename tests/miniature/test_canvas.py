import numpy as np
import pytest

from dgreid.miniature.canvas import Canvas, Texture, plain

RED = np.array([1.0, 0, 0], np.float32)


@pytest.fixture
def canvas():
    return Canvas(np.zeros((80, 60, 3), np.float32), np.ones((80, 60), np.float32), light=0.0)


def test_a_capsule_has_its_area(canvas):
    canvas.capsule((30, 20), (30, 60), (8, 8), plain(RED))
    assert canvas.mask.sum() == pytest.approx(2 * 8 * 40 + np.pi * 64, rel=0.03)
    assert (canvas.pixels[~canvas.mask] == 0).all()
    assert (canvas.pixels[canvas.mask][:, 0] > 0.3).all()


def test_an_ellipsoid_has_its_area(canvas):
    canvas.ellipsoid((30, 40), (10, 20), plain(RED))
    assert canvas.mask.sum() == pytest.approx(np.pi * 200, rel=0.03)


def test_a_stack_has_its_area(canvas):
    canvas.stack([20, 60], [30, 30], [10, 20], np.array([1.0, 0.0]), plain(RED), 0.0)
    assert canvas.mask.sum() == pytest.approx(30 * 40, rel=0.03)


def test_texture_turns_with_the_body(canvas):
    half = Texture(
        np.eye(3, dtype=np.float32)[:2], lambda azimuth, height: (np.abs(azimuth) > np.pi / 2).astype(int)
    )

    def share_of_front(yaw):
        canvas.mask[:] = False
        canvas.ellipsoid((30, 40), (15, 15), half, yaw)
        return (canvas.pixels[canvas.mask][:, 0] > 0).mean()

    assert share_of_front(0.0) == 1
    assert share_of_front(np.pi) == 0
    assert share_of_front(np.pi / 2) == pytest.approx(0.5, abs=0.1)


def test_shapes_outside_the_image_change_nothing(canvas):
    canvas.capsule((-50, -50), (-40, -40), (5, 5), plain(RED))
    canvas.ellipsoid((500, 40), (5, 5), plain(RED))
    assert not canvas.mask.any()
