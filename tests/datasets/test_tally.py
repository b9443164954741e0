import pytest

from dgreid.datasets import tally
from dgreid.errors import UserError


def test_counts(parsed):
    assert tally.counts(parsed) == {
        "images": 6, "persons": 4, "ids": 2, "cameras": 2, "distractors": 1, "junk": 1,
        "camera_1": 2, "camera_2": 2, "distractors_camera_1": 1,
        "train_images": 2, "train_ids": 1, "train_camera_1": 1, "train_camera_2": 1,
        "query_images": 1, "query_ids": 1, "query_camera_1": 1,
        "gallery_images": 3, "gallery_ids": 1, "gallery_camera_2": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "expect", [{"images": 7}, {"junk": 2}, {"distractors": 0}, {"query_camera_2": 1}, {"train_ids": 2}]
)
def test_r3_r4_wrong_counts(parsed, config, expect):
    with pytest.raises(UserError, match="not the published"):
        tally.data_kind(config("market1501", expect=expect), parsed, "here")


def test_kinds_of_data(parsed, config):
    right = {"images": 6, "train_images": 2}
    assert tally.data_kind(config("market1501", expect=right), parsed, "here") == "full"
    assert tally.data_kind(config("market1501", access="drawn"), parsed, "here") == "miniature"
    assert tally.data_kind(config("market1501"), parsed, "here") == "unverified"  # no count says it is whole
    assert tally.data_kind(config("market1501"), parsed, "here", published=True) == "full"  # but its hash may
    for image in parsed.images:
        image.role = "none"  # then counts per role are not compared
    roles = config("market1501", expect={"train_images": 2})
    assert tally.data_kind(roles, parsed, "here") == "unverified"
    parsed.missing = ("query",)
    assert tally.data_kind(roles, parsed, "here") == "partial"  # known, whatever the counts


def test_parts_that_are_known_to_be_missing_make_a_copy_partial(parsed, config):
    parsed.missing = ("query",)
    more = {"images": 9, "train_images": 2, "query_images": 1}
    assert tally.data_kind(config("market1501", expect=more), parsed, "here") == "partial"


def test_the_parts_of_a_partial_copy_are_still_exact(parsed, config):
    parsed.missing = ("validation",)
    with pytest.raises(UserError, match="train_images 2 instead of 3"):
        tally.data_kind(config("market1501", expect={"train_images": 3}), parsed, "here")
    with pytest.raises(UserError, match="images 6 instead of 5"):  # a part cannot exceed the whole
        tally.data_kind(config("market1501", expect={"images": 5}), parsed, "here")


def test_wrong_counts_can_be_allowed_and_are_labelled(parsed, config):
    allowed = config("market1501", expect={"images": 7}, options={"allow_partial": True})
    assert tally.data_kind(allowed, parsed, "here") == "partial"


@pytest.mark.parametrize("name", ["image", "train_camera_x", "nobody_camera_1", "camera_"])
def test_a_count_that_does_not_exist(parsed, config, name):
    with pytest.raises(UserError, match="unknown count"):
        tally.data_kind(config("market1501", expect={name: 1}), parsed, "here")
