"""MSMT17: names, versions, lists, and what does not agree."""

import pytest

from dgreid.datasets import tally
from dgreid.datasets.adopt.archive import adopt
from dgreid.datasets.config import load_dataset
from dgreid.datasets.manifest import build
from dgreid.datasets.parsers import msmt17
from dgreid.datasets.parsers.msmt17 import LAYOUT, NAME, REPACKED, parse
from dgreid.errors import UserError

NAMES = {  # list: names below the side's folder
    "train": ["0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_001_14_0303noon_0016_1.jpg"],
    "val": ["0000/0000_001_02_0303morning_0015_0_ex.jpg", "0001/0001_002_15_0113afternoon_0017_0.jpg"],
    "query": ["0000/0000_000_03_0303morning_0015_0.jpg", "0001/0001_001_14_0303noon_0016_1.jpg"],
    "gallery": ["0000/0000_001_10_0303morning_0015_0.jpg", "0001/0001_000_01_0303noon_0016_1.jpg"],
}


@pytest.fixture
def release(draw, tmp_path):
    """release(version): a tiny MSMT17_V1 or MSMT17_V2 with its four lists; returns its parent."""

    def write(version):
        folder = tmp_path / "given" / f"MSMT17_{version.upper()}"
        for role, names in NAMES.items():
            side = msmt17.SIDES[version][role in ("query", "gallery")]
            draw(folder, [f"{side}/{name}" for name in names])
            (folder / f"list_{role}.txt").write_text("".join(f"{n} {int(n[:4])}\n" for n in names))
        return tmp_path / "given"

    return write


def test_name_with_every_part():
    assert NAME.match("0952/0952_003_01_0114afternoon_0398_0_ex.jpg").groupdict() == {
        "folder": "0952", "identity": "0952", "sequence": "003", "camera": "01", "date": "0114",
        "slot": "afternoon", "frame": "0398", "index": "0", "ex": "_ex",
    }  # fmt: skip


@pytest.mark.parametrize("camera", range(1, 16))
def test_r5_no_camera_is_read_as_another(camera):
    assert int(NAME.match(f"0000/0000_000_{camera:02d}_0303morning_0015_0.jpg")["camera"]) == camera
    for text in (f"{camera}", f"{camera:02d}"):
        assert int(REPACKED.match(f"0000_c{text}_0030.jpg")["camera"]) == camera


@pytest.mark.parametrize("camera", ["0", "00", "16", "141", "1a"])
def test_r5_other_cameras_do_not_match(camera):
    assert NAME.match(f"0000/0000_000_{camera}_0303morning_0015_0.jpg") is None
    assert REPACKED.match(f"0000_c{camera}_0030.jpg") is None


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("inside", [False, True])
def test_both_versions_by_their_folders(release, version, inside):
    given = release(version) / (f"MSMT17_{version.upper()}" if inside else "")
    parsed = parse(LAYOUT.find(given), {})
    assert {image.variant for image in parsed.images} == {version}
    assert tally.counts(parsed) == {
        "cameras": 6, "camera_1": 2, "camera_2": 1, "camera_3": 1, "camera_10": 1, "camera_14": 2,
        "camera_15": 1, "ids": 4, "images": 8, "persons": 8, "train_ids": 2, "train_images": 2,
        "val_ids": 2, "val_images": 2, "trainval_ids": 2, "trainval_images": 4, "query_ids": 2,
        "query_images": 2, "gallery_ids": 2, "gallery_images": 2, "train_camera_1": 1, "train_camera_14": 1,
        "val_camera_2": 1, "val_camera_15": 1, "trainval_camera_1": 1, "trainval_camera_14": 1,
        "trainval_camera_2": 1, "trainval_camera_15": 1, "query_camera_3": 1, "query_camera_14": 1,
        "gallery_camera_10": 1, "gallery_camera_1": 1,
    }  # fmt: skip


def test_r12_the_same_number_is_another_person_on_the_other_side(release):
    images = parse(LAYOUT.find(release("v2")), {}).images
    people = {(image.role, image.person) for image in images if image.person_raw == "0000"}
    assert people == {
        ("train", "train:0000"), ("val", "train:0000"), ("query", "test:0000"), ("gallery", "test:0000"),
    }  # fmt: skip
    (ex,) = [image for image in images if "ex" in image.attrs]
    assert (ex.role, ex.camera, ex.attrs) == ("val", 1, {"date": "0303", "slot": "morning", "ex": "1"})


