"""Reading the names of images and folders."""

import re

import pytest

from dgreid.datasets.names import inside, match_names
from dgreid.errors import UserError


def test_unmatched_names_are_listed_and_other_files_ignored(draw, tmp_path):
    draw(tmp_path, ["box/1.jpg", "box/2.jpg", "box/sub/3.jpg", "box/x.png"])
    for name in ("Thumbs.db", "readme.txt", "._1.jpg"):
        (tmp_path / "box" / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"2 of 4 image files .*sub/3\.jpg, x\.png"):
        match_names(tmp_path, "box", re.compile(r"^\d\.jpg$"), "Test")
    (tmp_path / "box/sub/3.jpg").unlink()
    (tmp_path / "box/x.png").unlink()
    found = match_names(tmp_path, "box", re.compile(r"^\d\.jpg$"), "Test")
    assert [path for path, _ in found] == ["box/1.jpg", "box/2.jpg"]


def test_a_folder_is_spelled_as_on_the_disk(tmp_path):
    (tmp_path / "Data/P1/cam2").mkdir(parents=True)
    (tmp_path / "Data/P1/CAM2").mkdir()
    assert inside(tmp_path, "data/p1/cam2") == "Data/P1/cam2"  # the exact spelling first
    assert inside(tmp_path, "DATA/P1/Cam2") in ("Data/P1/cam2", "Data/P1/CAM2")
    assert inside(tmp_path, "data/p2") is None
