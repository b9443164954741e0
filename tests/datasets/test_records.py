import re

import pytest

from dgreid.datasets.records import Image, Parsed, of_camera_pair


def test_an_image_is_named_by_its_path_or_by_its_canonical_name():
    assert Image("a/1.jpg", "1", "1").member == "a/1.jpg"
    assert Image("cuhk-03.mat#3", "1", "1", name="1_1.png").member == "1_1.png"


def test_a_warning_about_a_copy_is_kept_once():
    parsed = Parsed([])
    for warning in ("one", "two", "one"):
        parsed.note(warning)
    assert parsed.notes == ("one", "two")


@pytest.mark.parametrize(("camera", "raw"), [(0, "A"), (1, "B"), (None, None)])
def test_an_image_of_a_camera_pair(camera, raw):
    match = re.fullmatch(r"(?P<identity>\d+)_(?P<index>\d+)", "007_12")
    image = of_camera_pair("cam/007_12.png", match, camera)
    assert (image.person, image.person_raw, image.index) == ("007", "007", 12)
    assert (image.camera, image.view, image.camera_raw, image.kind) == (camera, camera, raw, "person")
