"""The papers' tables as data: what is printed in each cell, and what runs of the project measure there.

A table is described by params/tables/NAME.yaml: columns and rows in print's order, and the runs that measure
a row again. `cells` turns a description into a frame with one line per cell and measurement. What is
printed about a row's network takes no run: it is counted from the code.
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
    target: str  # as in data/reference; `*`: the row's own; empty: none
    measures: tuple[str, ...]


class Row(schema.Strict):
    """A printed row."""

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
    stand_ins: bool = True  # whether smaller runs of the same methods are shown beside
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class System:
    """What a row's `runs` name."""

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
        """Whether a run is of this system: its name tells whether it departs from the files by more.

        A stand-in has a backbone and a budget of its own, but the method's changes.
        """
        own = tuple(word for word in self.words if word.startswith("method."))
        if stand_in:
            return run["run"] == runs.expected_name(run, own)
        settings = [word for word in self.words if word not in own]  # recipe=NAME, image=NAME
        if run["backbone"] != self.backbone or any(run[key] != value for key, value in map(_pair, settings)):
            return False
        # a recipe that the protocol proposes anyway is not in the name
        subsets = (part for size in range(len(settings) + 1) for part in combinations(settings, size))
        return any(run["run"] == runs.expected_name(run, own + part) for part in subsets)


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


@dataclass(frozen=True)
class Reference:
    """data/reference, indexed by place and by condition."""

    printed: Mapping[tuple, Mapping]  # by document, table, row, target, metric
    rows: Mapping[tuple, list[Mapping]]  # by document, table, row
    marks: Mapping[tuple, list[str]]
    conditions: Mapping[tuple, list[tuple[str, str, str]]]  # role, protocol, target

    @classmethod
    def read(cls) -> "Reference":
        """From the files."""
        frame = reference.results()
        marks: dict[tuple, list[str]] = {}
        for *place, _, explanation in reference.marks(frame).itertuples(index=False):
            marks.setdefault(tuple(place), []).append(explanation)
        conditions: dict[tuple, list] = {}
        for *condition, role, protocol, target in reference.conditions().itertuples(index=False):
            conditions.setdefault(tuple(condition), []).append((role, protocol, target))
        printed = {tuple(line[key] for key in PLACE): line for line in frame.to_dict("records")}
        rows: dict[tuple, list] = {}
        for place, line in printed.items():
            rows.setdefault(place[:3], []).append(line)
        return cls(printed, rows, marks, conditions)


def names() -> list[str]:
    """The tables that are described, sorted."""
    return params.names("tables")


def describe(name: str) -> Description:
    """Read params/tables/NAME.yaml."""
    path = PARAMS / "tables" / f"{name}.yaml"
    return schema.validate(Description, {**schema.read_yaml(path), "name": name}, str(path))


def cells(table: Description, known: Reference, metrics: Iterable[Mapping]) -> pd.DataFrame:
    """One line per printed cell and measurement of it, and one for every cell that nothing measures.

    Args:
        table: what to fill.
        known: the printed numbers.
        metrics: the content of reports/metrics; runs that depart from the files, or from the budget that
            their protocol proposes, count only where a row says so.

    Returns:
        COLUMNS; method and what follows it are empty where nothing is measured. `comparable`: full data under
        the paper's own protocol, or counted from the code, where there is neither method nor data; only then
        is there a `difference` (mean - number).
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
    """As `_measurements`, of the networks themselves: one for every backbone of the row."""
    for backbone in dict.fromkeys(system.backbone for system in systems):
        value = counted.count(backbone, measure)
        if value is not None:
            facts = "", counted.TITLE, counted.PROVENANCE, backbone
            yield (*facts, *[""] * 6, True, value, np.nan, np.nan, 0, 0), UNKNOWN


def _place(table: Description, row: Row, group: Columns, measure: str, known: Reference) -> tuple:
    """Where the number is printed: document, table, row, target, metric."""
    target = group.target
    head = table.document, table.table, str(row.row)
    return (*head, known.rows[head][0]["target"] if target == "*" else target, measure)


def _shown(place: tuple, known: Reference) -> tuple[str, float, bool, bool, str]:
    """printed, number, bold, quoted, mark."""
    *where, measure = place
    if measure == "sources":
        return sources(_condition(place, known)[1]), np.nan, False, False, ""
    if place not in known.printed:  # the size of a source is printed once for several rows
        return "" if measure in ("ids", "images") else "-", np.nan, False, False, ""
    line = known.printed[place]
    gain = known.printed.get((*where, f"{measure}_gain"))
    text = printed_text(measure, line["value"]) + (f" ({gain['value']})" if gain else "")
    mark = " ".join(known.marks.get(place, ()))
    return text, line["number"], line["best"] == "true", line["quoted"] == "true", mark


def _condition(place: tuple, known: Reference) -> tuple[str, str, str]:
    """protocol, sources, target of a place; of one where nothing is printed, as in the rest of its row."""
    *head, target, _ = place
    lines = known.rows[tuple(head)]
    line = next((line for line in lines if line["target"] == target), lines[0])
    return line["protocol"], line["sources"], target or "average"


def sources(text: str) -> str:
    """Training sets as M3L's tables print them."""
    return text.replace("ComMS", "Com-MS").replace("C3", "C")


def printed_text(measure: str, value: str) -> str:
    """A printed number as print has it: 1,280 and 2.26M."""
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
    """Of every system that was run under the condition or a stand-in of it: method ... splits, and ORIGIN."""
    ways: dict[tuple, dict[str, list[str]]] = {}  # one per protocol that stands in, one for the paper's own
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
                searched = "+".join(name for names in targets.values() for name in names)
                origin = tuple(runs.origin(run for mine in used for run in mine).values())
                yield (*facts, data, searched, not stand_in and data == "full", *values), origin


def _listed(group: Sequence[Mapping], key: str) -> str:
    return "+".join(dict.fromkeys(run[key] for run in group))


def _complete(
    group: Sequence[Mapping], targets: Mapping[str, list[str]], measure: str
) -> list[list[Mapping]]:
    """The runs by seed, of the seeds that every protocol was run with and measured."""
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

    The deviation over splits is that of one target (ddof 0, mean over seeds); an average has none.
    """
    means, spreads, splits = [], [], []
    for mine in used:
        values = [runs.scores(run, targets[run["protocol"]], measure) for run in mine]
        means.append(float(np.mean(np.concatenate(values))))
        searched = [run["targets"][name] for run in mine for name in targets[run["protocol"]]]
        if measure not in runs.PROPERTIES:
            splits += [len(target["splits"]) for target in searched]
        if len(searched) == 1 and f"{measure}_std" in searched[0]:
            spreads.append(searched[0][f"{measure}_std"])
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
    spread = float(np.mean(spreads)) if spreads else np.nan
    return float(np.mean(means)), deviation, spread, len(means), min(splits, default=0)
