"""Which runs measure a row of a paper's table, and their scores over seeds."""

import math

import pytest

from dgreid import params
from dgreid.papers import tables as papers
from dgreid.papers.measured import Selector, by_protocol
from dgreid.runs.config import load_run
from dgreid.runs.recorded import expected_name
from helpers.metrics import BIG, RESNET, dg, protocol_run
from helpers.papers import cells_of


def at(frame, row, target, measure, **more):
    found = frame[(frame["row"] == row) & (frame["target"] == target) & (frame["measure"] == measure)]
    for key, value in more.items():
        found = found[found[key] == value]
    assert len(found) == 1, found
    return found.iloc[0]


def test_mean_deviation_and_difference_over_seeds(known):
    metrics = [dg(), dg(seed=1, scores=(59.0, 73.0, 50.0, 80.0))]
    frame = cells_of(known, "metabin_t1", metrics)
    cell = at(frame, 7, "viper", "rank1")
    assert (cell.printed, cell["mean"], cell.seeds, cell.splits) == ("56.9", 58.0, 2, 2)
    assert cell.std_seeds == pytest.approx(math.sqrt(2)) and cell.std_splits == 2.0
    assert cell.difference == pytest.approx(1.1) and cell.comparable
    average = at(frame, 7, "average", "mAP")
    assert average["mean"] == pytest.approx((57 + 59) / 8 + (73 + 50 + 80) / 4 + 5)
    assert math.isnan(average.std_splits)  # an average has no splits of its own
    assert at(frame, 10, "viper", "rank1").method == ""  # another backbone


def test_what_is_not_the_papers_run_is_never_compared(known):
    alike = {
        "partial": dg(data="partial"),
        "miniature": dg(backbone="resnet_tiny", data="miniature")
        | {"protocol": "miniature", "run": "metabin-resnet_tiny-miniature-s0"},
    }
    for data, metrics in alike.items():
        frame = cells_of(known, "metabin_t1", [metrics])
        measured = frame[frame["method"] != ""]
        assert len(measured) and set(measured["data"]) == {data}
        assert not measured["comparable"].any() and measured["difference"].isna().all()


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "mobilenet_v2_x1_0"},
        {"words": ("method.margin=0.5",)},
        {"words": ("recipe=open_small",)},
        {"method": "metabin_bin"},
    ],
)
def test_other_runs_do_not_fill_a_row(known, change):
    frame = cells_of(known, "metabin_t1", [dg(**change)])
    assert (frame["method"] == "").all()


def test_a_row_may_name_changes_and_a_budget(known):
    def filled(text, made):
        table = papers.describe("metabin_t5").model_dump()
        table["parts"][0]["rows"] = [{"row": 2, "label": ["IN"], "runs": [text]}]
        frame = papers.cells(papers.Description(**table), known, [made])
        return at(frame, 2, "average", "rank1").method != ""

    words = ("method.base_sampler=pk",)
    assert filled(f"erm_in/{BIG} method.base_sampler=pk", dg("erm_in", words=words))
    assert not filled(f"erm_in/{BIG} method.base_sampler=pk", dg("erm_in"))
    assert not filled(f"erm_in/{BIG}", dg("erm_in", words=words))
    other = dg("erm_in", words=("recipe=long",), recipe="long")
    assert filled(f"erm_in/{BIG} recipe=long", other) and not filled(f"erm_in/{BIG}", other)
    proposed = dg("erm_in", recipe="long")  # by its protocol: then it is not in the run's name
    assert filled(f"erm_in/{BIG} recipe=long", proposed) and not filled(
        f"erm_in/{BIG} recipe=short", proposed
    )


def test_an_average_over_protocols_needs_them_all(known):
    parts = {"lda_p2_cuhk03": "CUHK03", "lda_p2_msmt17": "MSMT17", "lda_p2_market": "Market"}
    runs = [
        protocol_run("metabin", RESNET, protocol, (target,), (score,), recipe="metabin")
        for (protocol, target), score in zip(parts.items(), (30.0, 40.0, 80.0), strict=True)
    ]
    frame = cells_of(known, "lda_p23", runs)
    assert at(frame, 4, "average", "rank1")["mean"] == 50
    assert at(frame, 11, "average", "rank1").method == ""  # Protocol-3 was not run
    frame = cells_of(known, "lda_p23", runs[:2])
    assert at(frame, 4, "average", "rank1").method == "" and at(frame, 4, "cuhk03", "mAP")["mean"] == 35


def test_memory_is_a_run_s_and_of_a_gpu(known):
    cost = {"seconds": 1.0, "peak_memory_bytes": 7000 * 2**20, "device": "cuda"}
    frame = cells_of(known, "metabin_t6", [dg(backbone=RESNET, cost=cost)])
    assert at(frame, 5, "", "memory_mib").difference == 7000 - 6885
    cost["device"] = "cpu"  # memory of another kind
    frame = cells_of(known, "metabin_t6", [dg(backbone=RESNET, cost=cost)])
    assert at(frame, 5, "", "memory_mib").method == ""


def test_the_runs_that_tables_name_are_configured(root):
    rows = [row for name in papers.names() for part in papers.describe(name).parts for row in part.rows]
    selectors = {Selector.parse(text) for row in rows for text in row.runs}
    assert {selector.backbone for selector in selectors} <= set(params.names("backbone"))
    missing = {selector.method for selector in selectors} - set(params.names("method"))
    for selector in selectors:
        if selector.overrides and selector.method not in missing:  # overrides name the run
            words = [f"method={selector.method}", f"backbone={selector.backbone}", "protocol=miniature"]
            made = load_run([*words, *selector.overrides])
            node = {
                "method": selector.method,
                "backbone": selector.backbone,
                "protocol": "miniature",
                "seed": 0,
            }
            assert made.run == expected_name(node, selector.overrides)
    if missing:
        pytest.skip(f"not configured: {', '.join(sorted(missing))}")


@pytest.mark.parametrize(
    ("text", "method", "backbone", "words"),
    [
        ("erm/resnet50", "erm", "resnet50", ()),
        ("m3l/x method.std=deviation recipe=long", "m3l", "x", ("method.std=deviation", "recipe=long")),
        ("erm/resnet50 'method.losses=[a, b]'", "erm", "resnet50", ("method.losses=[a, b]",)),
    ],
)  # fmt: skip
def test_an_entry_names_method_backbone_and_overrides(text, method, backbone, words):
    assert Selector.parse(text) == Selector(method, backbone, words)
    assert Selector.parse(text).own == tuple(word for word in words if word.startswith("method."))


def test_a_stand_in_may_have_another_backbone_but_no_other_overrides():
    selector = Selector.parse(f"metabin/{BIG} method.margin=0.5 recipe=long")
    other = dg(backbone="resnet_tiny", words=("method.margin=0.5",))
    assert selector.matches(other, stand_in=True) and not selector.matches(other, stand_in=False)
    assert not selector.matches(dg(backbone="resnet_tiny"), stand_in=True)


def test_runs_are_indexed_by_method_and_protocol():
    runs = [dg(), dg("erm"), dg(seed=1)]
    assert by_protocol(runs) == {
        ("metabin", "metabin_dg"): [runs[0], runs[2]],
        ("erm", "metabin_dg"): [runs[1]],
    }
