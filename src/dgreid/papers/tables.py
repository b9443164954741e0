"""The papers' tables as data: the published number of each cell, and what runs of the project measure there.

params/tables/NAME.yaml describes a table: its columns and rows in the published order, and the runs that
measure a row again. `cells` turns a description into a frame with one line per cell and measurement. Columns
about a row's network need no run: they are counted from the code.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from dgreid import params, schema
from dgreid.papers import counted, reference
from dgreid.papers.measured import UNKNOWN, Measurement, System, by_protocol, measurements
from dgreid.papers.reference import PLACE
from dgreid.paths import PARAMS
from dgreid.runs.systems import ORIGIN

COLUMNS = [
    *("document", "table", "part", "row", "label", "column", "group", "target", "measure"),
    *("printed", "number", "bold", "quoted", "mark"),
    *Measurement._fields,
    "difference",
    *ORIGIN,
]


class Columns(schema.Strict):
    """Neighbouring columns of one target."""

    group: schema.Title = ""
    target: schema.Title  # as in data/reference; `*`: the row's own; empty: no target
    measures: tuple[schema.Title, ...]


class Row(schema.Strict):
    """A published row."""

    row: int = Field(ge=0, le=1000)
    label: tuple[schema.Title, ...]
    runs: tuple[str, ...] = ()  # method/backbone, then the run's changes, as on the command line


class Part(schema.Strict):
    """A block of rows with columns of its own; most tables have one."""

    columns: tuple[Columns, ...]
    rows: tuple[Row, ...]


class Description(schema.Strict):
    """A file of params/tables."""

    name: schema.Name
    document: schema.Name
    table: schema.Name
    title: schema.Title
    labels: tuple[schema.Title, ...]
    stand_ins: bool = True  # whether runs of the same methods on smaller data are shown too
    notes: tuple[schema.Title, ...] = ()
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Reference:
    """data/reference, indexed by place and by condition."""

    published: Mapping[tuple, Mapping]  # by document, table, row, target, metric
    rows: Mapping[tuple, list[Mapping]]  # by document, table, row
    marks: Mapping[tuple, list[str]]
    conditions: Mapping[tuple, list[tuple[str, str, str]]]  # role, protocol, target

    @classmethod
    def read(cls) -> "Reference":
        """Read it from the files."""
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
    """The tables that are described, sorted."""
    return params.names("tables")


def describe(name: str) -> Description:
    """Read params/tables/NAME.yaml."""
    path = PARAMS / "tables" / f"{name}.yaml"
    return schema.validate(Description, params.read("tables", name), str(path))


def cells(table: Description, known: Reference, metrics: Iterable[Mapping]) -> pd.DataFrame:
    """One line per published cell and measurement of it, and one for every cell without a measurement.

    Args:
        table: what to fill.
        known: the published numbers.
        metrics: the content of reports/metrics; runs with overrides, or with another budget than their
            protocol's default, count only if a row names them so.

    Returns:
        COLUMNS; method and the columns after it are empty if nothing is measured. `comparable`: measured on
        full data under the paper's own protocol, or counted from the code, then without method and data; only
        then is there a `difference` (mean - number).
    """
    index = by_protocol(metrics)
    lines = []
    for part_number, part in enumerate(table.parts):
        columns = [(group, measure) for group in part.columns for measure in group.measures]
        for row in part.rows:
            systems = [System.parse(text) for text in row.runs]
            for number, (group, measure) in enumerate(columns):
                place = _place(table, row, group, measure, known)
                shown = _shown(place, known)
                fixed = (table.document, table.table, part_number, row.row, " | ".join(row.label), number)
                fixed += (group.group, group.target, measure, *shown)
                conditions = known.conditions.get(_condition(place, known), ())
                if not table.stand_ins:
                    conditions = [condition for condition in conditions if condition[0] != "stand-in"]
                found = list(_counted(systems, measure))
                found += measurements(systems, conditions, measure, index)
                for values, origin in found or [(Measurement(), UNKNOWN)]:
                    difference = values.mean - shown[1] if values.comparable else np.nan
                    lines.append((*fixed, *values, difference, *origin))
    return pd.DataFrame(lines, columns=COLUMNS)


def _counted(systems: Sequence[System], measure: str) -> Iterator[tuple[Measurement, tuple[str, ...]]]:
    """As `measurements`, counted from the code: one for every backbone of the row."""
    for backbone in dict.fromkeys(system.backbone for system in systems):
        value = counted.count(backbone, measure)
        if value is not None:
            facts = {"title": counted.TITLE, "provenance": counted.PROVENANCE, "backbone": backbone}
            yield Measurement(**facts, comparable=True, mean=value), UNKNOWN


def _place(table: Description, row: Row, group: Columns, measure: str, known: Reference) -> tuple:
    """Where the number is published: document, table, row, target, metric."""
    target = group.target
    head = table.document, table.table, str(row.row)
    return (*head, known.rows[head][0]["target"] if target == "*" else target, measure)


def _shown(place: tuple, known: Reference) -> tuple[str, float, bool, bool, str]:
    """printed, number, bold, quoted, mark."""
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
    """protocol, sources, target of a place; if nothing is published there, those of the rest of its row."""
    *head, target, _ = place
    lines = known.rows[tuple(head)]
    line = next((line for line in lines if line["target"] == target), lines[0])
    return line["protocol"], line["sources"], target or "average"


def sources(text: str) -> str:
    """Training sets as M3L's tables write them."""
    return text.replace("ComMS", "Com-MS").replace("C3", "C")


def published_text(measure: str, value: str) -> str:
    """A published number as the paper writes it: 1,280 and 2.26M."""
    if measure == "all_params_m":
        return f"{value}M"
    return f"{int(value):,}" if value.isdecimal() else value