def test_split_sets_with_and_without_val(release):
    splits = parse(LAYOUT.find(release("v2")), {}).splits
    assert {key[0::2]: len(paths) for key, paths in splits.items()} == {
        ("msmt17/official", "train"): 2, ("msmt17/official", "val"): 2, ("msmt17/official", "query"): 2,
        ("msmt17/official", "gallery"): 2, ("msmt17/official_with_val", "train"): 4,
        ("msmt17/official_with_val", "query"): 2, ("msmt17/official_with_val", "gallery"): 2,
    }  # fmt: skip
    assert [path.split("/", 2)[2] for path in splits["msmt17/official", 0, "val"]] == NAMES["val"]


def test_r16_both_versions_need_a_choice(release):
    release("v1")
    root = LAYOUT.find(release("v2"))
    with pytest.raises(UserError, match=r"MSMT17_V1 \(v1\) and MSMT17_V2 \(v2\); adopt one .*options\."):
        parse(root, {})
    for version in ("v1", "v2"):
        assert {image.variant for image in parse(root, {"version": version}).images} == {version}


def test_r16_the_other_version_is_not_taken_instead(release):
    with pytest.raises(UserError, match="holds MSMT17 v1, not v2"):
        parse(LAYOUT.find(release("v1")), {"version": "v2"})
    with pytest.raises(UserError, match="did you mean 'v2'"):
        parse(LAYOUT.find(release("v1")), {"version": "v22"})


def edit(given, role, change):
    file = given / "MSMT17_V2" / f"list_{role}.txt"
    file.write_text(change(file.read_text()))


@pytest.mark.parametrize(
    ("role", "change", "sentence"),
    [
        ("gallery", lambda text: text.replace("_0015_0.jpg", "_0019_0.jpg"), "1 images of list_gallery"),
        ("val", lambda text: text.split("\n", 1)[1], "1 images are in no list, first 0000/0000_001_02"),
        ("train", lambda text: text + text.split("\n")[0], "listed twice"),
        ("train", lambda text: text + NAMES["val"][0] + " 0", "0000/0000_001_02_0303.* is in two lists"),
        ("train", lambda text: text + "0000.jpg", "not `path label`"),
        ("val", lambda text: text.replace("jpg 0", "jpg 7"), "has the label 7, other images of its identity"),
    ],
)
def test_r16_lists_and_images_must_agree(release, role, change, sentence):
    given = release("v2")
    edit(given, role, change)
    with pytest.raises(UserError, match=sentence):
        parse(LAYOUT.find(given), {})


def test_lists_name_the_images_whatever_the_case_of_their_extension(release):
    given = release("v2")
    plain = parse(LAYOUT.find(given), {})
    for file in given.rglob("*.jpg"):
        file.rename(file.with_suffix(".JPG"))
    found = parse(LAYOUT.find(given), {})
    assert all((LAYOUT.find(given) / image.path).is_file() for image in found.images)
    assert {
        key: [path.replace("JPG", "jpg") for path in paths] for key, paths in found.splits.items()
    } == plain.splits


def test_r16_one_label_for_two_identities(release):
    given = release("v2")
    for role in ("train", "val"):
        edit(given, role, lambda text: text.replace("jpg 1", "jpg 0"))
    with pytest.raises(UserError, match="one label stands for two identities"):
        parse(LAYOUT.find(given), {})


def test_a_missing_list(release, root, tmp_path):
    given = release("v2")
    (given / "MSMT17_V2/list_val.txt").unlink()
    with pytest.raises(UserError, match=r"list_val\.txt is missing"):
        parse(LAYOUT.find(given), {})
    config = load_dataset("msmt17")
    said = r"list_val\.txt is missing, .*; put it there from .*, or get a whole copy from https://www\.pkuvmc"
    with pytest.raises(UserError, match=said):
        adopt(config, given, tmp_path / "raw", acknowledge=True)


def test_an_image_of_another_name_or_person(release, draw):
    given = release("v2")
    draw(given / "MSMT17_V2/mask_train_v2", ["0000/0000_000_16_0303morning_0015_0.jpg"])
    with pytest.raises(UserError, match="not named as in MSMT17"):
        parse(LAYOUT.find(given), {})
    (given / "MSMT17_V2/mask_train_v2/0000/0000_000_16_0303morning_0015_0.jpg").unlink()
    draw(given / "MSMT17_V2/mask_train_v2", ["0001/0000_000_01_0303morning_0015_0.jpg"])
    edit(given, "train", lambda text: text + "0001/0000_000_01_0303morning_0015_0.jpg 1")
    with pytest.raises(UserError, match="folder of another identity"):
        parse(LAYOUT.find(given), {})


