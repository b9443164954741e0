import pytest

from dgreid.protocols import build
from helpers.manifests import SOURCE_A, TARGET, TARGET_SPLITS, config, refused, row, save


@pytest.mark.parametrize("what", ["ids", "images", "domains"])
def test_r3_training_counts(manifests, what):
    right = {"ids": 5, "images": 10, "domains": 2}
    assert build(config(expect=right), manifests).metadata["counts"] == right
    refused(manifests, f"training set: {right[what]} {what} instead of 77", expect=right | {what: 77})
    refused(manifests, "unknown count", expect={"id": 5})


@pytest.mark.parametrize("what", ["query", "gallery"])
def test_r3_target_counts(manifests, what):
    refused(manifests, f"T split 0: . {what} instead of 9", target={"expect": {what: 9}})


def test_r6_the_training_and_test_identities_of_one_set(manifests):
    refused(manifests, "the identity of t/original/g_u also trains", sources=["a", "t"])


def test_r7_two_variants_of_a_data_set_share_identities(manifests):
    variant = [row("labeled", f"{person}_{n}", f"t:{person}", n) for person in ("w", "k") for n in (0, 1)]
    save(manifests, "labeled", variant)
    refused(manifests, "the identity of t/original/g_w also trains", sources=["a", "labeled"])


def test_r8_the_same_image_under_another_name(manifests):
    save(manifests, "a", [*SOURCE_A, row("a", "copy", "p3", 0, pixel="t/stranger")])
    refused(manifests, "the image of t/original/stranger also trains")


def test_r8_known_overlaps_are_a_warning(manifests):
    for name in ("cuhk01", "cuhk02"):
        save(manifests, name, [row(name, f"{p}_0", p, 0) for p in ("1", "2")])
    warnings = build(config(sources=["cuhk01", "cuhk02"]), manifests).metadata["warnings"]
    assert warnings == ["cuhk01 and cuhk02 share some identities"]
    assert build(config(), manifests).metadata["warnings"] == []


def test_r9_the_only_match_is_of_the_same_camera(manifests):
    rows = [each | {"camera": 0} if each["path"] == "g_v" else each for each in TARGET]
    save(manifests, "t", rows, TARGET_SPLITS)
    refused(manifests, "split 0: query t/original/q_v has no match from another camera")


def test_r10_query_without_a_match(manifests):
    save(manifests, "t", TARGET, TARGET_SPLITS | {("t/two", 1, "gallery"): ["g_v", "stranger"]})
    refused(manifests, "split 1: query t/original/q_w has no match")
