"""The one walk: links, circles, hidden things, what cannot be read."""

import errno
import os

import pytest

from dgreid.datasets import walk
from dgreid.datasets.walk import images, left_out
from dgreid.errors import UserError


def made(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def test_suffixes_of_any_case(tmp_path):
    names = ["a.jpg", "b.gif", "c.jfif", "d.jpe", "e.PPM", "f.JPG", "g.TIFF", "h.webp", "x/y.Png"]
    made(tmp_path, *names, "noext", "notes.txt")
    found = list(walk.walk(tmp_path))
    assert images(found) == names
    assert left_out(found) == "noext, notes.txt (no image by its suffix)"


def test_linked_folders_and_files_are_taken_and_circles_end(tmp_path):
    made(tmp_path, "elsewhere/b.jpg", "elsewhere/deep/c.jpg", "crops/cam1/a.jpg")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "crops")
    (tmp_path / "crops/cam2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "crops/again").symlink_to(".")
    (tmp_path / "crops/self").symlink_to("self")
    (tmp_path / "crops/gone.jpg").symlink_to("/nowhere/x.jpg")
    (tmp_path / "crops/one.jpg").symlink_to(tmp_path / "elsewhere/b.jpg")
    found = list(walk.walk(tmp_path / "crops"))
    assert images(found) == ["cam1/a.jpg", "cam2/b.jpg", "cam2/deep/c.jpg", "one.jpg"]
    said = left_out(found)
    assert "gone.jpg, self (broken link)" in said
    assert "again, cam2/back (link to a folder taken already)" in said


def test_a_folder_goes_by_its_own_name_rather_than_by_a_link(tmp_path):
    made(tmp_path, "z_real/a.jpg")
    (tmp_path / "a_link").symlink_to("z_real")
    (tmp_path / "b_link").symlink_to("z_real")
    assert images(walk.walk(tmp_path)) == ["z_real/a.jpg"]


def test_hidden_things_and_clutter_are_passed_over(tmp_path):
    hidden = [
        ".ipynb_checkpoints/a.jpg",
        ".Trash-1000/files/b.jpg",
        "._c.jpg",
        "__MACOSX/._d.jpg",
        ".DS_Store",
    ]
    made(tmp_path, "x.jpg", "@eaDir/x.jpg", "Thumbs.db", *hidden)
    found = list(walk.walk(tmp_path))
    assert images(found) == ["x.jpg"]
    assert left_out(found) == ".DS_Store, .Trash-1000, ._c.jpg and 4 more (hidden)"


def test_what_search_wrote_is_not_read_again(tmp_path):
    made(
        tmp_path, "a.jpg", "found/ranking.csv", "found/index.html", "found/images/0123.jpg", "html/index.html"
    )
    found = list(walk.walk(tmp_path))
    assert images(found) == ["a.jpg"]
    assert "found (result of `dgreid search`)" in left_out(found)


def test_pipes_are_no_images(tmp_path):
    os.mkfifo(made(tmp_path, "a.jpg").joinpath("b.jpg"))
    assert images(walk.walk(tmp_path)) == ["a.jpg"]
    assert left_out(walk.walk(tmp_path)) == "b.jpg (neither file nor folder)"


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    made(tmp_path, "a.jpg", "closed/b.jpg")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"closed: cannot be read \(Permission denied\)"):
        list(walk.walk(tmp_path))


def test_what_is_not_there_holds_nothing(tmp_path):
    assert list(walk.walk(tmp_path / "absent")) == []