def test_without_the_test_half_it_is_partial(release):
    given = release("v2")
    (given / "MSMT17_V2/mask_test_v2").rename(given / "elsewhere")
    parsed = parse(LAYOUT.find(given), {})
    assert parsed.missing == ("mask_test_v2",)
    assert {key[0::2] for key in parsed.splits} == {
        ("msmt17/official", "train"), ("msmt17/official", "val"), ("msmt17/official_with_val", "train"),
    }  # fmt: skip


REPACK = [
    "bounding_box_train/0000_c14_0030.jpg", "bounding_box_train/0000_c1_0031.jpg",
    "query/0000_c14_0001.jpg", "bounding_box_test/0000_c2_0002.jpg",
]  # fmt: skip


def test_repacked_version_1_has_no_validation_list(draw, tmp_path):
    root = LAYOUT.find(draw(tmp_path, [f"msmt17v1/{path}" for path in REPACK]))
    parsed = parse(root, {"version": "v1"})
    assert [(i.person, i.camera, i.variant) for i in parsed.images][:2] == [
        ("train:0000", 13, "v1"), ("train:0000", 0, "v1"),
    ]  # fmt: skip
    assert {key[0::2] for key in parsed.splits} == {
        ("msmt17/official_with_val", "train"), ("msmt17/official_with_val", "query"),
        ("msmt17/official_with_val", "gallery"), ("msmt17/official", "query"), ("msmt17/official", "gallery"),
    }  # fmt: skip
    with pytest.raises(UserError, match="holds MSMT17 v1, not v2"):
        parse(root, {"version": "v2"})


def test_market_is_not_taken_for_the_repacked_version(layouts):
    with pytest.raises(UserError, match="does not look like MSMT17"):
        parse(LAYOUT.find(layouts("market1501")), {})


def test_r20_adoption_needs_an_acknowledgement_that_the_manifest_keeps(release, root, tmp_path):
    config, given = load_dataset("msmt17"), release("v2")
    with pytest.raises(UserError, match=r"on request only .*--acknowledge"):
        adopt(config, given, tmp_path / "raw")
    with pytest.raises(UserError, match="not the published MSMT17: cameras 6 instead of 15"):
        adopt(config, given, tmp_path / "raw", acknowledge=True)
    small = config.model_copy(update={"expect": {"trainval_images": 4, "ids": 4}, "recalled": {}})
    place = adopt(small, given, tmp_path / "raw", acknowledge=True)
    _, _, metadata = build(small, place, parse(place, small.options), {"acknowledged": True})
    assert metadata["acknowledged"] == "true"
    assert (metadata["variants"], metadata["access"]) == ('["v2"]', "request")


def test_unverified_counts_warn(release, root):
    config = load_dataset("msmt17").model_copy(update={"expect": {}})
    parsed = parse(LAYOUT.find(release("v2")), {})
    assert tally.data_kind(config, parsed, "here") == "unverified"
    assert "val_images 2; 2373 are remembered, unverified" in parsed.notes


def test_published_counts_add_up(root):
    for name in ("msmt17", "msmt17_v1"):
        expect = load_dataset(name).expect
        trainval = expect["images"] - expect["query_images"] - expect["gallery_images"]
        assert trainval == expect.get("trainval_images", 32621) == 32621
        assert expect["ids"] == 1041 + expect["query_ids"]
    assert sum(load_dataset("msmt17").recalled.values()) == 32621


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b" ", b"\t"),
        lambda text: text.replace(b"/", b"\\"),
        lambda text: text.rstrip(b"\n"),
        lambda text: text + b"\n\n",
    ],
)
def test_lists_as_editors_leave_them(release, edit):
    given = release("v2")
    expected = parse(LAYOUT.find(given), {})
    for file in given.rglob("list_*.txt"):
        file.write_bytes(edit(file.read_bytes()))
    assert parse(LAYOUT.find(given), {}) == expected


def test_a_list_in_another_encoding_is_one_sentence(release):
    given = release("v2")
    file = next(given.rglob("list_query.txt"))
    file.write_bytes(file.read_text().encode("utf-16"))
    with pytest.raises(UserError, match=r"list_query\.txt: not a text file in UTF-8"):
        parse(LAYOUT.find(given), {})
