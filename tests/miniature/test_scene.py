import numpy as np
import pytest

from dgreid.miniature.scene import GROUND, HEIGHT, WIDTH, draw_scene
from dgreid.miniature.seeds import generator


@pytest.mark.parametrize("family", GROUND)
def test_scenes_are_muted_and_reproducible(family):
    scenes = [draw_scene(generator(family, n), family, 0.2) for n in range(4)]
    again = draw_scene(generator(family, 0), family, 0.2)
    assert (scenes[0] == again).all()
    for scene in scenes:
        assert scene.shape == (HEIGHT, WIDTH, 3) and scene.dtype == np.float32
        assert np.ptp(scene, axis=2).mean() < 0.15  # calmer than clothes
        assert 0.15 < scene.mean() < 0.75
        assert scene.std() > 0.03
