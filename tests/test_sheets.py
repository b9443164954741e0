import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.sheets import Cell, Column, Line, Sheet, csv, escape, html, latex, line, markdown, signed
from helpers.formats import Outline, check_latex

COLUMNS = (Column("Method", text=True), Column("R-1", "GRID_x"), Column("mAP", "GRID_x"), Column("Time"))
SHEET = Sheet(
    "A & B",
    COLUMNS,
    (
        Line((Cell("a|b*"), Cell("64.7", "a", bold=True), Cell("1 ± 2"), Cell("3")), "published"),
        line(["[c]", "5 %", "", "<i>"]),
    ),
    "What 100 % means.",
    (("a", "Wrong_here."), ("", "A note.")),
)


def test_markdown_repeats_the_group_and_keeps_marks():
    text = markdown([SHEET, SHEET])
    lines = text.splitlines()
    assert lines[0] == "# A & B" and lines.count("## A & B") == 1
    assert "| Method | GRID_x R-1 | GRID_x mAP | Time |" in lines
    assert "| --- | ---: | ---: | ---: |" in lines
    assert r"| a\|b\* | **64.7** [a] | 1 ± 2 | 3 |" in lines
    assert "- [a] Wrong_here." in lines and "- A note." in lines
    assert text.endswith("note.\n")


def test_html_is_well_formed_and_escaped():
    text = html([SHEET])
    assert Outline(text).widths == [4, 4, 4, 4]
    assert '<th colspan="2">GRID_x</th>' in text
    assert (
        '<tr class="published"><td class="text">a|b*</td><td class="first"><b>64.7</b><sup>a</sup></td>'
        in text
    )
    assert "A &amp; B" in text and "&lt;i&gt;" in text and "<i>" not in text


def test_latex_is_balanced_escaped_and_plain_ascii():
    text = latex([SHEET, SHEET])
    check_latex(text)
    assert r"\multicolumn{2}{c}{GRID\_x}" in text and r"\cmidrule(lr){2-3}" in text
    assert r"\textbf{64.7}\textsuperscript{a} & 1 $\pm$ 2" in text
    assert "\n{}[c] & 5 \\%" in text  # a bare bracket would be the option of the \\ before it


@given(st.text("ab \\{}$&%#_^~|<>*±→×✓β", max_size=12))
def test_any_text_survives_every_format(text):
    sheet = Sheet(
        text, (Column(text, text, text=True), Column("x")), (line([text, text]),), text, (("", text),)
    )
    check_latex(latex([sheet]))
    assert Outline(html([sheet])).widths[-1] == 2
    assert escape(text).isascii()
    row = markdown([Sheet("", sheet.columns, sheet.lines)]).splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_a_row_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="4 columns, but a row of 1"):
        Sheet("x", COLUMNS, (line(["a"]),))


EVIL = '<script src=x onerror="a">|[x](javascript:b)\n# heading\n| cell'


def test_no_format_carries_html_or_links_of_a_text():
    sheet = Sheet(
        EVIL, (Column(EVIL, EVIL, text=True),), (line([EVIL]), Line((Cell(EVIL, "a"),))), EVIL, (("a", EVIL),)
    )
    text = markdown([sheet])
    assert "<" not in text and "](" not in text
    rows = [each for each in text.splitlines() if each.startswith("|")]
    assert len(rows) == 4 and {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {2}
    assert len([each for each in text.splitlines() if each.startswith("#")]) == 1
    assert "<script" not in html([sheet])


@given(st.text("\\|*<x ", min_size=1, max_size=8))
def test_a_bar_never_ends_a_markdown_cell(text):
    row = markdown([Sheet("", (Column("x"),), (line([text]),))]).splitlines()[-1]
    inside = row.removeprefix("| ").removesuffix(" |")
    assert re.fullmatch(r"(?:\\.|[^|\\])*", inside)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(1)", "\t=1", "\r=1", "=HYPERLINK(1)"])
def test_no_cell_of_a_csv_is_a_formula(text):
    frame = pd.DataFrame({"title": [text], "score": [-0.5]})
    found = csv(frame)
    assert pd.read_csv(io.StringIO(found), lineterminator="\n").iloc[0].to_list() == [f"'{text}", -0.5]


def test_numbers_and_plain_texts_of_a_csv_stay_as_they_are():
    frame = pd.DataFrame({"text": ["-", "-0.4", "+1,234.5", "a=b", ""], "x": [-1.0, 2.5, 1e-9, np.nan, 0]})
    assert csv(frame, "%.6g") == 'text,x\n-,-1\n-0.4,2.5\n"+1,234.5",1e-09\na=b,\n,0\n'


def test_signs():
    assert [signed(value) for value in (0.44, -1.26, 0.01, -0.01, float("nan"))] == [
        "+0.4",
        "-1.3",
        "0.0",
        "0.0",
        "",
    ]
