import hashlib
import subprocess
import sys

import numpy as np
import pytest

from dgreid.miniature import occluder, pictures, scene
from dgreid.miniature.looks import draw_classes
from dgreid.miniature.pictures import SIZE, draw
from dgreid.miniature.scene import OBJECTS, draw_scene
from dgreid.miniature.things import KINDS

CLASSES = draw_classes(tuple(KINDS), 2, 0)


def test_a_picture_is_small_and_of_bytes():
    picture = draw(CLASSES[0], 0, 0)
    assert picture.shape == (*SIZE, 3) and picture.dtype == np.uint8


def test_the_same_names_give_the_same_picture_in_another_process():
    ours = hashlib.sha256(draw(CLASSES[3], 5, 2).tobytes()).hexdigest()
    code = (
        "import hashlib; from dgreid.miniature.looks import draw_classes; "
        "from dgreid.miniature.pictures import draw; from dgreid.miniature.things import KINDS; "
        "c = draw_classes(tuple(KINDS), 2, 0)[3]; draw(c, 5, 9); "
        "print(hashlib.sha256(draw(c, 5, 2).tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ours


def test_pictures_of_a_class_vary_in_light_and_quality():
    seen = [draw(CLASSES[0], 0, number).astype(float) for number in range(20)]
    assert np.std([picture.mean() for picture in seen]) > 10
    sharpness = [np.abs(np.diff(picture, axis=0)).mean() for picture in seen]
    assert max(sharpness) > 1.5 * min(sharpness)


def test_no_person_stands_in_a_scene(monkeypatch):
    asked = []

    def noted(rng, family, pitch, objects=OBJECTS):
        asked.append(objects)
        return draw_scene(rng, family, pitch, objects)

    monkeypatch.setattr(pictures, "draw_scene", noted)
    draw(CLASSES[0], 7_000_001, 0)  # a seed whose scenes are not kept yet
    assert asked and all("passer" not in objects and len(objects) == len(OBJECTS) - 1 for objects in asked)
    assert not hasattr(pictures, "draw_figure") and not hasattr(pictures, occluder.draw_occluder.__name__)


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_scene_holds_only_what_it_is_told(kind, monkeypatch):
    chosen = []

    class Noting(np.random.Generator):
        def choice(self, a, *args, **kwargs):
            value = super().choice(a, *args, **kwargs)
            if str(value) in OBJECTS:
                chosen.append(str(value))
            return value

    draw_scene(Noting(np.random.PCG64(0)), "street", 0.1, (kind,))
    assert set(chosen) == {kind}
    assert scene.OBJECTS[-1] == "passer"
