import hashlib
import json

import pandas as pd
import pyarrow as pa
import pytest

from dgreid.datasets.manifest import IMAGES, SPLITS, write_manifest
from dgreid.errors import UserError
from dgreid.protocols import build, read_protocol, write
from dgreid.protocols.config import ProtocolConfig
from dgreid.protocols.tables import COLUMNS, TEST_COLUMNS

REQUIRED = {"variant": "original", "person_raw": "", "camera_known": True, "width": 4, "height": 8}
REQUIRED |= {"format": "jpg", "bytes": 1, "decode_ok": True}


def row(dataset, path, person, camera, kind="person", pixel=None):
    """A manifest row; the file's content is its name unless `pixel` says otherwise."""
    digest = hashlib.sha256((pixel or f"{dataset}/{path}").encode()).digest()
    return REQUIRED | {
        "image_id": f"{dataset}/original/{path}",
        "dataset": dataset,
        "path": path,
        "person_key": None if kind != "person" else person if ":" in person else f"{dataset}:{person}",
        "kind": kind,
        "camera": camera,
        "pixel_sha256": digest,
    }


def save(folder, dataset, rows, splits=(), kind="full", missing=()):
    """Write a manifest; `splits` maps (split set, number, role) to paths."""
    rows = sorted(rows, key=lambda row: row["image_id"])
    table = [
        {
            "split_set": name,
            "split": number,
            "role": role,
            "image_id": f"{dataset}/original/{path}",
            "order": i,
        }
        for (name, number, role), paths in dict(splits).items()
        for i, path in enumerate(paths)
    ]
    metadata = {"dataset": dataset, "kind": kind, "content": "0" * 64, "generators": "{}"}
    metadata["missing"] = json.dumps(missing)
    images, splits = pa.Table.from_pylist(rows, IMAGES), pa.Table.from_pylist(table, SPLITS)
    write_manifest(folder / dataset, images, splits, metadata)


SOURCE_A = [row("a", f"{person}_{camera}", person, camera) for person in ("p2", "p1") for camera in (0, 1)]
SOURCE_B = [row("b", f"{person}_{n}", person, None) for person in ("x", "y", "z") for n in (0, 1)]
TARGET = [
    *(row("t", f"{role}_{person}", person, camera)
      for person in ("u", "v", "w") for camera, role in ((0, "q"), (1, "g"))),
    row("t", "stranger", None, 1, "distractor"),
    row("t", "junk", None, 1, "junk"),
]  # fmt: skip
TARGET_SPLITS = {
    ("t/two", 0, "query"): ["q_v", "q_u"],
    ("t/two", 0, "gallery"): ["g_u", "g_v", "stranger"],
    ("t/two", 1, "query"): ["q_w"],
    ("t/two", 1, "gallery"): ["g_w", "g_v", "stranger"],
    ("t/two", 0, "train"): ["q_w", "g_w"],
}


@pytest.fixture
def manifests(tmp_path):
    save(tmp_path, "a", SOURCE_A)
    save(tmp_path, "b", SOURCE_B)
    save(tmp_path, "t", TARGET, TARGET_SPLITS)
    return tmp_path


def config(sources=("a", "b"), **changes):
    target = {"name": "T", "dataset": "t", "split_set": "t/two", **changes.pop("target", {})}
    node = {"name": "test", "title": "Test", "recipe": "none", "image": "none", "targets": [target]}
    node["sources"] = [{"dataset": source} if isinstance(source, str) else source for source in sources]
    return ProtocolConfig.model_validate(node | changes)


def refused(manifests, match, **changes):
    with pytest.raises(UserError, match=match) as error:
        build(config(**changes), manifests)
    assert "\n" not in str(error.value)


