"""The counts of the shipped protocols are sums of published ones."""

from dgreid.datasets.config import load_dataset
from dgreid.params import names as choices
from dgreid.protocols.config import load_protocol

# people and images of the training parts, which the data sets' own files do not state
PARTS = {  # facts of the released split files; M3L Table 2 for the classic pool
    ("cuhk03", "cuhk03/np_detected"): (767, 7365),
    ("cuhk03_labeled", "cuhk03/np_labeled"): (767, 7368),
    ("cuhk03_both", "cuhk03/classic_both"): (1367, 26263),
}


TARGETS = {  # query, gallery
    "market1501/official": (3368, 15913), "dukemtmc/official": (2228, 17661),
    "msmt17/official": (11659, 82161), "cuhk03/np_detected": (1400, 5332), "cuhk03/np_labeled": (1400, 5328),
    "viper/rand10_a2b": (316, 316), "prid/rand10": (100, 649), "grid/official10": (125, 900),
    "ilids/rand10": (60, 60),
}  # fmt: skip


PAPERS = {  # published, or summed in the papers' own way: ids, images, domains
    "metabin_dg": (18530, 121765, 5), "metabin_m2d": (751, 12936, 6), "metabin_d2m": (702, 16522, 8),
    "supervised_market": (751, 12936, 6), "m3l_market": (3110, 75406, 3), "m3l_duke": (3159, 71820, 3),
    "m3l_cuhk03": (2494, 62079, 3), "m3l_msmt17": (2820, 55721, 3), "m3l_np_market": (2510, 56508, 3),
    "m3l_np_duke": (2559, 52922, 3), "m3l_np_cuhk03": (2494, 62079, 3), "m3l_np_msmt17": (2220, 36823, 3),
    "m3l_single_ms": (4101, 126441, 1), "m3l_single_d": (702, 16522, 1),
    "lda_p1": (16718, 85354, 4), "lda_p1_duke": (18530, 121765, 5), "lda_p2_cuhk03": (13726, 80131, 3),
    "lda_p2_msmt17": (13452, 54875, 3), "lda_p2_market": (13742, 74560, 3),
    "lda_p3_cuhk03": (17536, 190434, 3), "lda_p3_msmt17": (14902, 78090, 3),
    "lda_p3_market": (17502, 175112, 3),
}  # fmt: skip


REMEMBERED = {"lda_p2_cuhk03_noval": 77758, "lda_p2_market_noval": 72187}  # images, with MSMT17's 30,248


DOCUMENTS = {"metabin", "supervised", "m3l", "lda"}


def published() -> list[str]:
    """The papers' protocols; others are counted by being run."""
    return [name for name in choices("protocol") if name.split("_")[0] in DOCUMENTS]


def part(dataset: str, split_set: str | None) -> tuple[int, int]:
    """People and images that a source contributes, from the counts its own file enforces."""
    expect = load_dataset(dataset).expect
    if split_set == "msmt17/official":
        return expect["ids"] - expect["query_ids"], load_dataset(dataset).recalled["train_images"]
    if split_set is None:
        return expect["ids"], expect.get("persons", expect["images"])
    if (dataset, split_set) in PARTS:
        return PARTS[dataset, split_set]
    if split_set == "msmt17/official_with_val":
        searched = expect["query_images"] + expect["gallery_images"]
        return expect["ids"] - expect["query_ids"], expect["images"] - searched
    return expect["train_ids"], expect["train_images"]


def test_every_table_of_the_papers_is_there(root):
    assert {name.split("_")[0] for name in published()} == DOCUMENTS
    assert set(PAPERS) <= set(published())


def test_the_counts_are_the_papers(root):
    found = {name: tuple(load_protocol(name).expect.values()) for name in published()}
    assert {name: found[name] for name in PAPERS} == PAPERS
    assert list(load_protocol("m3l_market").expect) == ["ids", "images", "domains"]


def test_the_counts_are_the_sums_of_their_sources(root):
    for name in published():
        protocol = load_protocol(name)
        parts = [part(source.dataset, source.split_set) for source in protocol.sources]
        domains = [
            load_dataset(source.dataset).expect["cameras"] if source.domain_by == "camera" else 1
            for source in protocol.sources
        ]
        images = sum(n for _, n in parts)
        assert REMEMBERED.get(name, images) == images, name
        assert protocol.expect == {
            "ids": sum(ids for ids, _ in parts), "domains": sum(domains),
        } | ({} if name in REMEMBERED else {"images": images}), name  # fmt: skip


def test_the_drawn_leave_one_out_counts_add_up(root):
    protocol = load_protocol("miniature_m3l")
    drawn = [load_dataset(source.dataset).expect for source in protocol.sources]
    assert sum(each.get("trainval_images", each.get("train_images")) for each in drawn) == 800
    assert protocol.expect["images"] == 800
    (target,), searched = protocol.targets, load_dataset(protocol.targets[0].dataset).expect
    assert target.expect == {role: searched[f"{role}_images"] for role in ("query", "gallery")}


def test_targets_have_their_standard_counts(root):
    for name in published():
        for target in load_protocol(name).targets:
            assert tuple(target.expect.values()) == TARGETS[target.split_set], (name, target.name)


def test_target_counts_are_those_of_the_data_sets(root):
    market, duke, msmt = (load_dataset(name).expect for name in ("market1501", "dukemtmc", "msmt17"))
    assert TARGETS["market1501/official"] == (
        market["query_images"],
        market["gallery_images"] - market["junk"],
    )
    assert TARGETS["dukemtmc/official"] == (duke["query_images"], duke["gallery_images"])
    assert TARGETS["msmt17/official"] == (msmt["query_images"], msmt["gallery_images"])
    for variant, dataset in (("detected", "cuhk03"), ("labeled", "cuhk03_labeled")):
        _, train = PARTS[dataset, f"cuhk03/np_{variant}"]
        assert sum(TARGETS[f"cuhk03/np_{variant}"]) + train == load_dataset(dataset).expect["images"]
    both = [load_dataset(name).expect["images"] for name in ("cuhk03", "cuhk03_labeled", "cuhk03_both")]
    assert both[0] + both[1] == both[2]


def test_what_papers_leave_open_is_stated(root):
    for name in published():
        protocol = load_protocol(name)
        used = {piece.dataset for piece in (*protocol.sources, *protocol.targets)}
        said = " ".join(protocol.choices)
        assert not {"msmt17", "msmt17_v1"} & used or "msmt17_version" in said, name
        assert not any(dataset.startswith("cuhk03") for dataset in used) or "cuhk03" in said, name
        assert not any(s.split_set == "msmt17/official_with_val" for s in protocol.sources) or "val" in said
