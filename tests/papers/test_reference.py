"""The papers' published numbers: all are there as published, misprints included."""

import pandas as pd
import pytest

from dgreid.errors import UserError
from dgreid.papers import reference
from dgreid.papers.reference import CONDITION, PLACE
from dgreid.protocols.config import load_protocol
from helpers.papers import places

COUNTS = {  # published numbers per table, counted in the documents
    ("metabin", "T1"): 154,
    ("metabin", "T2"): 64,
    ("metabin", "T3"): 16,
    ("metabin", "T4"): 24,
    ("metabin", "T5"): 24,
    ("metabin", "T6"): 112,
    ("metabin", "S1"): 112,
    ("m3l", "T1"): 12,
    ("m3l", "T2"): 60,  # 44 scores, and the ids and images of eight sources
    ("m3l", "T3"): 24,
    ("m3l", "T4"): 12,
    ("m3l", "T5"): 36,  # 24 scores and 12 gains in parentheses
    ("m3l", "T6"): 12,
    ("lda", "P1"): 86,
    ("lda", "P23"): 112,
}


@pytest.fixture
def cells(root):
    return reference.results()


def test_every_table_has_all_its_numbers_once(cells):
    assert cells.groupby(["document", "table"]).size().to_dict() == COUNTS
    assert len(places(cells)) == len(cells)


def test_sizes_agree_with_the_list_of_data_sets(cells):
    listed = pd.read_csv("data/reference/dataset_statistics.csv").set_index("dataset")
    sizes = cells[cells["metric"].isin(["ids", "images", "cameras"])]
    assert len(sizes) == 12 + 16
    short = {"ComMS": "ComMS", "D": "D (train)"}
    for cell in sizes.itertuples():
        name = short.get(cell.sources, cell.sources) or cell.target
        assert listed.loc[name, cell.metric] == cell.number, cell


def test_the_same_condition_has_the_same_number_everywhere(cells):
    def number(*place):
        (value,) = cells[(cells[PLACE] == pd.Series(place, index=PLACE)).all(axis=1)]["value"]
        return value

    for table, row in (("T3", "8"), ("T4", "12"), ("T5", "6"), ("T6", "2"), ("S1", "2"), ("T1", "7")):
        assert number("metabin", table, row, "average", "rank1") == "64.7"
    for table, row in (("T3", "3"), ("T4", "3"), ("T5", "6"), ("T6", "3"), ("T2", "6")):
        assert number("m3l", table, row, "market1501", "mAP") == "48.1"
    mine = cells[cells["document"] == "metabin"]
    supplement, paper = (mine[mine["table"] == table].reset_index() for table in ("S1", "T6"))
    assert (supplement[[*PLACE[2:], "value"]] == paper[[*PLACE[2:], "value"]]).all(axis=None)


def test_a_mark_of_nothing_is_refused(cells, tmp_path):
    line = "metabin,T1,77,grid,rank1,bold,No such row.\n"
    (tmp_path / "marks.csv").write_text("document,table,row,target,metric,kind,explanation\n" + line)
    with pytest.raises(UserError, match="nothing is published at 'metabin T1 77 grid rank1'"):
        reference.marks(cells, tmp_path)


def test_a_missing_file_says_how_to_get_it_back(tmp_path):
    with pytest.raises(UserError, match="git checkout"):
        reference.results(tmp_path)


def test_every_published_condition_has_a_protocol_and_target_of_the_project(cells):
    known = reference.conditions()
    same = known[known["role"] == "same"]
    measured = cells[(cells["protocol"] != "") & ~cells["target"].isin([""])]
    assert set(measured[CONDITION].itertuples(index=False, name=None)) == set(
        same[CONDITION].itertuples(index=False, name=None)
    )
    for line in known.itertuples():
        protocol = load_protocol(line.project_protocol)
        assert line.project_target in {target.name for target in protocol.targets}, line


@pytest.mark.parametrize(
    ("reference_id", "sources", "domains"),
    [
        ("metabin_dg", "M+D+C2+C3+CS", 5),
        ("lda_p1", "M+C2+C3+CS", 4),
        ("m3l_loo", "MS+D+M", 3),
        ("m3l_two_source", "MS+C3", 2),
        ("m3l_single_source", "ComMS", 1),
        ("lda_p2", "M+CS+C3", 3),
    ],
)
def test_a_protocol_trains_on_the_published_sources(root, reference_id, sources, domains):
    known = reference.conditions()
    mine = known[
        (known["protocol"] == reference_id) & (known["sources"] == sources) & (known["role"] == "same")
    ]
    (name,) = set(mine["project_protocol"])
    short = {"market1501": "M", "dukemtmc": "D", "cuhk02": "C2", "cuhk03": "C3", "cuhk03_both": "C3"}
    short |= {"cuhksysu": "CS", "msmt17": "ComMS" if "Com" in sources else "MS"}
    trained = {short[source.dataset] for source in load_protocol(name).sources}
    assert trained == set(sources.split("+")) and len(trained) == domains
