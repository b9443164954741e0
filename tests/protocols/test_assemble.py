from dgreid.protocols import build
from dgreid.protocols.tables import COLUMNS, TEST_COLUMNS
from helpers.manifests import SOURCE_A, SOURCE_B, TARGET, config, refused, row, save


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