def test_labels_are_the_sorted_rank_of_the_person_key_over_the_sources(manifests):
    train = build(config(sources=("b", "a")), manifests).train
    labels = dict(zip(train.image_id.str.split("/").str[2].str[:2], train.identity, strict=True))
    assert labels == {"p1": 0, "p2": 1, "x_": 2, "y_": 3, "z_": 4}
    assert list(train.columns) == COLUMNS


def test_domains_are_the_sources_in_their_order(manifests):
    protocol = build(config(sources=("b", "a")), manifests)
    assert protocol.domains == ["b", "a"]
    assert protocol.train.groupby("domain").dataset.unique().map(list).to_dict() == {0: ["b"], 1: ["a"]}


def test_domains_by_camera(manifests):
    protocol = build(config(sources=[{"dataset": "a", "domain_by": "camera"}, "b"]), manifests)
    assert protocol.domains == ["a/c1", "a/c2", "b"]
    mine = protocol.train[protocol.train.dataset == "a"]
    assert (mine.camera == mine.domain).all()


def test_rows_point_into_the_manifest(manifests):
    from dgreid.datasets import read_manifest

    protocol = build(config(), manifests)
    for name in ("a", "b"):
        rows = protocol.train[protocol.train.dataset == name]
        frame = read_manifest(manifests / name)
        assert list(frame.path.iloc[rows.row]) == list(rows.path)


def test_query_and_gallery_of_each_split_in_order(manifests):
    (first, second) = build(config(), manifests).targets["T"]
    assert list(first[0].path) == ["q_v", "q_u"]
    assert list(first[0].identity) == [1, 0]
    assert list(first[1].path) == ["g_u", "g_v", "stranger"]
    assert list(first[1].identity) == [0, 1, -1]
    assert list(second[0].identity) == [2]
    assert list(first[0].columns) == TEST_COLUMNS


def test_only_the_first_splits(manifests):
    assert len(build(config(target={"splits": 1}), manifests).targets["T"]) == 1
    refused(manifests, "T has 2 splits, not 3", target={"splits": 3})


def test_unknown_cameras_do_not_filter(manifests):
    rows = [row("t", f"{role}_{p}", p, None) for p in ("u", "v") for role in "qg"]
    splits = {("t/two", 0, "query"): ["q_u", "q_v"], ("t/two", 0, "gallery"): ["g_u", "g_v"]}
    save(manifests, "t", rows, splits)
    ((query, gallery),) = build(config(), manifests).targets["T"]
    assert set(query.camera) == {0}
    assert set(gallery.camera) == {1}


def test_a_training_split_of_a_source(manifests):
    save(manifests, "a", SOURCE_A, {("a/official", 0, "train"): ["p1_0", "p2_0"]})
    protocol = build(config(sources=[{"dataset": "a", "split_set": "a/official"}]), manifests)
    assert list(protocol.train.path) == ["p1_0", "p2_0"]


def test_written_and_read_back_the_same(manifests, tmp_path):
    protocol = build(config(), manifests)
    write(tmp_path / "p", protocol)
    again = read_protocol(tmp_path / "p")
    pd.testing.assert_frame_equal(again.train, protocol.train)
    assert (again.name, again.kind, again.domains) == (protocol.name, protocol.kind, protocol.domains)
    for mine, other in zip(protocol.targets["T"], again.targets["T"], strict=True):
        pd.testing.assert_frame_equal(mine[0], other[0])
        pd.testing.assert_frame_equal(mine[1], other[1])
    write(tmp_path / "q", again)
    for name in ("train.parquet", "targets.parquet"):
        assert (tmp_path / "q" / name).read_bytes() == (tmp_path / "p" / name).read_bytes()


def test_a_new_target_leaves_the_training_file_as_it_is(manifests, tmp_path):
    write(tmp_path / "p", build(config(), manifests))
    more = [{"name": n, "dataset": "t", "split_set": "t/two"} for n in ("Z", "A")]
    write(tmp_path / "q", build(config(targets=more), manifests))
    assert (tmp_path / "q/train.parquet").read_bytes() == (tmp_path / "p/train.parquet").read_bytes()
    assert (tmp_path / "q/targets.parquet").read_bytes() != (tmp_path / "p/targets.parquet").read_bytes()


