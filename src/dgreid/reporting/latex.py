"""The tables as LaTeX, with booktabs rules; `\\usepackage{booktabs}` is all a document needs."""

from collections.abc import Sequence
from itertools import groupby

from dgreid.reporting.tables import PRINTED_COLUMNS, SCORES, Block, Row, heading, number

_SPECIAL = {character: "\\" + character for character in "&%$#_{}"}
_SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}


def latex(title: str, content: Sequence[Block]) -> str:
    """One table* per block, and one of the printed rows."""
    parts = ["% \\usepackage{booktabs}"]
    for block in content:
        names = ["Method", "Backbone", "Provenance", "Seeds"]
        texts = [[row.title, row.backbone, row.provenance, str(len(row.seeds))] for row in block.rows]
        parts.append(_table(f"{heading(title, block)}. {SCORES}", names, texts, block.rows, block.columns))
        texts = [[row.title, row.backbone] for row in block.printed]
        caption = f"Printed in the MetaBIN paper, Table 1. {block.note}"
        parts.append(_table(caption, ["Method", "Backbone"], texts, block.printed, PRINTED_COLUMNS))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text with LaTeX's own characters written out."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def _table(
    caption: str,
    names: Sequence[str],
    texts: Sequence[Sequence[str]],
    rows: Sequence[Row],
    columns: Sequence[tuple[str, str, str]],
) -> str:
    groups = [(target, len(list(part))) for target, part in groupby(columns, key=lambda column: column[0])]
    top, rules, at = [""] * len(names), [], len(names)
    for target, count in groups:
        top.append(rf"\multicolumn{{{count}}}{{c}}{{{escape(target)}}}")
        rules.append(rf"\cmidrule(lr){{{at + 1}-{at + count}}}")
        at += count
    body = [
        [escape(text) for text in texts[i]]
        + [number(row.scores.get((t, m)), r"\,{\tiny$\pm$}\,") for t, m, _ in columns]
        for i, row in enumerate(rows)
    ]
    lines = [
        r"\begin{table*}",
        r"\centering\scriptsize\setlength{\tabcolsep}{2.5pt}",
        rf"\caption{{{escape(caption)}}}",
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(columns)}}}",
        r"\toprule",
        _line(top),
        "".join(rules),
        _line([*names, *(name for _, _, name in columns)]),
        r"\midrule",
        *map(_line, body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
