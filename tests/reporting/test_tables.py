import math

import pytest

from dgreid.errors import UserError
from dgreid.reporting import tables
from dgreid.reporting.differences import by_target
from dgreid.sheets import latex, markdown
from helpers.formats import check_latex


@pytest.fixture
def content(make, blocks):
    runs = [make("erm", 0, 40.0), make("erm", 1, 44.0), make("metabin", 0, 45.0), make("metabin", 1, 50.0)]
    return blocks(runs)


def text_of(content):
    return markdown(tables.sheets("Toy", content))


def cells(text, title):
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_average_seeds_and_say_how_many(content):
    (block,) = content
    row = block.rows[0]
    assert (row.title, row.seeds, row.provenance) == ("BN baseline", (0, 1), "baseline")
    assert row.scores["VIPeR", "rank1"].mean == 42
    assert row.scores["VIPeR", "rank1"].deviation == pytest.approx(math.sqrt(8))  # ddof 1: +-2 around 42


def test_runs_with_changes_have_a_row_of_their_own(make, blocks):
    runs = [make("metabin", 0, 45.0), make("metabin", 1, 90.0) | {"changes": ["method.margin=0.5"]}]
    (block,) = blocks(runs)
    assert [row.title for row in block.rows] == ["metabin", "metabin, margin=0.5"]
    assert [row.scores["VIPeR", "rank1"].mean for row in block.rows] == [45, 90]


def test_rows_that_only_their_recipe_tells_apart_name_it(make, blocks):
    runs = [make("metabin", 0, 45.0), make("bin", 0, 40.0)]
    runs.append(make("metabin", 0, 60.0) | {"run": "metabin-tiny-toy-s0-abc", "recipe": "long"})
    (block,) = blocks(runs)
    assert [row.title for row in block.rows] == ["metabin, recipe quick", "bin", "metabin, recipe long"]


def test_markdown_names_the_data_kind_and_every_column(content):
    text = text_of(content)
    assert text.startswith("# Toy: miniature data, protocol toy\n")
    head = cells(text, "Method")
    assert head[:6] == ["Method", "Backbone", "Provenance", "Seeds", "Average R-1", "Average mAP"]
    assert head[6:10] == ["VIPeR R-1", "VIPeR R-5", "VIPeR R-10", "VIPeR mAP"]
    row = cells(text, "metabin")
    assert row[:5] == ["metabin", "tiny_net", "as released", "2", "47.5 ± 3.5"]
    assert len(row) == len(head)


def test_one_seed_has_no_deviation(make, blocks):
    runs = [make("erm", 0, 40.0)]
    text = text_of(blocks(runs))
    row = cells(text, "BN baseline")
    assert row[3:5] == ["1", "40.0"]
    assert "Against the baseline" not in text


def test_a_difference_is_paired_over_seeds(content):
    same = by_target(content[0].gaps)
    assert [gap.target for gap, _ in same] == ["VIPeR", "i_LIDS", "Average"]
    gap = same[0][0]
    assert gap.seeds == 2 and gap.difference == 5.5  # +5 for seed 0, +6 for seed 1: splits are no replicates
    assert gap.seeds_high - 5.5 == pytest.approx(12.7062 * 0.5, abs=1e-3)  # t, one degree of freedom
    assert tables.gap_text(same[0]) == "R-1 +5.5 [-0.9, +11.9], mAP +5.5 [-0.9, +11.9] (2 seeds)"
    assert "- metabin - BN baseline, tiny_net, VIPeR: R-1 +5.5" in text_of(content)


def test_a_method_is_compared_only_where_the_baseline_has_the_seed(make, blocks):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 41.0), make("metabin", 1, 90.0)]
    (block,) = blocks(runs)
    assert block.gaps[0].difference == 1.0


def test_published_rows_have_a_table_of_their_own_and_are_called_not_comparable(content):
    own, published = text_of(content).split("## Published in the MetaBIN paper, Table 1")
    assert "64.7" not in own
    assert "not comparable" in published and "miniature data" in published
    row = cells(published, "MetaBIN")
    assert row[2:8] == ["64.7", "72.3", "56.9", "76.7", "82.0", "66.0"]
    assert cells(published, "AugMining")[3] == "-"


def test_only_full_data_of_the_papers_protocol_are_comparable(make, blocks):
    def note(**what):
        run = make("erm", 0, 40.0, **what)
        return blocks([run])[0].note

    assert "not comparable" in note(data="partial", protocol="metabin_dg")
    assert "not comparable" in note(data="full", protocol="open_small")
    assert "same data" in note(data="full", protocol="metabin_dg")


def test_kinds_are_never_mixed(make, blocks):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 40.0, data="partial")]
    with pytest.raises(UserError, match="miniature and partial"):
        blocks(runs)


def test_the_frame_has_both_average_precisions_and_the_kind_on_every_line(content):
    frame = tables.frame(content)
    assert list(frame.columns) == tables.FRAME
    assert set(frame["data"]) == {"miniature", "printed"}
    mine = frame[(frame["title"] == "metabin") & (frame["target"] == "VIPeR")]
    assert mine.set_index("measure")["mean"].to_dict() == {
        "rank1": 47.5,
        "rank5": 57.5,
        "rank10": 67.5,
        "mAP": 52.5,
        "mAP_trapezoid": 49.5,
        "mINP": 52.5,
    }


def test_latex_is_balanced_and_escaped(content):
    text = latex(tables.sheets("Toy & 100 %", content))
    check_latex(text)
    assert r"Toy \& 100 \%" in text and r"tiny\_net" in text and "±" not in text
    assert r"\multicolumn{4}{c}{i\_LIDS}" in text


def test_table_one_has_its_ten_rows(root):
    rows = tables.published()
    assert [row.title for row in rows].count("MetaBIN") == 2 and len(rows) == 10
    assert rows[6].scores["VIPeR", "rank1"].mean == 56.9
