"""Contradictions between published numbers are found, and each of those in data/reference is explained."""

import shutil

import pandas as pd
import pytest

from dgreid.papers import audit, reference
from dgreid.papers.reference import PLACE
from dgreid.paths import REFERENCE
from helpers.papers import places


@pytest.fixture
def cells(root):
    return reference.results()


def test_averages_recompute_but_for_the_known_misprints(cells):
    recomputed = audit.averages(cells)
    assert len(recomputed) == 90
    off = recomputed[recomputed["difference"].abs() > 0.06]
    found = {(line.document, line.table, line.row, line.metric): line.difference for line in off.itertuples()}
    assert found == {
        ("lda", "P1", "2", "mAP"): pytest.approx(-7.075),  # RaMoE: printed 62.0, the cells give 69.1
        ("lda", "P1", "9", "mAP"): pytest.approx(0.15),  # LDA: 74.7 against 74.55
        ("lda", "P1", "9", "rank1"): pytest.approx(0.225),  # LDA: 67.1 against 66.875
    }


def test_the_recomputed_list_is_that_of_the_cells(cells):
    recomputed = audit.averages(cells).set_index(["document", "table", "row", "metric"])
    listed = pd.read_csv("data/reference/averages_recomputed.csv", dtype={"row": str})
    listed = listed.dropna(subset="mean_of_cells").set_index(["document", "table", "row", "metric"])
    assert len(listed) == 90
    ours = recomputed.loc[listed.index]
    assert (listed["printed"] == ours["printed"]).all()
    assert (listed["mean_of_cells"] - ours["mean"]).abs().max() < 5e-4


def test_what_recomputation_finds_is_marked_and_what_is_marked_is_found(cells):
    marks = reference.marks(cells)
    computed = marks[marks["kind"].isin(audit.CHECKS)]
    assert places(audit.findings(cells), "kind") == places(computed, "kind")
    assert set(marks["kind"]) - set(audit.CHECKS) == {"files", "copy", "memory", "parameters", "quoted"}
    assert marks["explanation"].str.endswith(".").all()


def test_ranks_rise_and_step_map_lies_within_its_bounds(cells):
    # one match per query: mAP is a mean of 1/rank, so the CMC bounds it; a swapped column would show
    assert len(audit.bounded(cells)) == 123
    assert audit.falling_ranks(cells).empty and audit.impossible_precisions(cells).empty


def test_the_checks_see_what_they_are_for(cells):
    def changed(row, **values):
        frame = cells.copy()
        at = frame[(frame[PLACE] == pd.Series(row, index=PLACE)).all(axis=1)].index
        assert len(at) == 1
        for key, value in values.items():
            frame.loc[at, key] = value
        return frame

    place = ("metabin", "T1", "7", "viper", "rank5")
    assert places(audit.falling_ranks(changed(place, number=56.0))) == {(*place[:4], "rank1")}
    place = ("metabin", "T1", "10", "prid", "mAP")  # as if rank-1 and mAP had changed places
    assert places(audit.impossible_precisions(changed(place, number=74.2))) == {place}
    place = ("metabin", "T6", "3", "average", "mAP")
    assert place in places(audit.wrong_averages(changed(place, number=67.6)))
    assert place not in places(audit.wrong_averages(cells))
    place = ("m3l", "T5", "4", "cuhk03", "rank1_gain")
    assert places(audit.wrong_gains(changed(place, number=3.5))) == {place}
    place = ("m3l", "T6", "1", "cuhk03", "mAP")
    assert places(audit.hollow_bold(changed(place, best="true"))) - places(audit.hollow_bold(cells)) == {
        place
    }
    assert audit.wrong_sums(changed(("m3l", "T2", "9", "msmt17", "images"), number=55721.0)).empty


def test_the_sources_of_m3l_add_up_but_for_one(cells):
    assert audit.source_sums(cells, "ids") == (2820, 2820)
    assert audit.source_sums(cells, "images") == (55748, 55721)


def test_a_typing_error_is_reported_until_a_mark_explains_it(root, tmp_path):
    assert audit.unexplained() == []
    for name in ("paper_results.csv", "marks.csv"):
        shutil.copy(REFERENCE / name, tmp_path / name)
    numbers = pd.read_csv(tmp_path / "paper_results.csv", dtype=str, keep_default_na=False)
    place = ("metabin", "T6", "3", "average", "mAP")
    numbers.loc[(numbers[PLACE] == pd.Series(place, index=PLACE)).all(axis=1), "value"] = "99.9"
    numbers.to_csv(tmp_path / "paper_results.csv", index=False)
    sentences = audit.unexplained(tmp_path)
    assert sentences[0] == (
        "data/reference/paper_results.csv: metabin T6 3 average mAP is not the mean of its row; compare it "
        "with the paper, and explain a misprint in marks.csv."
    )
    with (tmp_path / "marks.csv").open("a") as file:
        file.write(f"{','.join(place)},average,Printed so.\n")
    assert sentences[0] not in audit.unexplained(tmp_path)
