"""Which data set an archive or a folder holds, and whether all of it."""

import json
import shutil

import pytest

from dgreid.datasets.adopt import archive, offer
from dgreid.datasets.parsers import cuhk03
from dgreid.errors import UserError


def test_wrong_data_set_says_what_was_expected(market, config, tmp_path, nothing_left):
    with pytest.raises(
        UserError, match=r"Market-1501-v15\.09\.15\.zip does not look like GRID; expected underground"
    ):
        archive.adopt(config("grid"), market, tmp_path / "raw")
    assert nothing_left(tmp_path / "raw")


def test_a_look_alike_is_told_by_its_names(layouts, config, tmp_path, nothing_left):
    with pytest.raises(UserError, match="not named as in DukeMTMC-reID"):
        archive.adopt(config("dukemtmc"), layouts("market1501"), tmp_path / "raw")
    assert nothing_left(tmp_path / "raw")


def test_folders_without_images_are_not_a_partial_copy(config, tmp_path):
    for camera in ("cam_a", "cam_b"):
        (tmp_path / "VIPeR" / camera).mkdir(parents=True)
    with pytest.raises(UserError, match="hold no images"):
        archive.adopt(config("viper"), tmp_path / "VIPeR", tmp_path / "raw")
    assert not (tmp_path / "raw" / "viper").exists()


@pytest.mark.parametrize("nesting", ["", "single_shot", "a/b/c/d/prid_2011/single_shot"])
def test_prid_is_found_at_any_nesting(tmp_path, nesting):
    from dgreid.datasets.parsers import prid2011

    root = tmp_path / nesting
    for camera in ("cam_a", "cam_b"):
        (root / camera).mkdir(parents=True)
    assert prid2011.LAYOUT.find(tmp_path) == root


def test_an_empty_folder_in_an_archive_is_a_partial_copy_as_in_a_folder(layouts, config, tmp_path):
    folder = layouts("viper", "VIPeR")
    shutil.rmtree(folder / "VIPeR/cam_a")
    (folder / "VIPeR/cam_a").mkdir()
    for pack_as in ("zip", "tar"):
        packed = shutil.make_archive(str(tmp_path / f"packed_{pack_as}"), pack_as, folder)
        archive.adopt(config("viper"), packed, tmp_path / pack_as)
        record = json.loads((tmp_path / pack_as / "viper/adopted.json").read_text())
        assert (record["kind"], record["missing"]) == ("partial", ["cam_a"])


@pytest.mark.parametrize("packed", [True, False])
def test_half_a_data_set_says_which_half_is_missing_and_where_it_is_to_be_had(
    layouts, config, tmp_path, packed, pack, nothing_left
):
    folder = layouts("viper", "VIPeR")
    shutil.rmtree(folder / "VIPeR/cam_b")
    given = pack(folder, tmp_path / "half.zip") if packed else folder
    said = r"cam_a of VIPeR is here but cam_b is missing; get a whole copy from https://example.org/viper\.$"
    with pytest.raises(UserError, match=said):
        archive.adopt(config("viper", home="https://example.org/viper"), given, tmp_path / "raw")
    assert nothing_left(tmp_path / "raw")


def test_the_container_file_stands_for_its_folder(config, tmp_path):
    release = tmp_path / "cuhk03_release"
    release.mkdir()
    (release / cuhk03.MAT).write_bytes(b"")
    found = offer.resolve(config("cuhk03"), release / cuhk03.MAT, "link", tmp_path / "raw/cuhk03")
    assert (found.path, found.mode) == (release, "link")
