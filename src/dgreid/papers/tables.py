"""The papers' tables as data: each cell's published number, and what the project's runs measure for it.

params/tables/NAME.yaml describes a table: its columns and rows in the published order, and which runs measure
each row. `cells` turns a description into a frame with one line per cell and measurement. Columns about a
row's network need no run; they are counted from the code.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from dgreid import params, schema
from dgreid.papers import counted, reference
from dgreid.papers.measured import UNKNOWN, Measurement, Selector, by_protocol, measurements
from dgreid.papers.reference import PLACE
from dgreid.paths import PARAMS
from dgreid.runs.recorded import ORIGIN

COLUMNS = [
    *("document", "table", "part", "row", "label", "column", "group", "target", "measure"),
    *("printed", "number", "bold", "quoted", "mark"),
    *Measurement._fields,
    "difference",
    *ORIGIN,
]


class Columns(schema.Strict):
    """Neighbouring columns of one target."""

    group: schema.Title = Field("", description="heading above the columns")
    target: schema.Title = Field(description="as in data/reference; *: the row's own; empty: no target")
    measures: tuple[schema.Title, ...] = Field(description="rank1, mAP, ids, ...: one column each")


class Row(schema.Strict):
    """A published row."""

    row: int = Field(ge=0, le=1000, description="number of the row in data/reference")
    label: tuple[schema.Title, ...] = Field(
        description="texts of the leftmost columns, one for each of labels"
    )
    runs: tuple[str, ...] = Field(
        (), description="what measures it: method/backbone, then overrides as on the command line"
    )


class Part(schema.Strict):
    """A block of rows with columns of its own; most tables have one."""

    columns: tuple[Columns, ...] = Field(description="its columns, from left to right")
    rows: tuple[Row, ...] = Field(description="its rows, in the published order")


class Description(schema.Strict):
    """The schema of the files in params/tables."""

    name: schema.Name = Field(description="name of the file in params/tables")
    document: schema.Name = Field(description="paper, as in data/reference")
    table: schema.Name = Field(description="table of the paper, as in data/reference")
    title: schema.Title = Field(description="heading of the table")
    labels: tuple[schema.Title, ...] = Field(description="headings of the leftmost columns, which name a row")
    stand_ins: bool = Field(True, description="also show runs of the same methods on smaller data")
    notes: tuple[schema.Title, ...] = Field((), description="sentences below the table")
    parts: tuple[Part, ...] = Field(description="blocks of rows with columns of their own")


@dataclass(frozen=True)
class Reference:
    """The published numbers of data/reference, indexed by place and by condition."""

    published: Mapping[tuple, Mapping]  # by document, table, row, target, metric
    rows: Mapping[tuple, list[Mapping]]  # by document, table, row
    marks: Mapping[tuple, list[str]]
    conditions: Mapping[tuple, list[tuple[str, str, str]]]  # role, protocol, target

    @classmethod
    def read(cls) -> "Reference":
        """Read and index data/reference."""
        frame = reference.results()
        marks: dict[tuple, list[str]] = {}
        for *place, _, explanation in reference.marks(frame).itertuples(index=False):
            marks.setdefault(tuple(place), []).append(explanation)
        conditions: dict[tuple, list] = {}
        for *condition, role, protocol, target in reference.conditions().itertuples(index=False):
            conditions.setdefault(tuple(condition), []).append((role, protocol, target))
        published = {tuple(line[key] for key in PLACE): line for line in frame.to_dict("records")}
        rows: dict[tuple, list] = {}
        for place, line in published.items():
            rows.setdefault(place[:3], []).append(line)
        return cls(published, rows, marks, conditions)


def names() -> list[str]:
    """List the tables in params/tables, sorted."""
    return params.names("tables")


def describe(name: str) -> Description:
    """Read params/tables/NAME.yaml."""
    path = PARAMS / "tables" / f"{name}.yaml"
    return schema.validate(Description, params.read("tables", name), str(path))


def cells(table: Description, known: Reference, metrics: Iterable[Mapping]) -> pd.DataFrame:
    """Make one line per cell and measurement of it; a cell without a measurement has one line.

    Args:
        table: the description.
        known: the published numbers.
        metrics: the content of reports/metrics. A run with overrides, or with another recipe or image than
            its protocol's, counts only if a row names these.

    Returns:
        A frame with COLUMNS. Without a measurement, `method` and the columns after it are empty. A line is
        `comparable` if it was measured on full data under the paper's own protocol, or is counted from the
        code (then `method` and `data` are empty); only such lines have a `difference` (mean - number).
    """
    index = by_protocol(metrics)
    lines = []
    for part_number, part in enumerate(table.parts):
        columns = [(group, measure) for group in part.columns for measure in group.measures]
        for row in part.rows:
            selectors = [Selector.parse(text) for text in row.runs]
            for number, (group, measure) in enumerate(columns):
                place = _place(table, row, group, measure, known)
                shown = _shown(place, known)
                fixed = (table.document, table.table, part_number, row.row, " | ".join(row.label), number)
                fixed += (group.group, group.target, measure, *shown)
                conditions = known.conditions.get(_condition(place, known), ())
                if not table.stand_ins:
                    conditions = [condition for condition in conditions if condition[0] != "stand-in"]
                found = list(_counted(selectors, measure))
                found += measurements(selectors, conditions, measure, index)
                for values, origin in found or [(Measurement(), UNKNOWN)]:
                    difference = values.mean - shown[1] if values.comparable else np.nan
                    lines.append((*fixed, *values, difference, *origin))
    return pd.DataFrame(lines, columns=COLUMNS)


def _counted(selectors: Sequence[Selector], measure: str) -> Iterator[tuple[Measurement, tuple[str, ...]]]:
    """Yield, as `measurements` does, one number counted from the code for each backbone of the row."""
    for backbone in dict.fromkeys(selector.backbone for selector in selectors):
        value = counted.count(backbone, measure)
        if value is not None:
            facts = {"title": counted.TITLE, "provenance": counted.PROVENANCE, "backbone": backbone}
            yield Measurement(**facts, comparable=True, mean=value), UNKNOWN


def _place(table: Description, row: Row, group: Columns, measure: str, known: Reference) -> tuple:
    """Return where a cell's number is published: document, table, row, target, metric."""
    target = group.target
    head = table.document, table.table, str(row.row)
    return (*head, known.rows[head][0]["target"] if target == "*" else target, measure)


