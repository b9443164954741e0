import re

import pytest

from dgreid.papers import comparison
from dgreid.papers import tables as papers
from dgreid.sheets import html, latex, markdown
from helpers import tiny
from helpers.formats import Outline, check_latex
from helpers.metrics import BIG, RESNET, dg, protocol_run


def test_two_directions_share_a_row(known):
    runs = [
        protocol_run("metabin_m2d", RESNET, "metabin_m2d", ("Duke",), (55.0,), title="MetaBIN"),
        protocol_run("metabin_d2m", RESNET, "metabin_d2m", ("Market",), (70.0,), title="MetaBIN"),
    ]
    table = papers.describe("metabin_t2")
    frame = papers.cells(table, known, runs)
    (sheet,) = comparison.sheets(table, frame, {})
    (measured,) = [line for line in sheet.lines if line.kind == "measured"]
    (gap,) = [line for line in sheet.lines if line.kind == "difference"]
    assert [cell.text for cell in measured.cells[3:]] == [
        "55.0",
        "65.0",
        "75.0",
        "60.0",
        *("70.0", "80.0", "90.0", "75.0"),
    ]
    assert gap.cells[3].text == "-0.2" and gap.cells[-1].text == "+39.1"


def test_full_runs_stand_below_their_row_and_others_apart(known):
    small = dg(backbone="resnet_tiny", data="miniature", scores=(11.0, 12.0, 13.0, 14.0))
    small |= {"protocol": "miniature", "run": "metabin-resnet_tiny-miniature-s0"}
    table = papers.describe("metabin_t1")
    metrics = [dg(seed=seed) for seed in (0, 1)] + [small]
    sheets = comparison.sheets(table, papers.cells(table, known, metrics), comparison.methods())
    text = markdown(sheets)
    own, beside = text.split(
        "## Not comparable with the paper: miniature data, protocol miniature (VIPeR, PRID"
    )
    rows = [re.split(r" +\| +", row.strip("| ")) for row in own.splitlines() if row.startswith("|")]
    number = next(i for i, row in enumerate(rows) if row[0] == "MetaBIN")
    assert rows[number][1:4] == ["published", "as released: metabin; as written: metabin_paper", "**64.7**"]
    assert rows[number + 1][:3] == [
        "measured",
        f"as released: metabin, {BIG}, full data, recipe quick, 2 seeds",
        "65.0 ± 0.0",
    ]
    assert rows[number + 2][:2] == ["over splits", "standard deviation, mean over seeds"]
    assert [line.cells[5].text for line in sheets[0].lines if line.kind == "spread"] == ["2.0"]
    assert rows[number + 3][:3] == ["difference", "measured - published", "+0.3"]
    assert "11.0" not in own and "11.0" in beside and "64.7" not in beside and "difference" not in beside
    check_latex(latex(sheets))
    assert len(set(Outline(html(sheets[:1])).widths)) == 1


def test_marked_values_carry_their_explanation(known):
    table = papers.describe("lda_p1")
    text = markdown(comparison.sheets(table, papers.cells(table, known, []), {}))
    assert "| 62.0 [a] | 61.5 |" in text
    assert "- [a] Published: 62.0; the mean of the row's four cells (67.3, 54.2, 64.6, 90.2) is 69.1." in text
    for name in papers.names():
        frame = papers.cells(papers.describe(name), known, [])
        marked = {explanation for explanation in frame["mark"] if explanation}
        text = markdown(comparison.sheets(papers.describe(name), frame, {}))
        assert all(explanation in text for explanation in marked)


@pytest.mark.parametrize("name", tiny.names("tables"))
def test_a_table_renders_without_runs(known, name):
    table = papers.describe(name)
    sheets = comparison.sheets(table, papers.cells(table, known, []), comparison.methods())
    assert len(sheets) == len(table.parts)
    for sheet in sheets:
        check_latex(latex([sheet]))
        assert len(set(Outline(html([sheet])).widths)) == 1
        assert "No run of this project measures any row" in sheet.introduction
    quoted = [row for part in table.parts for row in part.rows if not row.runs]
    assert markdown(sheets).count("| quoted only |") == len(quoted)
