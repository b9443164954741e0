import csv
import io
import math

import pytest

from dgreid.errors import UserError
from dgreid.reporting import latex, tables


@pytest.fixture
def content(root, make, select):
    runs = [make("erm", 0, 40.0), make("erm", 1, 44.0), make("metabin", 0, 45.0), make("metabin", 1, 50.0)]
    return tables.blocks(select(runs), {run["run"]: run for run in runs})


def cells(text, title):
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_average_seeds_and_say_how_many(content):
    (block,) = content
    row = block.rows[0]
    assert (row.title, row.seeds, row.provenance) == ("BN baseline", (0, 1), "baseline")
    assert row.scores["VIPeR", "rank1"].mean == 42
    assert row.scores["VIPeR", "rank1"].deviation == pytest.approx(math.sqrt(8))  # ddof 1: +-2 around 42


def test_markdown_names_the_data_kind_and_every_column(content):
    text = tables.markdown("Toy", content)
    assert text.startswith("# Toy: miniature data, protocol toy\n")
    head = cells(text, "Method")
    assert head[:6] == ["Method", "Backbone", "Provenance", "Seeds", "Average R-1", "Average mAP"]
    assert head[6:10] == ["VIPeR R-1", "VIPeR R-5", "VIPeR R-10", "VIPeR mAP"]
    row = cells(text, "metabin")
    assert row[:5] == ["metabin", "tiny_net", "as released", "2", "47.5 ± 3.5"]
    assert len(row) == len(head)


def test_one_seed_has_no_deviation(root, make, select):
    runs = [make("erm", 0, 40.0)]
    text = tables.markdown("Toy", tables.blocks(select(runs), {runs[0]["run"]: runs[0]}))
    row = cells(text, "BN baseline")
    assert row[3:5] == ["1", "40.0"]
    assert "Against the baseline" not in text


def test_gain_is_paired_over_seeds_and_splits(content):
    gains = content[0].gains
    assert [gain.target for gain in gains] == ["VIPeR", "i_LIDS"]
    gap = gains[0].measures["rank1"]
    assert gap.pairs == 6 and gap.mean == 5.5  # +5 for seed 0, +6 for seed 1, three splits each
    # Student's t, 5 degrees of freedom: 2.5706 x sqrt(0.3 / 6)
    assert gap.high - gap.mean == pytest.approx(2.5706 * math.sqrt(0.05), abs=1e-3)
    assert tables.gain_text(gains[0]).endswith("(6 pairs)")


def test_a_method_is_compared_only_where_the_baseline_has_the_seed(root, make, select):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 41.0), make("metabin", 1, 90.0)]
    (block,) = tables.blocks(select(runs), {run["run"]: run for run in runs})
    assert block.gains[0].measures["rank1"].mean == 1.0


def test_printed_rows_stand_apart_and_are_called_not_comparable(content):
    text = tables.markdown("Toy", content)
    own, printed = text.split("## Printed in the MetaBIN paper, Table 1")
    assert "64.7" not in own
    assert "not comparable" in printed and "miniature data" in printed
    row = cells(printed, "MetaBIN")
    assert row[2:8] == ["64.7", "72.3", "56.9", "76.7", "82.0", "66.0"]
    assert cells(printed, "AugMining")[3] == "-"


def test_only_full_data_of_the_papers_protocol_are_comparable(root, make, select):
    def note(**what):
        run = make("erm", 0, 40.0, **what)
        return tables.blocks(select([run]), {run["run"]: run})[0].note

    assert "not comparable" in note(data="partial", protocol="metabin_dg")
    assert "not comparable" in note(data="full", protocol="open_small")
    assert "same data" in note(data="full", protocol="metabin_dg")


def test_kinds_are_never_mixed(root, make, select):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 40.0, data="partial")]
    with pytest.raises(UserError, match="miniature and partial"):
        tables.blocks(select(runs), {run["run"]: run for run in runs})


def test_csv_has_both_average_precisions_and_the_kind_on_every_line(content):
    lines = list(csv.DictReader(io.StringIO(tables.tidy(content))))
    assert {line["data"] for line in lines} == {"miniature", "printed"}
    found = {
        line["measure"]: float(line["mean"])
        for line in lines
        if (line["title"], line["target"]) == ("metabin", "VIPeR")
    }
    assert found == {
        "rank1": 47.5,
        "rank5": 57.5,
        "rank10": 67.5,
        "mAP": 52.5,
        "mAP_trapezoid": 49.5,
        "mINP": 52.5,
    }


def test_latex_is_balanced_and_escaped(content):
    text = latex.latex("Toy & 100 %", content)
    assert r"Toy \& 100 \%" in text and r"tiny\_net" in text and "±" not in text
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 2
    assert r"\toprule" in text and r"\multicolumn{4}{c}{i\_LIDS}" in text
    for table in text.split(r"\begin{tabular}")[1:]:
        columns = table[table.index("{") + 1 : table.index("}")]
        for line in table.split("\n"):
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert line.count(" & ") == len(columns) - 1
