"""What a user points at: image folders, folders of archives, archives of archives, other data sets."""

import shutil
import zipfile

import pytest

from dgreid.datasets import looks_like, parser
from dgreid.datasets.adopt import archive, fetch, offer
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


def pack(folder, file, name=lambda path: path):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target.writestr(name(path.relative_to(folder).as_posix()), path.read_bytes())
    return file


@pytest.fixture
def zipped(layouts, tmp_path):
    """The tiny Market-1501 as an archive in a folder of its own."""
    return pack(layouts("market1501", "Market-1501-v15.09.15"), tmp_path / "downloads/Market.zip")


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


def test_a_folder_that_holds_only_the_archive(zipped, config, tmp_path, caplog):
    caplog.set_level("INFO")
    root = archive.adopt(config("market1501"), zipped.parent, tmp_path / "raw")
    assert (root / "query").is_dir() and sorted(zipped.parent.iterdir()) == [zipped]
    record = archive.read_record(tmp_path / "raw/market1501")
    assert (record["source"], len(record["sha256"])) == ("Market.zip", 64)
    assert f"{zipped.parent} holds the archive Market.zip" in caplog.text


def test_of_several_archives_the_published_name_counts(zipped, config, tmp_path):
    shutil.copy(zipped, zipped.with_name("copy.zip"))
    with pytest.raises(
        UserError, match=r"2 archives \(Market\.zip, copy\.zip\); give the one .* --from .*/Market\.zip`\.$"
    ):
        archive.adopt(config("market1501"), zipped.parent, tmp_path / "raw")
    named = config("market1501", archive="Market.zip")
    assert archive.adopt(named, zipped.parent, tmp_path / "raw").is_dir()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_archive_some_folders_deep_in_an_archive(zipped, config, tmp_path, caplog, depth):
    caplog.set_level("INFO")
    folder = tmp_path / "outer"
    inner = folder.joinpath(*"abc"[:depth]) / "Market.zip"
    inner.parent.mkdir(parents=True)
    shutil.copy(zipped, inner)
    (folder / "readme.txt").write_text("see below")
    outer = pack(folder, tmp_path / "outer.zip")
    root = archive.adopt(config("market1501"), outer, tmp_path / "raw")
    assert (root / "query").is_dir()
    assert f"outer.zip holds the archive {inner.relative_to(folder)}" in caplog.text


def test_a_bad_inner_archive_is_named(config, tmp_path):
    folder = tmp_path / "outer"
    (folder / "a/b").mkdir(parents=True)
    with zipfile.ZipFile(folder / "a/b/inner.zip", "w") as file:
        file.writestr("../../../evil.txt", b"1")
    outer = pack(folder, tmp_path / "outer.zip")
    with pytest.raises(UserError, match=r"outer\.zip/a/b/inner\.zip: refused") as error:
        archive.adopt(config("market1501"), outer, tmp_path / "raw")
    assert ".tmp-" not in str(error.value)
    assert not list(tmp_path.rglob("evil.txt")) and not list((tmp_path / "raw").iterdir())


def test_members_with_backslashes(layouts, config, tmp_path):
    folder = layouts("viper", "VIPeR")
    zipped = pack(folder, tmp_path / "windows.zip", lambda path: path.replace("/", "\\"))
    root = archive.adopt(config("viper"), zipped, tmp_path / "raw")
    assert (root / "cam_a/000_45.bmp").read_bytes() == (folder / "VIPeR/cam_a/000_45.bmp").read_bytes()


def test_another_data_set_is_refused_by_the_name_of_what_it_is(layouts, draw, config, tmp_path):
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


def test_the_names_decide_between_folders_of_the_same_layout(layouts, draw, tmp_path):
    layouts("viper", "small/one")
    layouts("prid2011", "small/one")  # below prid2011/: both have cam_a and cam_b
    layouts("market1501", "a")
    draw(tmp_path, ["market1501/b/query/0001_c2_f0046182.jpg", "market1501/c/query/0001_c1_1.png"])
    found = {
        name: parser(name).LAYOUT.find(tmp_path)
        for name in ("viper", "prid2011", "market1501", "dukemtmc", "cuhk03")
    }
    assert {name: str(root.relative_to(tmp_path)) for name, root in found.items()} == {
        "viper": "viper/small/one",
        "prid2011": "prid2011/small/one",
        "market1501": "market1501/a",
        "dukemtmc": "market1501/b",
        "cuhk03": "market1501/c",
    }
    assert looks_like(tmp_path / "viper") == ["VIPeR"]


def test_no_message_names_a_temporary_folder(layouts, config, tmp_path, caplog):
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


def test_a_recalled_count_names_the_source(layouts, config, tmp_path, caplog):
    settings = config("market1501", recalled={"images": 18})
    archive.adopt(settings, pack(layouts("market1501"), tmp_path / "m.zip"), tmp_path / "raw")
    assert f"{tmp_path}/m.zip: images 17; 18 are remembered" in caplog.text


def test_split_files_beside_the_source_come_along(draw, config, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    name = "cuhk03_new_protocol_config_detected.mat"
    folder = draw(tmp_path, ["got/cuhk03/images_detected/1_001_1_01.png"]) / "got/cuhk03"
    zipped = pack(folder, tmp_path / "got/cuhk03_release.zip")
    read = []
    monkeypatch.setattr(cuhk03, "md5", lambda path: read.append(path.name) or cuhk03.NP_MD5[path.name])
    monkeypatch.setattr(
        "scipy.io.loadmat", lambda file: dict.fromkeys(_ROLES, _Index()) | {"filelist": _Index()}
    )
    archive.adopt(config("cuhk03"), zipped, tmp_path / "raw")
    assert read == [] and f"cuhk03_release.zip: without {name} beside it" in caplog.text
    assert ".tmp-" not in caplog.text
    (tmp_path / "got" / name).touch()
    for given in (zipped, folder):
        root = archive.adopt(config("cuhk03"), given, tmp_path / "raw")
        assert read.pop() == name and f"{name}: taken from beside" in caplog.text
        assert (tmp_path / "raw/cuhk03" / name).is_file()
        cuhk03.parse(root, {})  # later stages find it without the source
        assert read.pop() == name


_ROLES = ("train_idx", "query_idx", "gallery_idx")


class _Index:
    def ravel(self):
        return []


def test_hashes_are_of_the_whole_file(tmp_path, monkeypatch):
    monkeypatch.setattr(offer, "BLOCK", 7)
    (tmp_path / "a").write_bytes(bytes(range(200)))
    assert offer.hashes(tmp_path / "a") == (
        "1901da1c9f699b48f6b2636e65cbf73abf99d0441ef67f5c540a42f7051dec6f",
        "fb7001d34b8e82c9b579be5005d5b0a5",
    )


def test_a_copy_that_fails_names_the_file(layouts, config, tmp_path, monkeypatch):
    def fail(old, new):
        raise OSError(28, "No space left on device", old)

    monkeypatch.setattr(fetch.shutil, "copy2", fail)
    with pytest.raises(UserError, match=r"\d+_\d+\.bmp: cannot be copied \(No space left"):
        archive.adopt(config("viper"), layouts("viper"), tmp_path / "raw", mode="copy")
    assert list((tmp_path / "raw").iterdir()) == []
