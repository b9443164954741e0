"""Write tables for readers as Markdown, HTML and LaTeX, and frames of numbers as CSV."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape as escape_html
from itertools import groupby
from typing import NamedTuple

import pandas as pd

SPECIAL = {character: "\\" + character for character in "&%$#_{}"}
SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {"±": r"$\pm$", "→": r"$\rightarrow$", "−": "$-$", "×": r"$\times$", "†": r"$\dagger$"}
SPECIAL |= {
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "β": r"$\beta$",
    "↳": r"$\hookrightarrow$",
    "ρ": r"$\rho$",
}


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # characters that begin a formula in a spreadsheet


class Column(NamedTuple):
    """One column; neighbours of the same group share a heading above theirs."""

    name: str
    group: str = ""
    text: bool = False  # left-aligned


class Cell(NamedTuple):
    """The text of one cell; `mark` refers to a footnote."""

    text: str
    mark: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Line:
    """One row; `kind` is a class for style sheets, such as published, measured, difference."""

    cells: tuple[Cell, ...]
    kind: str = ""


@dataclass(frozen=True)
class Sheet:
    """One table with its title, an introduction, and footnotes as (mark, text)."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    introduction: str = ""
    footnotes: tuple[tuple[str, str], ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the columns."""
        wrong = [line for line in self.lines if len(line.cells) != len(self.columns)]
        if wrong:
            raise ValueError(f"{len(self.columns)} columns, but a row of {len(wrong[0].cells)}: {wrong[0]}")

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(group, number of columns) of neighbouring columns."""
        return [(name, len(list(part))) for name, part in groupby(column.group for column in self.columns)]


def line(texts: Iterable[str], kind: str = "") -> Line:
    """A row of plain texts."""
    return Line(tuple(Cell(text) for text in texts), kind)


def signed(value: float, places: int = 1) -> str:
    """+0.4, -1.2, 0.0, with thousands as +1,234.0; empty for NaN."""
    text, nothing = f"{value:+,.{places}f}", f"{0:.{places}f}"
    return "" if value != value else nothing if text[1:] == nothing else text


def csv(frame: pd.DataFrame, digits: str = "%.4f") -> str:
    """A frame as CSV, numbers to four places.

    A text that a spreadsheet would run as a formula gets an apostrophe in front, as spreadsheets show text.
    """
    texts = {name: frame[name].map(_inert) for name in frame.select_dtypes(exclude=["number", "bool"])}
    return frame.assign(**texts).to_csv(index=False, float_format=digits, lineterminator="\n")


def _inert(value: object) -> object:
    if not isinstance(value, str) or not value.startswith(FORMULA) or len(value) == 1:
        return value
    try:
        float(value.replace(",", ""))
    except ValueError:
        return f"'{value}"
    return value  # a number such as -0.4


def markdown(sheets: Sequence[Sheet], level: int = 1) -> str:
    """The sheets one after the other; a column's group precedes its name. `level`: of the first heading."""
    parts = []
    for number, sheet in enumerate(sheets):
        parts += [f"{'#' * (level + bool(number))} {_prose(sheet.title)}", ""]
        parts += [_prose(sheet.introduction), ""] if sheet.introduction else []
        names = [_cell(f"{column.group} {column.name}".strip()) for column in sheet.columns]
        rule = ["---" if column.text else "---:" for column in sheet.columns]
        body = [[_markdown_cell(cell) for cell in row.cells] for row in sheet.lines]
        parts += ["| " + " | ".join(row) + " |" for row in (names, rule, *body)]
        parts += [
            "",
            *(f"- {_prose(f'[{mark}] {text}' if mark else text)}" for mark, text in sheet.footnotes),
        ]
        parts += [""] if sheet.footnotes else []
    return "\n".join(parts).rstrip("\n") + "\n"


def _markdown_cell(cell: Cell) -> str:
    text = _cell(cell.text)
    text = f"**{text}**" if cell.bold and text else text
    return f"{text} [{cell.mark}]" if cell.mark else text


def _prose(text: str) -> str:
    """Text without raw HTML, links and line breaks; what else Markdown knows may stay."""
    return " ".join(text.split()).replace("<", "&lt;").replace("](", "]\\(")


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return _prose(text.replace("\\", "\\\\")).replace("|", "\\|").replace("*", "\\*")


def html(sheets: Sequence[Sheet], level: int = 2) -> str:
    """A fragment for a page: per sheet a heading, a table that scrolls by itself, and the footnotes.

    Classes: `text` and `first` (of a group) on cells; the line's kind on rows; `scroll` around the table.
    """
    parts = []
    for number, sheet in enumerate(sheets):
        size = level + bool(number)
        parts.append(f"<h{size}>{escape_html(sheet.title)}</h{size}>")
        if sheet.introduction:
            parts.append(f'<p class="soft">{escape_html(sheet.introduction)}</p>')
        parts.append('<div class="scroll" tabindex="0">\n<table>\n<thead>')
        if any(name for name, _ in sheet.groups):
            heads = (
                f'<th colspan="{count}">{escape_html(name)}</th>' if name else "<th></th>" * count
                for name, count in sheet.groups
            )
            parts.append(f"<tr>{''.join(heads)}</tr>")
        parts.append(_html_row("th", [Cell(column.name) for column in sheet.columns], sheet, ""))
        parts.append("</thead>\n<tbody>")
        parts += [_html_row("td", row.cells, sheet, row.kind) for row in sheet.lines]
        parts.append("</tbody>\n</table>\n</div>")
        if sheet.footnotes:
            notes = [
                f"<sup>{escape_html(mark)}</sup> {escape_html(text)}" if mark else escape_html(text)
                for mark, text in sheet.footnotes
            ]
            parts.append('<ul class="footnotes">' + "".join(f"<li>{note}</li>" for note in notes) + "</ul>")
    return "\n".join(parts) + "\n"


def _html_row(tag: str, cells: Sequence[Cell], sheet: Sheet, kind: str) -> str:
    starts, at = set(), 0
    for name, count in sheet.groups:
        starts |= {at} if name else set()
        at += count
    texts = []
    for number, (cell, column) in enumerate(zip(cells, sheet.columns, strict=True)):
        words = " ".join(["text"] * column.text + ["first"] * (number in starts))
        text = f"<b>{escape_html(cell.text)}</b>" if cell.bold else escape_html(cell.text)
        text += f"<sup>{escape_html(cell.mark)}</sup>" if cell.mark else ""
        texts.append(f"<{tag}{_class(words)}>{text}</{tag}>")
    return f"<tr{_class(kind)}>{''.join(texts)}</tr>"


def _class(words: str) -> str:
    return f' class="{escape_html(words)}"' if words else ""


def latex(sheets: Sequence[Sheet]) -> str:
    """One table* per sheet with booktabs rules, made narrower if it is wider than the page."""
    return "% \\usepackage{booktabs,amssymb,graphicx}\n\n" + "\n\n".join(map(_latex_table, sheets)) + "\n"


def escape(text: str) -> str:
    """Text with LaTeX's own characters, and those beyond ASCII, written out."""
    return "".join(SPECIAL.get(character, character) for character in text)


def _latex_table(sheet: Sheet) -> str:
    heads, rules, at = [], [], 0
    for name, count in sheet.groups:
        heads += [rf"\multicolumn{{{count}}}{{c}}{{{escape(name)}}}"] if name else [""] * count
        rules += [rf"\cmidrule(lr){{{at + 1}-{at + count}}}"] if name else []
        at += count
    caption = f"{sheet.title}. {sheet.introduction}".strip() if sheet.introduction else sheet.title
    lines = [
        r"\begin{table*}",
        r"\centering\scriptsize\setlength{\tabcolsep}{2.5pt}",
        rf"\caption{{{escape(caption)}}}",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{",
        rf"\begin{{tabular}}{{{''.join('l' if column.text else 'r' for column in sheet.columns)}}}",
        r"\toprule",
        *([_row(heads), "".join(rules)] if rules else []),
        _row([escape(column.name) for column in sheet.columns]),
        r"\midrule",
        *(_row([_latex_cell(cell) for cell in row.cells]) for row in sheet.lines),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    for mark, text in sheet.footnotes:
        sign = rf"\textsuperscript{{{escape(mark)}}} " if mark else ""
        lines.append(rf"\par\raggedright {sign}{escape(text)}")
    return "\n".join([*lines, r"\end{table*}"])


def _latex_cell(cell: Cell) -> str:
    text = escape(cell.text)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    return rf"{text}\textsuperscript{{{escape(cell.mark)}}}" if cell.mark else text


def _row(cells: Sequence[str]) -> str:
    # a bracket at the start of a line would be read as the option of the \\ before it
    start = "{}" if cells[0].startswith("[") else ""
    return start + " & ".join(cells) + r" \\"
