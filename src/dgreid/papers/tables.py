"""The papers' tables as data: the published number of each cell, and what runs of the project measure there.

params/tables/NAME.yaml describes a table: its columns and rows in the published order, and the runs that
measure a row again. `cells` turns a description into a frame with one line per cell and measurement. Columns
about a row's network need no run: they are counted from the code.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from dgreid import params, schema
from dgreid.papers import counted, reference
from dgreid.papers.reference import PLACE
from dgreid.paths import PARAMS
from dgreid.runs import systems as runs

COLUMNS = [
    *("document", "table", "part", "row", "label", "column", "group", "target", "measure"),
    *("printed", "number", "bold", "quoted", "mark"),
    *("method", "title", "provenance", "backbone", "changes", "protocol", "recipe", "image"),
    *("data", "searched", "comparable", "mean", "std_seeds", "std_splits", "seeds", "splits", "difference"),
    *runs.ORIGIN,
]
NOTHING = (*[""] * 10, False, *[np.nan] * 3, 0, 0)  # from method to splits
UNKNOWN = ("",) * len(runs.ORIGIN)


class Columns(schema.Strict):
    """Neighbouring columns of one target."""

    group: str = ""
    target: str  # as in data/reference; `*`: the row's own; empty: no target
    measures: tuple[str, ...]


class Row(schema.Strict):
    """A published row."""

    row: int
    label: tuple[str, ...]
    runs: tuple[str, ...] = ()  # method/backbone, then the run's changes, as on the command line


class Part(schema.Strict):
    """A block of rows with columns of its own; most tables have one."""

    columns: tuple[Columns, ...]
    rows: tuple[Row, ...]


class Description(schema.Strict):
    """A file of params/tables."""

    name: str
    document: str
    table: str
    title: str
    labels: tuple[str, ...]
    stand_ins: bool = True  # whether runs of the same methods on smaller data are shown too
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class System:
    """A method on a backbone with its overrides, as a row's `runs` name it."""

    method: str
    backbone: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "System":
        """From `method/backbone key=value ...`."""
        name, *words = shlex.split(text)
        method, _, backbone = name.partition("/")
        return cls(method, backbone, tuple(words))

    def made(self, run: Mapping, stand_in: bool) -> bool:
        """Whether a run is one of this: its name says whether it has other overrides.

        A stand-in may have another backbone and budget, but needs the same `method.*` overrides.
        """
        own = tuple(word for word in self.words if word.startswith("method."))
        if stand_in:
            return run["run"] == runs.expected_name(run, own)
        settings = [word for word in self.words if word not in own]  # recipe=NAME, image=NAME
        if run["backbone"] != self.backbone or any(run[key] != value for key, value in map(_pair, settings)):
            return False
        # a recipe that is the protocol's default is not part of the name
        subsets = (part for size in range(len(settings) + 1) for part in combinations(settings, size))
        return any(run["run"] == runs.expected_name(run, own + part) for part in subsets)


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


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
    return schema.validate(Description, {**schema.read_yaml(path), "name": name}, str(path))


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
    index: dict[tuple[str, str], list[Mapping]] = {}
    for run in metrics:
        index.setdefault((run["method"], run["protocol"]), []).append(run)
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
                condition = _condition(place, known)
                measured = list(_counted(systems, measure))
                measured += _measurements(systems, condition, measure, known, index, table.stand_ins)
                for values, origin in measured or [(NOTHING, UNKNOWN)]:
                    comparable, mean = values[10:12]
                    difference = mean - shown[1] if comparable else np.nan
                    lines.append((*fixed, *values, difference, *origin))
    return pd.DataFrame(lines, columns=COLUMNS)


def _counted(systems: Sequence[System], measure: str) -> Iterator[tuple[tuple, tuple]]:
    """As `_measurements`, counted from the code: one for every backbone of the row."""
    for backbone in dict.fromkeys(system.backbone for system in systems):
        value = counted.count(backbone, measure)
        if value is not None:
            facts = "", counted.TITLE, counted.PROVENANCE, backbone
            yield (*facts, *[""] * 6, True, value, np.nan, np.nan, 0, 0), UNKNOWN


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


def _measurements(
    systems: Sequence[System],
    condition: tuple,
    measure: str,
    known: Reference,
    index: Mapping[tuple[str, str], Sequence[Mapping]],
    stand_ins: bool,
) -> Iterator[tuple[tuple, tuple]]:
    """The columns method to splits, and ORIGIN, of everything run under the condition or a stand-in."""
    ways: dict[tuple, dict[str, list[str]]] = {}  # one per stand-in protocol, one for the paper's own
    for role, protocol, target in known.conditions.get(condition, ()):
        if role == "stand-in" and not stand_ins:
            continue
        way = ways.setdefault((role, protocol if role == "stand-in" else ""), {})
        way.setdefault(protocol, []).append(target)
    for chosen in systems:
        for (role, _), targets in ways.items():
            stand_in = role == "stand-in"
            found = (run for protocol in targets for run in index.get((chosen.method, protocol), ()))
            mine = [run for run in found if chosen.made(run, stand_in)]
            groups: dict[tuple, list[Mapping]] = {}
            for run in mine:
                groups.setdefault((run["backbone"], run["data"]), []).append(run)
            for (backbone, data), group in groups.items():
                used = _complete(group, targets, measure)
                if not used:
                    continue
                values = _over_seeds(used, targets, measure)
                words = " ".join(word for word in chosen.words if word.startswith("method."))
                facts = (chosen.method, group[0]["title"], group[0]["provenance"], backbone, words)
                facts += tuple(_listed(group, key) for key in ("protocol", "recipe", "image"))
                evaluated = "+".join(name for names in targets.values() for name in names)
                origin = tuple(runs.origin(run for mine in used for run in mine).values())
                yield (*facts, data, evaluated, not stand_in and data == "full", *values), origin


def _listed(group: Sequence[Mapping], key: str) -> str:
    return "+".join(dict.fromkeys(run[key] for run in group))


def _complete(
    group: Sequence[Mapping], targets: Mapping[str, list[str]], measure: str
) -> list[list[Mapping]]:
    """Per seed its runs, for the seeds that every protocol was run and evaluated with."""
    by_seed: dict[int, list[Mapping]] = {}
    for run in group:
        by_seed.setdefault(run["seed"], []).append(run)
    return [
        mine
        for _, mine in sorted(by_seed.items())
        if {run["protocol"] for run in mine} == set(targets)
        and all(runs.scores(run, targets[run["protocol"]], measure) is not None for run in mine)
    ]


def _over_seeds(used: Sequence[Sequence[Mapping]], targets: Mapping[str, list[str]], measure: str) -> tuple:
    """mean, std over seeds, std over splits, seeds, splits.

    The deviation over splits (ddof 0, mean over seeds) belongs to a single target; an average has none.
    """
    means, spreads, splits = [], [], []
    for mine in used:
        values = [runs.scores(run, targets[run["protocol"]], measure) for run in mine]
        means.append(float(np.mean(np.concatenate(values))))
        evaluated = [run["targets"][name] for run in mine for name in targets[run["protocol"]]]
        if measure not in runs.PROPERTIES:
            splits += [len(target["splits"]) for target in evaluated]
        if len(evaluated) == 1 and f"{measure}_std" in evaluated[0]:
            spreads.append(evaluated[0][f"{measure}_std"])
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
    spread = float(np.mean(spreads)) if spreads else np.nan
    return float(np.mean(means)), deviation, spread, len(means), min(splits, default=0)