def _shown(place: tuple, known: Reference) -> tuple[str, float, bool, bool, str]:
    """Return what is published at a place: printed, number, bold, quoted, mark (see COLUMNS)."""
    *where, measure = place
    if measure == "sources":
        return sources(_condition(place, known)[1]), np.nan, False, False, ""
    if place not in known.published:  # the size of a source is given once for several rows
        return "" if measure in ("ids", "images") else "-", np.nan, False, False, ""
    line = known.published[place]
    gain = known.published.get((*where, f"{measure}_gain"))
    text = published_text(measure, line["value"]) + (f" ({gain['value']})" if gain else "")
    mark = " ".join(known.marks.get(place, ()))
    return text, line["number"], line["best"] == "true", line["quoted"] == "true", mark


def _condition(place: tuple, known: Reference) -> tuple[str, str, str]:
    """Return protocol, sources and target of a place; if it has no number, those of its row."""
    *head, target, _ = place
    lines = known.rows[tuple(head)]
    line = next((line for line in lines if line["target"] == target), lines[0])
    return line["protocol"], line["sources"], target or "average"


def sources(text: str) -> str:
    """Write training sets as M3L's tables do."""
    return text.replace("ComMS", "Com-MS").replace("C3", "C")


def published_text(measure: str, value: str) -> str:
    """Write a number as the paper does, such as 1,280 or 2.26M."""
    if measure == "all_params_m":
        return f"{value}M"
    return f"{int(value):,}" if value.isdecimal() else value
