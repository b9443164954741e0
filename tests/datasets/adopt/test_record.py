"""R1: the data stay those that were adopted."""

import hashlib
import json
import shutil
import zipfile

import pytest

from dgreid.datasets.adopt import archive
from dgreid.datasets.adopt.record import fingerprint
from dgreid.datasets.parsers import cuhk03
from dgreid.errors import UserError


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
            UserError, match=r"\(18 images, unverified\).* from moved \(17 images, unverified, .*--replace"
        ):
            archive.adopt(config("market1501"), given, raw)
    assert archive.read_record(raw / "market1501")["fingerprint"] == first["fingerprint"]
    archive.adopt(config("market1501"), tmp_path / "moved", raw, replace=True)
    assert archive.read_record(raw / "market1501")["counts"]["images"] == 18


@pytest.mark.parametrize("old", [False, True])
def test_r1_full_data_do_not_become_partial_unnoticed(layouts, config, tmp_path, old):
    raw, folder = tmp_path / "raw", layouts("market1501")
    whole = config("market1501", expect={"images": 17})
    archive.adopt(whole, folder, raw)
    if old:  # a record from before folders had fingerprints
        file = raw / "market1501/adopted.json"
        record = json.loads(file.read_text())
        del record["fingerprint"]
        file.write_text(json.dumps(record))
    shutil.rmtree(folder / "query")
    with pytest.raises(UserError, match=r"13 images, partial\) .* \(17 images, full, .*--replace"):
        archive.adopt(whole, folder, raw)
    archive.adopt(whole, folder, raw, replace=True)
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
