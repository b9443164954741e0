import pytest

from dgreid.datasets.parsers import market1501
from dgreid.errors import UserError


def test_name_of_the_paper():
    assert market1501.NAME.match("0002_c1s1_000451_03.jpg").groupdict() == {
        "identity": "0002",
        "camera": "1",
        "sequence": "1",
        "frame": "000451",
        "index": "03",
    }


@pytest.mark.parametrize(
    "name",
    ["0002_c7s1_000451_03.jpg", "0002_c1s7_000451_03.jpg", "0002_c14s1_000451_03.jpg", "2_c1s1_000451_03.jpg",
     "0002_c1s1_000451_03.jpg.jpg", "0002_c1s1_000451_03.png", "x0002_c1s1_000451_03.jpg"],
)  # fmt: skip
def test_other_names_do_not_match(name):
    assert market1501.NAME.match(name) is None


def test_identities_distractors_and_junk(layouts):
    parsed = market1501.parse(layouts("market1501"), {})
    kinds = {image.path: image for image in parsed.images}
    junk = kinds["bounding_box_test/-1_c3s6_000451_03.jpg"]
    assert (junk.kind, junk.person, junk.person_raw) == ("junk", None, "-1")
    stranger = kinds["bounding_box_test/0000_c1s1_000001_01.jpg"]
    assert (stranger.kind, stranger.person, stranger.role) == ("distractor", None, "gallery")
    person = kinds["query/0003_c4s3_000341_02.jpg"]
    assert (person.kind, person.person, person.camera, person.camera_raw) == ("person", "0003", 3, "c4")
    assert (person.sequence, person.frame, person.index) == (3, 341, 2)


def test_official_split_drops_junk_and_keeps_distractors(layouts):
    parsed = market1501.parse(layouts("market1501"), {})
    sizes = {role: len(paths) for (_, _, role), paths in parsed.splits.items()}
    assert sizes == {"train": 6, "query": 4, "gallery": 6}
    assert parsed.missing == ()


def test_a_copy_without_whole_folders_is_partial(draw, tmp_path):
    draw(tmp_path, ["bounding_box_train/0002_c1s1_000451_03.jpg"])
    parsed = market1501.parse(tmp_path, {})
    assert parsed.missing == ("query", "bounding_box_test")
    assert list(parsed.splits) == [("market1501/official", 0, "train")]


@pytest.mark.parametrize("identity", ["-1", "0000"])
def test_junk_and_distractors_cannot_train(draw, tmp_path, identity):
    draw(tmp_path, [f"bounding_box_train/{identity}_c1s1_000451_03.jpg"])
    with pytest.raises(UserError, match="cannot be in the training folder"):
        market1501.parse(tmp_path, {})
