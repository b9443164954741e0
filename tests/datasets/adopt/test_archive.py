"""Adoption as a whole: what is accepted, recorded, refused, and found again."""

import hashlib
import json
import shutil
import tarfile
import zipfile

import pytest

from dgreid.datasets.adopt import archive
from dgreid.datasets.config import DatasetConfig
from dgreid.errors import UserError


def test_zip_is_extracted_recognised_and_recorded(market, config, tmp_path):
    root = archive.adopt(config("market1501", expect={"images": 17}), market, tmp_path / "raw")
    assert root == tmp_path / "raw/market1501/files/Market-1501-v15.09.15"
    assert (root / "query/0003_c4s3_000341_02.jpg").is_file()
    record = json.loads((tmp_path / "raw/market1501/adopted.json").read_text())
    assert record["source"] == market.name
    assert record["sha256"] == hashlib.sha256(market.read_bytes()).hexdigest()
    assert record["kind"] == "full"
    assert record["counts"]["train_images"] == 6
    assert record["counts"]["junk"] == 1
    assert record["acknowledged"] is False


def test_tar_and_an_archive_within_an_archive(market, config, tmp_path):
    outer = tmp_path / "outer.tar.gz"
    with tarfile.open(outer, "w:gz") as file:
        file.add(market, "release/Market.zip")
        file.add(__file__, "release/readme.txt")
    root = archive.adopt(config("market1501"), outer, tmp_path / "raw")
    assert (root / "query").is_dir()


def test_folder_is_linked_or_copied(layouts, config, tmp_path):
    folder = layouts("grid", "underground_reid")
    linked = archive.adopt(config("grid"), folder, tmp_path / "raw")
    assert (tmp_path / "raw/grid/files").is_symlink()
    assert linked.resolve() == folder / "underground_reid"
    copied = archive.adopt(config("grid"), folder, tmp_path / "raw", mode="copy")
    shutil.rmtree(folder)
    assert (copied / "probe").is_dir()


def test_adopting_again_replaces_and_keeps_the_linked_folder(layouts, config, market, tmp_path):
    folder = layouts("market1501", "Market-1501-v15.09.15")
    archive.adopt(config("market1501"), folder, tmp_path / "raw")
    archive.adopt(config("market1501"), market, tmp_path / "raw")
    assert not (tmp_path / "raw/market1501/files").is_symlink()
    assert (folder / "Market-1501-v15.09.15/query").is_dir()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["market1501"]


def test_unsafe_archive_leaves_nothing(config, tmp_path, nothing_left):
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("query/0002_c1s1_000451_03.jpg", b"1")
        file.writestr("../../evil.txt", b"2")
    with pytest.raises(UserError, match="refused"):
        archive.adopt(config("market1501"), bad, tmp_path / "raw")
    assert nothing_left(tmp_path / "raw")
    assert not (tmp_path / "evil.txt").exists()


def test_failure_keeps_the_earlier_copy(market, config, tmp_path):
    archive.adopt(config("market1501"), market, tmp_path / "raw")
    truncated = tmp_path / "truncated.zip"
    truncated.write_bytes(market.read_bytes()[:-100])
    with pytest.raises(UserError, match="truncated"):
        archive.adopt(config("market1501"), truncated, tmp_path / "raw")
    assert (tmp_path / "raw/market1501/adopted.json").is_file()


def test_wrong_counts_are_refused(market, config, tmp_path, nothing_left):
    wanted = config("market1501", expect={"train_images": 6, "images": 18})
    with pytest.raises(UserError, match="images 17 instead of 18"):
        archive.adopt(wanted, market, tmp_path / "raw")
    assert nothing_left(tmp_path / "raw")


def test_md5_counts_only_for_the_published_file_name(market, config, tmp_path):
    named = config("market1501", md5="0" * 32, archive=market.name)
    with pytest.raises(UserError, match="md5"):
        archive.adopt(named, market, tmp_path / "raw")
    other = market.rename(tmp_path / "mine.zip")
    assert archive.adopt(named, other, tmp_path / "raw").is_dir()
    right = config("market1501", md5=hashlib.md5(other.read_bytes()).hexdigest(), archive="mine.zip")
    assert archive.adopt(right, other, tmp_path / "raw").is_dir()


