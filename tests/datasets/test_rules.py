"""Each rule is broken once."""

import pytest

from dgreid.datasets import rules
from dgreid.errors import UserError
from helpers.parsed import image


def row(each, pixel=None, size=(64, 128)):
    return {
        "path": each.path,
        "person_key": each.person and f"m:{each.person}",
        "kind": each.kind,
        "camera": each.camera,
        "pixel_sha256": pixel or each.path.encode(),
        "width": size[0],
        "height": size[1],
    }


@pytest.fixture
def market(config):
    return config("market1501")


def rows(parsed, **pixels):
    return [row(each, pixels.get(each.path)) for each in parsed.images]


def test_a_sound_data_set_passes_without_warnings(parsed, market):
    assert rules.check_images(parsed.images, rows(parsed), market) == []
    assert rules.check_splits(rows(parsed), parsed, market) == []


def test_r6_an_identity_trains_and_is_evaluated(parsed, market):
    parsed.splits["m/official", 0, "train"].append("g")
    with pytest.raises(UserError, match="m:2 is in the training and in the test role"):
        rules.check_splits(rows(parsed), parsed, market)


def test_r9_no_match_from_another_camera(parsed, market):
    parsed.images[3].camera = 0
    with pytest.raises(UserError, match="query q has no match"):
        rules.check_splits(rows(parsed), parsed, market)
    parsed.images[3].camera = None  # unknown: nothing is filtered
    assert rules.check_splits(rows(parsed), parsed, market) == []


@pytest.mark.parametrize("role", ["train", "query", "gallery"])
def test_r9_an_image_twice_in_a_role(parsed, market, role):
    parsed.splits["m/official", 0, role] *= 2
    with pytest.raises(UserError, match=f"is twice in role {role}"):
        rules.check_splits(rows(parsed), parsed, market)


def test_r9_a_query_in_the_gallery_finds_itself_where_its_camera_is_unknown(parsed, market):
    parsed.splits["m/official", 0, "gallery"].append("q")
    assert rules.check_splits(rows(parsed), parsed, market) == []  # left out by its camera
    parsed.images[2].camera = None
    with pytest.raises(UserError, match=r"query q is also in the gallery; its camera is unknown"):
        rules.check_splits(rows(parsed), parsed, market)


@pytest.mark.parametrize("unknown", [2, 3])
def test_r14_a_query_under_another_name_in_the_gallery(parsed, market, unknown):
    assert "under another name" in rules.check_splits(rows(parsed, q=b"x", g=b"x"), parsed, market)[0]
    parsed.images[unknown].camera = None
    with pytest.raises(UserError, match=r"query q is also in the gallery, as g; its camera"):
        rules.check_splits(rows(parsed, q=b"x", g=b"x"), parsed, market)


def test_queries_without_a_gallery_are_no_traceback(parsed, config):
    del parsed.splits["m/official", 0, "gallery"]
    assert rules.check_splits(rows(parsed), parsed, config("viper")) == []


def test_r10_query_without_the_person_in_the_gallery(parsed, market):
    parsed.splits["m/official", 0, "gallery"].remove("g")
    with pytest.raises(UserError, match="query q has no match"):
        rules.check_splits(rows(parsed), parsed, market)


def test_r10_two_matches_in_a_single_shot_set(parsed, config, market):
    parsed.images.append(image("g2", "2", 1))
    parsed.splits = {("viper/x", 0, role): paths for (_, _, role), paths in parsed.splits.items()}
    assert rules.check_splits(rows(parsed), parsed, config("viper")) == []
    parsed.splits["viper/x", 0, "gallery"].append("g2")
    with pytest.raises(UserError, match="has 2 matches, not one"):
        rules.check_splits(rows(parsed), parsed, config("viper"))
    assert rules.check_splits(rows(parsed), parsed, market) == []


@pytest.mark.parametrize(("path", "role"), [("j", "train"), ("d", "train"), ("d", "query"), ("j", "gallery")])
def test_r11_junk_and_distractors_in_the_wrong_role(parsed, market, path, role):
    parsed.splits["m/official", 0, role].append(path)
    with pytest.raises(UserError, match=f"cannot be in role {role}"):
        rules.check_splits(rows(parsed), parsed, market)


def test_r11_person_key_belongs_to_identities(parsed, market):
    parsed.images[4].person = "0000"
    with pytest.raises(UserError, match="d is distractor with person key"):
        rules.check_images(parsed.images, rows(parsed), market)


def test_r13_the_same_pixels_under_two_identities(parsed, market, caplog):
    caplog.set_level("INFO")
    warnings = rules.check_images(parsed.images, rows(parsed, t1=b"x", q=b"x"), market)
    assert warnings == ["1 images occur under different identities, first ['m:1', 'm:2']"]
    assert "repeat" not in caplog.text
    assert rules.check_images(parsed.images, rows(parsed, t1=b"x", t2=b"x"), market) == []
    assert "1 images repeat another one of the same identity" in caplog.text
    caplog.clear()
    rules.check_images(parsed.images, rows(parsed, t1=b"x", t2=b"x", q=b"x"), market)  # both at once
    assert "1 images repeat" in caplog.text


@pytest.mark.parametrize("path", ["q", "g", "d"])
def test_r14_the_same_pixels_train_and_are_evaluated(parsed, market, path):
    with pytest.raises(UserError, match="t2 trains and is also in role"):
        rules.check_splits(rows(parsed, t2=b"x", **{path: b"x"}), parsed, market)


def test_r14_query_and_gallery_share_pixels(parsed, market):
    (warning,) = rules.check_splits(rows(parsed, q=b"x", g=b"x"), parsed, market)
    assert "1 images are query and, under another name, gallery" in warning


def test_r15_size(parsed, config):
    sized = config("market1501", options={"size": [64, 128]})
    assert rules.check_images(parsed.images, rows(parsed), sized) == []
    other = [row(each, size=(48, 128)) for each in parsed.images]
    with pytest.raises(UserError, match="48 x 128 pixels, market1501 has 64 x 128"):
        rules.check_images(parsed.images, other, sized)


def test_r18_a_split_set_has_as_many_splits_as_declared(parsed, config):
    parsed.splits = {("viper/rand10_a2b", 0, role): paths for (_, _, role), paths in parsed.splits.items()}
    with pytest.raises(UserError, match="viper/rand10_a2b: 1 splits instead of 10"):
        rules.check_splits(rows(parsed), parsed, config("viper"))


def test_r18_two_equal_splits(parsed, market):
    parsed.splits |= {("m/official", 1, role): paths for (_, _, role), paths in list(parsed.splits.items())}
    with pytest.raises(UserError, match="two of its 2 splits are the same"):
        rules.check_splits(rows(parsed), parsed, market)


def test_r21_tiny_crops_and_identities_twice_in_a_scene(market):
    images = [image("a", "1", None, scene="s1"), image("b", "1", None, scene="s1")]
    warnings = rules.check_images(images, [row(images[0], size=(1, 9)), row(images[1])], market)
    assert [warning.split(",")[0] for warning in warnings] == [
        "1 images are one pixel wide or high", "1 identities occur twice in one scene",
    ]  # fmt: skip
