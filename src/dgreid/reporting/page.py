"""reports/index.html: one static page, readable from disk, in the light, in the dark and on a phone."""

from collections.abc import Sequence
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from dgreid.reporting import tables
from dgreid.reporting.tables import Block


def page(name: str, title: str, content: Sequence[Block], runs: Sequence[str], has_balance: bool) -> str:
    """The page's HTML; it refers to tables, figures and metrics by relative paths."""
    environment = Environment(
        loader=PackageLoader("dgreid.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["spans"] = spans
    environment.filters["score"] = tables.number
    environment.filters["gain"] = tables.gain_text
    return environment.get_template("index.html").render(
        name=name,
        title=title,
        blocks=content,
        kinds=sorted({block.data for block in content}),
        runs=runs,
        printed_columns=tables.PRINTED_COLUMNS,
        scores_note=tables.SCORES,
        gains_note=tables.GAINS,
        has_balance=has_balance,
    )


def spans(columns: Sequence[tuple[str, str, str]]) -> list[tuple[str, int]]:
    """(target, number of its columns) for the upper table head."""
    return [(target, len(list(part))) for target, part in groupby(columns, key=lambda column: column[0])]