def test_targets_keep_their_order(manifests, tmp_path):
    targets = [{"name": n, "dataset": "t", "split_set": "t/two"} for n in ("Z", "A", "M")]
    write(tmp_path / "p", build(config(targets=targets), manifests))
    assert list(read_protocol(tmp_path / "p").targets) == ["Z", "A", "M"]


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


def test_r11_distractors_cannot_train_or_ask(manifests):
    splits = {("t/odd", 0, "train"): ["q_u", "stranger"]}
    splits |= {("t/two", 0, "query"): ["stranger"], ("t/two", 0, "gallery"): ["g_u"]}
    save(manifests, "t", TARGET, splits)
    refused(
        manifests, "stranger is distractor; it cannot train", sources=[{"dataset": "t", "split_set": "t/odd"}]
    )
    refused(manifests, "stranger is a distractor, not a query")


def test_r11_whole_sources_leave_distractors_and_junk_out(manifests):
    save(manifests, "a", [*SOURCE_A, row("a", "d", None, 0, "distractor"), row("a", "j", None, 0, "junk")])
    assert "d" not in set(build(config(), manifests).train.path)
    assert build(config(), manifests).metadata["counts"]["images"] == 10


def test_a_domain_with_one_identity(manifests):
    save(manifests, "b", [row("b", f"x_{n}", "x", None) for n in (0, 1)])
    refused(manifests, "the domain b has 1 identity; training needs at least two")
    save(manifests, "a", [*SOURCE_A, row("a", "lonely", "p1", 2)])
    refused(manifests, "the domain a/c3 has 1 identity", sources=[{"dataset": "a", "domain_by": "camera"}])


def test_domain_by_camera_needs_cameras(manifests):
    refused(manifests, "unknown camera", sources=[{"dataset": "b", "domain_by": "camera"}])


def test_the_same_source_twice(manifests):
    refused(manifests, "is in two sources", sources=["a", "a"])


def test_missing_manifest_names_the_remedy(manifests):
    refused(manifests, "dgreid manifest dataset=absent", sources=["a", "absent"])


def test_unknown_split_set_proposes_the_nearest(manifests):
    refused(manifests, "did you mean 't/two'", target={"split_set": "t/tow"})


def test_partial_data_need_consent(manifests):
    save(manifests, "a", SOURCE_A, kind="partial", missing=["query"])
    refused(manifests, r"a is a partial copy \(it lacks query\)")
    assert build(config(allow_partial=True), manifests).kind == "partial"


def test_split_set_that_a_partial_copy_lacks(manifests):
    save(manifests, "t", TARGET, {}, kind="partial", missing=["cam_a"])
    refused(manifests, "this copy lacks cam_a", allow_partial=True)
    only_train = {("t/two", 0, "train"): ["q_w", "g_w"]}
    save(manifests, "t", TARGET, only_train, kind="partial", missing=["query"])
    refused(manifests, "no query or no gallery", allow_partial=True)


def test_kinds_are_told_apart(manifests):
    assert build(config(), manifests).kind == "full"
    save(manifests, "b", SOURCE_B, kind="unverified")
    assert build(config(), manifests).kind == "unverified"
    save(manifests, "b", SOURCE_B, kind="miniature")
    assert build(config(), manifests).kind == "miniature"
    save(manifests, "a", SOURCE_A, kind="partial")
    assert build(config(allow_partial=True), manifests).kind == "miniature"


def test_reading_what_is_no_protocol(tmp_path):
    with pytest.raises(UserError, match="dgreid protocol protocol=nothing"):
        read_protocol(tmp_path / "nothing")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/train.parquet").write_bytes(b"no")
    with pytest.raises(UserError, match="not a protocol file"):
        read_protocol(tmp_path / "bad")
