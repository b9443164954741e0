import itertools
import math
import re

import pytest

from dgreid.papers import reference
from dgreid.papers import tables as papers
from helpers import tiny
from helpers.metrics import protocol_run
from helpers.papers import cells_of


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


def test_every_mark_is_shown_in_some_table(known):
    marks = reference.marks(reference.results())
    shown = {mark for name in papers.names() for mark in cells_of(known, name, [])["mark"]}
    assert all(any(text in mark for mark in shown) for text in marks["explanation"])


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
