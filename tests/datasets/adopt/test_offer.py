"""What a user points at: image folders, folders of archives, other data sets."""

import os
import shutil

import pytest

from dgreid.datasets.adopt import archive, offer
from dgreid.datasets.parsers import cuhk03
from dgreid.errors import UserError

ONE_FOLDER = {  # parser: (image folder, a name in it)
    "caviar4reid": ("CAVIARa", "0001001.jpg"),
    "cuhk01": ("campus", "0001001.png"),
    "cuhksysu": ("cropped_image", "p00001_n01_s00001_hard0.png"),
    "dukemtmc": ("query", "0001_c2_f0046182.jpg"),
    "msmt17": ("bounding_box_train", "0000_c14_0030.jpg"),
}
MANY = {  # parser: image folders of the layouts of conftest.py
    "ilids": ["Persons"],
    "viper": ["cam_a", "cam_b"],
    "prid2011": ["cam_a", "cam_b"],
    "grid": ["probe", "gallery"],
    "market1501": ["query", "bounding_box_train"],
    "cuhk02": ["P1", "P3/cam2"],
}


def test_source_that_is_not_there_or_in_the_way(market, config, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        archive.adopt(config("market1501"), tmp_path / "absent.zip", tmp_path / "raw")
    archive.adopt(config("market1501"), market, tmp_path / "raw")
    with pytest.raises(UserError, match="lies inside"):
        archive.adopt(config("market1501"), tmp_path / "raw/market1501/files", tmp_path / "raw")
    with pytest.raises(UserError, match="link or by copy"):
        archive.adopt(config("market1501"), market, tmp_path / "raw", mode="move")


def test_the_container_file_stands_for_its_folder(config, tmp_path):
    release = tmp_path / "cuhk03_release"
    release.mkdir()
    (release / cuhk03.MAT).write_bytes(b"")
    found = offer.resolve(config("cuhk03"), release / cuhk03.MAT, "link", tmp_path / "raw/cuhk03")
    assert (found.path, found.mode) == (release, "link")


@pytest.mark.parametrize(("name", "folder"), [(name, each) for name, all in MANY.items() for each in all])
def test_an_image_folder_stands_for_its_parent(layouts, config, tmp_path, name, folder):
    root = layouts(name, "some/where")
    adopted = archive.adopt(config(name), root / "some/where" / folder, tmp_path / "raw")
    assert adopted.resolve() == root / "some/where"


@pytest.mark.parametrize("name", sorted(ONE_FOLDER))
def test_an_image_folder_of_the_others_stands_for_its_parent(draw, config, tmp_path, name):
    folder, image = ONE_FOLDER[name]
    draw(tmp_path, [f"data/{folder}/{image}"])
    adopted = archive.adopt(config(name), tmp_path / "data" / folder, tmp_path / "raw")
    assert adopted.resolve() == tmp_path / "data"


def test_an_images_folder_of_ilids_and_a_relative_path(draw, config, tmp_path, monkeypatch):
    draw(tmp_path, [f"QMUL-iLIDS/images/{p:04d}{i:03d}.jpg" for p in range(1, 8) for i in (1, 2)])
    monkeypatch.chdir(tmp_path / "QMUL-iLIDS/images")
    adopted = archive.adopt(config("ilids"), ".", tmp_path / "raw")
    assert adopted.resolve() == tmp_path / "QMUL-iLIDS"


def test_nobody_asked_to_copy_the_neighbours_of_an_image_folder(layouts, config, tmp_path):
    root = layouts("viper", "VIPeR")
    with pytest.raises(UserError, match=f"to copy it, give its parent {root}/VIPeR"):
        archive.adopt(config("viper"), root / "VIPeR/cam_a", tmp_path / "raw", mode="copy")


def test_where_the_parent_is_no_root_it_is_named(draw, config, tmp_path):
    draw(tmp_path, ["alone/cam_a/000_45.bmp"])
    with pytest.raises(
        UserError, match=f"does not look like VIPeR; .* give their parent {tmp_path}/alone, whole"
    ):
        archive.adopt(config("viper"), tmp_path / "alone/cam_a", tmp_path / "raw")


def test_a_neighbour_of_another_data_set_is_no_parent(layouts, draw, config, tmp_path):
    draw(layouts("viper"), ["images/holiday.jpg"])  # "images" alone may be anything
    with pytest.raises(UserError, match=r"does not look like QMUL i-LIDS"):
        archive.adopt(config("ilids"), tmp_path / "viper/cam_a", tmp_path / "raw")


def test_a_folder_that_holds_only_the_archive(published_zip, config, tmp_path, caplog):
    caplog.set_level("INFO")
    root = archive.adopt(config("market1501"), published_zip.parent, tmp_path / "raw")
    assert (root / "query").is_dir() and sorted(published_zip.parent.iterdir()) == [published_zip]
    record = archive.read_record(tmp_path / "raw/market1501")
    assert (record["source"], len(record["sha256"])) == ("Market.zip", 64)
    assert f"{published_zip.parent} holds the archive Market.zip" in caplog.text


def test_of_several_archives_the_published_name_counts(published_zip, config, tmp_path):
    shutil.copy(published_zip, published_zip.with_name("copy.zip"))
    with pytest.raises(
        UserError, match=r"2 archives \(Market\.zip, copy\.zip\); give the one .* --from .*/Market\.zip`\.$"
    ):
        archive.adopt(config("market1501"), published_zip.parent, tmp_path / "raw")
    named = config("market1501", archive="Market.zip")
    assert archive.adopt(named, published_zip.parent, tmp_path / "raw").is_dir()


def test_another_data_set_is_refused_by_the_name_of_what_it_is(layouts, draw, config, tmp_path, pack):
    layouts("market1501", "Market-1501-v15.09.15")
    draw(tmp_path, ["duke/query/0001_c2_f0046182.jpg", "duke/bounding_box_train/0002_c1_f0046182.jpg"])
    for name, given, other in (
        ("market1501", "duke", "DukeMTMC-reID"),
        ("dukemtmc", "market1501", "Market-1501"),
        ("grid", "market1501", "Market-1501"),
    ):
        with pytest.raises(UserError, match=rf"; it looks like {other}\.$") as error:
            archive.adopt(config(name), tmp_path / given, tmp_path / "raw")
        assert str(tmp_path / given) in str(error.value)
        with pytest.raises(UserError, match=rf"; it looks like {other}\.$"):
            archive.adopt(config(name), pack(tmp_path / given, tmp_path / "x.zip"), tmp_path / "raw")


def test_hashes_are_of_the_whole_file(tmp_path, monkeypatch):
    monkeypatch.setattr(offer, "BLOCK", 7)
    (tmp_path / "a").write_bytes(bytes(range(200)))
    assert offer.hashes(tmp_path / "a") == (
        "1901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f",
        "fb7001d34b8e82c9b579be5005d5b0a5",
    )


def test_a_pipe_or_a_device_is_refused_at_once(config, tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    for path in (tmp_path / "pipe.zip", "/dev/zero"):
        with pytest.raises(UserError, match="is a pipe or a device: give the name of a file"):
            archive.adopt(config("ilids"), path, tmp_path / "raw")


def test_a_circle_of_links_beside_an_archive_does_no_harm(market, config, tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    market.rename(folder / market.name)
    root = archive.adopt(config("market1501"), folder, tmp_path / "raw")
    assert (root / "query").is_dir()


def test_what_is_not_taken_is_said(layouts, config, tmp_path, caplog):
    given = layouts("ilids")
    (given / "Persons/notes.txt").touch()
    archive.adopt(config("ilids"), given, tmp_path / "raw")
    assert "not taken: Persons/notes.txt (no image by its suffix)" in caplog.text
