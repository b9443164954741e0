"""Extracting, linking and copying; archives within archives; files beside them."""

import shutil
import zipfile

import pytest

from dgreid.datasets.adopt import archive, fetch
from dgreid.datasets.parsers import cuhk03
from dgreid.errors import UserError


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_archive_some_folders_deep_in_an_archive(published_zip, config, tmp_path, caplog, depth, pack):
    caplog.set_level("INFO")
    folder = tmp_path / "outer"
    inner = folder.joinpath(*"abc"[:depth]) / "Market.zip"
    inner.parent.mkdir(parents=True)
    shutil.copy(published_zip, inner)
    (folder / "readme.txt").write_text("see below")
    outer = pack(folder, tmp_path / "outer.zip")
    root = archive.adopt(config("market1501"), outer, tmp_path / "raw")
    assert (root / "query").is_dir()
    assert f"outer.zip holds the archive {inner.relative_to(folder)}" in caplog.text


def test_a_bad_inner_archive_is_named(config, tmp_path, pack):
    folder = tmp_path / "outer"
    (folder / "a/b").mkdir(parents=True)
    with zipfile.ZipFile(folder / "a/b/inner.zip", "w") as file:
        file.writestr("../../../evil.txt", b"1")
    outer = pack(folder, tmp_path / "outer.zip")
    with pytest.raises(UserError, match=r"outer\.zip/a/b/inner\.zip: refused") as error:
        archive.adopt(config("market1501"), outer, tmp_path / "raw")
    assert ".tmp-" not in str(error.value)
    assert not list(tmp_path.rglob("evil.txt")) and not list((tmp_path / "raw").iterdir())


def test_members_with_backslashes(layouts, config, tmp_path, pack):
    folder = layouts("viper", "VIPeR")
    published_zip = pack(folder, tmp_path / "windows.zip", lambda path: path.replace("/", "\\"))
    root = archive.adopt(config("viper"), published_zip, tmp_path / "raw")
    assert (root / "cam_a/000_45.bmp").read_bytes() == (folder / "VIPeR/cam_a/000_45.bmp").read_bytes()


def test_split_files_beside_the_source_come_along(draw, config, tmp_path, monkeypatch, caplog, pack):
    caplog.set_level("INFO")
    name = "cuhk03_new_protocol_config_detected.mat"
    folder = draw(tmp_path, ["got/cuhk03/images_detected/1_001_1_01.png"]) / "got/cuhk03"
    published_zip = pack(folder, tmp_path / "got/cuhk03_release.zip")
    read = []
    monkeypatch.setattr(cuhk03, "md5", lambda path: read.append(path.name) or cuhk03.NP_MD5[path.name])
    monkeypatch.setattr(
        "scipy.io.loadmat", lambda file: dict.fromkeys(_ROLES, _Index()) | {"filelist": _Index()}
    )
    archive.adopt(config("cuhk03"), published_zip, tmp_path / "raw")
    assert read == [] and f"cuhk03_release.zip: without {name} beside it" in caplog.text
    assert ".tmp-" not in caplog.text
    (tmp_path / "got" / name).touch()
    for given in (published_zip, folder):
        root = archive.adopt(config("cuhk03"), given, tmp_path / "raw")
        assert read.pop() == name and f"{name}: taken from beside" in caplog.text
        assert (tmp_path / "raw/cuhk03" / name).is_file()
        cuhk03.parse(root, {})  # later stages find it without the source
        assert read.pop() == name


_ROLES = ("train_idx", "query_idx", "gallery_idx")


class _Index:
    def ravel(self):
        return []


def test_a_copy_that_fails_names_the_file(layouts, config, tmp_path, monkeypatch):
    def fail(old, new):
        raise OSError(28, "No space left on device", old)

    monkeypatch.setattr(fetch.shutil, "copy2", fail)
    with pytest.raises(UserError, match=r"\d+_\d+\.bmp: cannot be copied \(No space left"):
        archive.adopt(config("viper"), layouts("viper"), tmp_path / "raw", mode="copy")
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_copy_follows_links_once_and_leaves_clutter(layouts, config, tmp_path):
    given = layouts("ilids")
    (given / "Persons").rename(tmp_path / "elsewhere")
    (given / "Persons").symlink_to(tmp_path / "elsewhere")
    (given / "loop").symlink_to("loop")
    (given / "Persons/again").symlink_to(given)
    (given / "Persons/Thumbs.db").touch()
    root = archive.adopt(config("ilids"), given, tmp_path / "raw", mode="copy")
    assert {path.name for path in (tmp_path / "elsewhere").glob("*.jpg")} == {
        path.name for path in (root / "Persons").iterdir()
    }


def test_a_copy_into_the_folder_itself_is_refused(layouts, config):
    given = layouts("ilids")
    with pytest.raises(UserError, match="lies inside"):
        archive.adopt(config("ilids"), given, given / "raw", mode="copy")


def test_sizes_of_nested_archives_do_not_multiply(layouts, config, tmp_path, pack, monkeypatch):
    monkeypatch.setattr("dgreid.datasets.adopt.extract.SMALL", 0)
    monkeypatch.setattr("dgreid.datasets.adopt.extract.GROWTH", 2)
    inner = tmp_path / "inner"
    inner.mkdir()
    (layouts("ilids") / "readme.txt").write_bytes(bytes(200_000))
    with zipfile.ZipFile(inner / "b.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted((tmp_path / "ilids").rglob("*.*")):
            file.write(path, path.relative_to(tmp_path / "ilids"))
    outer = pack(inner, tmp_path / "a.zip")
    with pytest.raises(UserError, match=r"a\.zip/b\.zip: refused, it would unpack to more"):
        archive.adopt(config("ilids"), outer, tmp_path / "raw")