def test_a_truncated_archive_is_called_so_rather_than_another_one(market, config, tmp_path):
    named, raw = config("market1501", md5="0" * 32, archive=market.name), tmp_path / "raw"
    archive.adopt(config("market1501"), market, raw)
    market.write_bytes(market.read_bytes()[:-100])
    for settings in (named, config("market1501")):  # by its published hash; by the one seen first
        with pytest.raises(UserError, match=r"truncated download\?\); get it again\.$"):
            archive.adopt(settings, market, raw)


def test_a_web_page_under_the_published_name_is_called_so(market, config, tmp_path):
    market.write_text("<!DOCTYPE html><title>404</title>")
    named = config("market1501", md5="0" * 32, archive=market.name)
    with pytest.raises(UserError, match="but a web page; download the file itself"):
        archive.adopt(named, market, tmp_path / "raw")


def test_a_repacked_archive_under_the_published_name_needs_replace(market, config, tmp_path, caplog):
    named = config("market1501", md5="0" * 32, archive=market.name)
    with pytest.raises(UserError, match="add --replace if it was repacked"):
        archive.adopt(named, market, tmp_path / "raw")
    assert archive.adopt(named, market, tmp_path / "raw", replace=True).is_dir()
    assert "taken as a repacked copy" in caplog.text


def test_success_says_what_was_found_against_what_was_expected(market, config, tmp_path, caplog):
    caplog.set_level("INFO")
    archive.adopt(config("market1501", expect={"images": 17}), market, tmp_path / "raw")
    assert "full data: 17 images of 17, 5 ids, 5 cameras." in caplog.text


@pytest.fixture
def drawn(monkeypatch, market, tmp_path):
    """A drawn data set whose archive lies in archives/."""
    node = {"name": "mini", "title": "Mini", "parser": "market1501", "access": "drawn"}
    monkeypatch.setattr(archive, "load_dataset", lambda name: DatasetConfig(**node))
    (tmp_path / "archives").mkdir()
    return shutil.copy(market, tmp_path / "archives/mini.zip")


def test_images_root_adopts_a_drawn_archive_once_and_again_when_redrawn(
    drawn, draw, tmp_path, monkeypatch, pack
):
    calls = []
    adopt = archive.adopt
    monkeypatch.setattr(archive, "adopt", lambda *args, **kw: calls.append(args) or adopt(*args, **kw))
    first = archive.images_root("mini", tmp_path / "raw", tmp_path / "archives")
    assert archive.images_root("mini", tmp_path / "raw", tmp_path / "archives") == first
    assert len(calls) == 1
    folder = draw(tmp_path / "new", ["query/0003_c4s3_000341_02.jpg"])
    pack(folder, drawn)
    again = archive.images_root("mini", tmp_path / "raw", tmp_path / "archives")
    assert len(calls) == 2
    assert [path.name for path in again.iterdir()] == ["query"]


def test_images_root_without_data_says_what_to_do(root, tmp_path):
    with pytest.raises(UserError, match="dgreid adopt market1501 --from PATH"):
        archive.images_root("market1501", tmp_path / "raw", tmp_path / "archives")
    with pytest.raises(UserError, match="dgreid synthesize dataset=mini_grid"):
        archive.images_root("mini_grid", tmp_path / "raw", tmp_path / "archives")


def test_images_root_whose_linked_folder_is_gone(root, layouts, config, tmp_path):
    folder = layouts("grid")
    archive.adopt(config("grid"), folder, tmp_path / "raw")
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="is gone"):
        archive.images_root("grid", tmp_path / "raw", tmp_path / "archives")


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


def test_no_message_names_a_temporary_folder(layouts, config, tmp_path, caplog, pack):
    caplog.set_level("INFO")
    folder = layouts("market1501")
    (folder / "query/strange.jpg").touch()
    wrong = (
        (config("market1501"), "strange.jpg"),
        (config("viper"), "it looks like Market-1501"),
        (config("dukemtmc"), "not named as in DukeMTMC-reID"),
    )
    zipped = pack(folder, tmp_path / "market.zip")
    for given in (folder, zipped):
        for settings, sentence in wrong:
            with pytest.raises(UserError, match=sentence) as error:
                archive.adopt(settings, given, tmp_path / "raw", mode="copy")
            assert ".tmp-" not in str(error.value) and str(given) in str(error.value)
    assert ".tmp-" not in caplog.text


def test_a_recalled_count_names_the_source(layouts, config, tmp_path, caplog, pack):
    settings = config("market1501", recalled={"images": 18})
    archive.adopt(settings, pack(layouts("market1501"), tmp_path / "m.zip"), tmp_path / "raw")
    assert f"{tmp_path}/m.zip: images 17; 18 are remembered" in caplog.text
