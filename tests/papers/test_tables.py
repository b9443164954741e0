import itertools
import math
import re

import pytest

from dgreid import params
from dgreid.papers import reference
from dgreid.papers import tables as papers
from dgreid.papers.measured import Selector
from dgreid.runs.config import load_run
from dgreid.runs.recorded import expected_name
from helpers import tiny
from helpers.metrics import BIG, RESNET, dg, protocol_run


def cells_of(known, name, metrics):
    return papers.cells(papers.describe(name), known, metrics)


def at(frame, row, target, measure, **more):
    found = frame[(frame["row"] == row) & (frame["target"] == target) & (frame["measure"] == measure)]
    for key, value in more.items():
        found = found[found[key] == value]
    assert len(found) == 1, found
    return found.iloc[0]


def test_every_published_number_has_its_place_in_a_table(known):
    published = {place for place in known.published if not place[4].endswith("_gain")}
    shown = set()
    for name in papers.names():
        frame, here = cells_of(known, name, []), set()
        for cell in frame.itertuples():
            place = (cell.document, cell.table, str(cell.row), cell.target, cell.measure)
            if cell.target == "*":
                place = (*place[:3], known.rows[place[:3]][0]["target"], cell.measure)
            if not math.isnan(cell.number):
                assert place not in here and known.published[place]["number"] == cell.number
                here.add(place)
        shown |= here
    assert shown == published


@pytest.mark.parametrize(
    ("name", "row", "numbers"),
    [  # typed from the documents
        (
            "metabin_t1",
            1,
            "47.5 57.9 51.2 70.2 76.0 60.1 39.2 67.0 76.7 52.0 29.3 53.3 65.8 41.1 70.2 89.7 94.5 78.4",
        ),
        ("metabin_t1", 9, "62.7 - 59.4 - - - 69.6 - - - 43.7 - - - 78.2 - - -"),
        ("metabin_t2", 9, "55.2 69.0 74.4 33.1 69.2 83.1 87.8 35.9"),
        ("metabin_t4", 9, "58.4 66.3"),
        ("metabin_t5", 3, "57.6 61.8 82.6 57.2"),
        (
            "metabin_s1",
            7,
            "68.3 75.8 62.4 70.7 74.1 81.9 53.3 61.9 83.5 88.8 2,048 155 75,712 58.30M 12,665 5.92",
        ),
        ("m3l_t1", 4, "4,101 126,441 15"),
        ("m3l_t2", 5, "MS+D+C 3,110 75,406 35.6 65.7 MS+M+C 3,159 71,820 47.1 66.1"),
        ("m3l_t2", 8, "Com-MS 4,101 126,441 22.6 25.3 D 702 16,522 8.9 29.0"),
        ("m3l_t3", 5, "49.0 75.0 31.0 31.8"),
        ("m3l_t5", 4, "40.9_(3.2) 69.3_(2.3) 23.9_(2.7) 24.3_(3.4)"),
        ("m3l_t6", 2, "MS+C 39.8 65.8 MS+M 27.1 27.8"),
        ("lda_p1", 2, "67.3 57.7 54.2 46.8 64.6 56.6 90.2 85.0 62.0 61.5"),
        ("lda_p23", 10, "32.3 33.8 16.2 36.9 61.2 81.2 36.6 50.6"),
    ],
)
def test_a_row_reads_as_published(known, name, row, numbers):
    frame = cells_of(known, name, [])
    texts = [text.replace(" ", "_") for text in frame[frame["row"] == row]["printed"]]
    assert " ".join(texts) == numbers


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


def test_every_mark_is_shown_in_some_table(known):
    marks = reference.marks(reference.results())
    shown = {mark for name in papers.names() for mark in cells_of(known, name, [])["mark"]}
    assert all(any(text in mark for mark in shown) for text in marks["explanation"])


def test_the_runs_that_tables_name_are_configured(root):
    rows = [row for name in papers.names() for part in papers.describe(name).parts for row in part.rows]
    selectors = {Selector.parse(text) for row in rows for text in row.runs}
    assert {selector.backbone for selector in selectors} <= set(params.names("backbone"))
    missing = {selector.method for selector in selectors} - set(params.names("method"))
    for selector in selectors:
        if selector.words and selector.method not in missing:  # the words are understood, and name the run
            words = [f"method={selector.method}", f"backbone={selector.backbone}", "protocol=miniature"]
            made = load_run([*words, *selector.words])
            node = {
                "method": selector.method,
                "backbone": selector.backbone,
                "protocol": "miniature",
                "seed": 0,
            }
            assert made.run == expected_name(node, selector.words)
    if missing:
        pytest.skip(f"not configured: {', '.join(sorted(missing))}")


# runs that stand in a matrix for comparison, without a published counterpart
UNPUBLISHED = {
    *[("erm_m3l", "m3l_"), ("erm_m3l", "lda_p"), ("erm_pooled", "metabin_")],
    *[("snr", "m3l_"), ("snr", "lda_p1")],  # the papers have SNR from other sources there
}


def runs_of_matrices():
    """Every run of the selections that are named after a table, as if on full data."""
    for name in tiny.names("matrices"):
        if not re.match(r"metabin_table|metabin_cross|m3l_table|lda_p|competitors", name):
            continue
        for block in tiny.read("matrices", name)["blocks"]:
            axes = (block["methods"], block["backbones"], block["protocols"])
            for method, backbone, protocol in itertools.product(*axes):
                proposed = tiny.read("protocol", protocol)
                settings = {key: block.get(key, proposed[key]) for key in ("recipe", "image")}
                words = [f"{key}={value}" for key, value in settings.items() if value != proposed[key]]
                names = [target["name"] for target in proposed["targets"]]
                for changed in block.get("changes", [[]]):
                    more = (*changed, *words)
                    scores = [50.0] * len(names)
                    yield protocol_run(method, backbone, protocol, names, scores, words=more, **settings)


def test_what_the_selections_of_a_table_run_is_shown_in_a_table(known):
    made = list(runs_of_matrices())
    assert len(made) > 100
    shown = set()
    for name in papers.names():
        frame = cells_of(known, name, made)
        for cell in frame[frame["comparable"]].itertuples():
            shown |= {(cell.method, cell.backbone, protocol) for protocol in cell.protocol.split("+")}
    lost = {(node["method"], node["backbone"], node["protocol"]) for node in made} - shown
    assert {
        (method, backbone, protocol)
        for method, backbone, protocol in lost
        if not any(method == left and protocol.startswith(start) for left, start in UNPUBLISHED)
    } == set()
