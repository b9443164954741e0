import hashlib
import json
import shutil
import tarfile
import zipfile

import pytest

from dgreid.datasets.adopt import archive
from dgreid.datasets.adopt.record import fingerprint
from dgreid.datasets.parsers import cuhk03
from dgreid.errors import UserError


def test_zip_is_extracted_recognised_and_recorded(market, config, tmp_path):
    root = archive.adopt(config("market1501"), market, tmp_path / "raw")
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


@pytest.mark.parametrize("access", ["withdrawn", "request"])
def test_restricted_data_need_an_acknowledgement(market, config, tmp_path, access):
    restricted = config("market1501", access=access)
    with pytest.raises(UserError, match="--acknowledge"):
        archive.adopt(restricted, market, tmp_path / "raw")
    archive.adopt(restricted, market, tmp_path / "raw", acknowledge=True)
    assert archive.read_record(tmp_path / "raw/market1501")["acknowledged"] is True


def test_r1_another_archive_than_the_first_needs_the_users_word(market, layouts, config, tmp_path, pack):
    raw = tmp_path / "raw"
    archive.adopt(config("market1501"), market, raw)
    first = archive.read_record(raw / "market1501")
    archive.adopt(config("market1501"), market.rename(tmp_path / "renamed.zip"), raw)  # the same bytes
    other = pack(tmp_path / "market1501", tmp_path / "other.zip")
    with zipfile.ZipFile(other, "a") as file:
        file.writestr("readme.txt", "repacked")
    with pytest.raises(UserError, match=r"not the archive adopted before \(renamed\.zip.*--replace"):
        archive.adopt(config("market1501"), other, raw)
    assert archive.read_record(raw / "market1501")["sha256"] == first["sha256"]
    archive.adopt(config("market1501"), other, raw, replace=True)
    assert archive.read_record(raw / "market1501")["sha256"] != first["sha256"]


def test_r1_a_folder_with_other_files_than_before_needs_the_users_word(
    layouts, draw, config, market, tmp_path, pack
):
    raw, folder = tmp_path / "raw", tmp_path / "market1501/Market-1501-v15.09.15"
    archive.adopt(config("market1501"), folder, raw)
    first = archive.read_record(raw / "market1501")
    moved = shutil.move(tmp_path / "market1501", tmp_path / "moved")
    archive.adopt(config("market1501"), moved, raw)  # the same files elsewhere
    archive.adopt(config("market1501"), market, raw)  # and in an archive
    assert archive.read_record(raw / "market1501")["fingerprint"] == first["fingerprint"]
    shutil.rmtree(raw)
    archive.adopt(config("market1501"), moved, raw)
    draw(tmp_path / "moved/Market-1501-v15.09.15", ["query/0005_c1s3_000999_02.jpg"])
    other = pack(tmp_path / "moved", tmp_path / "other.zip")
    for given in (tmp_path / "moved", other):
        with pytest.raises(
            UserError, match=r"\(18 images, full\).* from moved \(17 images, full, .*--replace"
        ):
            archive.adopt(config("market1501"), given, raw)
    assert archive.read_record(raw / "market1501")["fingerprint"] == first["fingerprint"]
    archive.adopt(config("market1501"), tmp_path / "moved", raw, replace=True)
    assert archive.read_record(raw / "market1501")["counts"]["images"] == 18


@pytest.mark.parametrize("old", [False, True])
def test_r1_full_data_do_not_become_partial_unnoticed(layouts, config, tmp_path, old):
    raw, folder = tmp_path / "raw", layouts("market1501")
    archive.adopt(config("market1501"), folder, raw)
    if old:  # a record from before folders had fingerprints
        file = raw / "market1501/adopted.json"
        record = json.loads(file.read_text())
        del record["fingerprint"]
        file.write_text(json.dumps(record))
    shutil.rmtree(folder / "query")
    with pytest.raises(UserError, match=r"13 images, partial\) .* \(17 images, full, .*--replace"):
        archive.adopt(config("market1501"), folder, raw)
    archive.adopt(config("market1501"), folder, raw, replace=True)
    assert archive.read_record(raw / "market1501")["kind"] == "partial"


def test_r1_a_linked_folder_that_changed_is_said_so(layouts, config, tmp_path):
    raw, folder, settings = tmp_path / "raw", layouts("market1501"), config("market1501")
    root = archive.adopt(settings, folder, raw)
    record = archive.read_record(raw / "market1501")
    archive.check_unchanged(settings, root, record)
    archive.check_unchanged(settings, root, None)  # a drawn set before its first adoption
    (folder / "readme.txt").write_text("no image")
    archive.check_unchanged(settings, root, record)
    file = folder / "query/0003_c4s3_000341_02.jpg"
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(UserError, match=r"files are not those adopted from market1501 at 20.*--replace"):
        archive.check_unchanged(settings, root, record)


def test_a_container_is_part_of_what_is_pinned(draw, config, tmp_path):
    import h5py

    with h5py.File(tmp_path / "cuhk-03.mat", "w") as file:
        file["other"] = 1
    before = fingerprint(tmp_path, cuhk03.LAYOUT.places(tmp_path))
    with open(tmp_path / "cuhk-03.mat", "ab") as file:
        file.write(b"1")
    assert fingerprint(tmp_path, cuhk03.LAYOUT.places(tmp_path)) != before


def test_r1_the_published_archive_needs_no_word(market, config, tmp_path):
    archive.adopt(config("market1501"), market, tmp_path / "raw")
    other = shutil.copy(market, tmp_path / "other.zip")
    with zipfile.ZipFile(other, "a") as file:
        file.writestr("readme.txt", "as published")
    published = config("market1501", md5=hashlib.md5(other.read_bytes()).hexdigest(), archive="Market.zip")
    assert archive.adopt(published, other, tmp_path / "raw").is_dir()


@pytest.mark.parametrize("access", ["open", "request", "agreement", "withdrawn", "drawn"])
def test_nothing_is_downloaded_and_every_set_says_where_to_ask(config, access):
    said = archive.where_to_ask(config("grid", access=access, home="https://example.org/terms"))
    assert said.endswith(".") and said.count(". ") == 0
    assert ("https://example.org/terms" in said) == (access in ("open", "request", "agreement"))
    assert ("withdrawn" in said) == (access == "withdrawn")
    assert "its authors" in archive.where_to_ask(config("grid"))


def test_dukemtmc_ships_as_withdrawn(root):
    from dgreid.datasets.config import load_dataset

    assert load_dataset("dukemtmc").access == "withdrawn"


def test_source_that_is_not_there_or_in_the_way(market, config, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        archive.adopt(config("market1501"), tmp_path / "absent.zip", tmp_path / "raw")
    archive.adopt(config("market1501"), market, tmp_path / "raw")
    with pytest.raises(UserError, match="lies inside"):
        archive.adopt(config("market1501"), tmp_path / "raw/market1501/files", tmp_path / "raw")
    with pytest.raises(UserError, match="link or by copy"):
        archive.adopt(config("market1501"), market, tmp_path / "raw", mode="move")


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
