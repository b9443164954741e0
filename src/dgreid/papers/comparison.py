"""Lay out the papers' tables for reading: the published rows and, below each, what the project measures.

A difference to the published number is shown only for runs on full data under the paper's own protocol, and
for numbers counted from the code. All other runs are in sheets of their own, without published numbers.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dgreid import params
from dgreid.papers.measured import Selector
from dgreid.papers.tables import Description, Row
from dgreid.runs.recorded import plural
from dgreid.sheets import Cell, Column, Line, Sheet, signed

RANKS = {"metabin": "R-{}", "m3l": "R{}", "lda": "Rank-{}"}  # the headings of each document
HEADS = {
    "sources": "Source",
    "ids": "IDs",
    "images": "Images",
    "cameras": "Cameras",
    "dim": "Dim",
    "norm_layers": "Norm Layers",
    "balancing_params": "Balancing Params",
    "all_params_m": "All Params",
    "memory_mib": "Mem (MiB)",
    "time_ms": "Time (ms)",
}
MILLIONS = "all_params_m"  # to two places, as published
WHOLE = {"ids", "images", "cameras", "dim", "norm_layers", "balancing_params", "memory_mib"}
INTRODUCTION = (
    "Scores in percent. Published numbers exactly as published; below a row, what this project's runs "
    "measure under the same protocol on full data, as mean ± standard deviation over seeds (none for one "
    "seed), and the difference to the published number. "
)
COUNTED = (
    "Counted lines come from the code alone, without a run or data: they describe the row's network, built "
    "without neck and classifier. "
)
BESIDE = (
    "Mean ± standard deviation over seeds, in the layout of the table above, but with other data, other "
    "networks and another budget: no number here can be compared with a published one."
)
LINE = ("title", "provenance", "changes", "backbone")  # equal in all cells of a measured line
NOTHING = "No run of this project measures any row on full data yet."


def methods() -> dict[str, dict[str, str]]:
    """Return title and provenance of every method in params/method, by name."""
    found = {}
    for name in params.names("method"):
        node = params.read("method", name)
        found[name] = {key: str(node.get(key, "")) for key in ("title", "provenance")}
    return found


def obtained(row: Row, known: Mapping[str, Mapping[str, str]]) -> str:
    """Say how a row is obtained: `quoted only`, or the provenance of each method that fills it."""
    groups: dict[str, list[str]] = {}
    for method in dict.fromkeys(Selector.parse(text).method for text in row.runs):
        provenance = known[method]["provenance"] if method in known else "not configured"
        groups.setdefault(provenance, []).append(method)
    return "; ".join(f"{how}: {', '.join(names)}" for how, names in groups.items()) or "quoted only"


def sheets(table: Description, frame: pd.DataFrame, known: Mapping[str, Mapping[str, str]]) -> list[Sheet]:
    """Make a sheet per part of the published table, then one per data kind and protocol of all other runs.

    Args:
        table: the description.
        frame: of `tables.cells`.
        known: of `methods`.
    """
    parts = _grouped(frame.to_dict("records"), "part")
    result = []
    for number, part in enumerate(table.parts):
        mine = parts[number,]
        marks: dict[str, str] = {}
        columns = (*map(_text, table.labels), _text("Values"), _text("Obtained"), *_heads(table, number))
        rows = _grouped(mine, "row")
        lines = [line for row in part.rows for line in _lines(row, rows[row.row,], known, marks)]
        notes = [(letter, text) for text, letter in marks.items()]
        notes += [("", note) for note in table.notes] if number + 1 == len(table.parts) else []
        title = table.title + (f" ({number + 1} of {len(table.parts)})" if len(table.parts) > 1 else "")
        compared = [cell for cell in mine if cell["comparable"]]
        measured = INTRODUCTION + (COUNTED if any(map(_is_counted, compared)) else "")
        measured += NOTHING if all(map(_is_counted, compared)) else ""
        result.append(Sheet(title, columns, tuple(lines), measured.strip(), tuple(notes)))
    for number in range(len(table.parts)):
        result += _beside(table, number, parts[number,])
    return result


def _grouped(cells: Sequence[Mapping], *keys: str) -> dict[tuple, list[Mapping]]:
    groups: dict[tuple, list[Mapping]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell[key] for key in keys), []).append(cell)
    return groups


def _text(name: str) -> Column:
    return Column(name, text=True)


def _heads(table: Description, part: int) -> list[Column]:
    return [
        Column(_head(table.document, measure), group.group, measure == "sources")
        for group in table.parts[part].columns
        for measure in group.measures
    ]


def _head(document: str, measure: str) -> str:
    if measure.startswith("rank"):
        return RANKS[document].format(measure.removeprefix("rank"))
    return HEADS.get(measure, measure)


def _lines(row: Row, cells: Sequence[Mapping], known: Mapping, marks: dict[str, str]) -> Iterator[Line]:
    """Yield a row's published line, then each measured or counted line and its difference to it."""
    shown = [
        Cell(same[0]["printed"], _letter(same[0]["mark"], marks), same[0]["bold"])
        for same in _grouped(cells, "column").values()
    ]
    fronts = [Cell(text) for text in row.label]
    yield Line((*fronts, Cell("published"), Cell(obtained(row, known)), *shown), "published")
    blank = [Cell("")] * len(row.label)
    for line in _grouped([cell for cell in cells if cell["comparable"]], *LINE).values():
        kind = "counted" if _is_counted(line[0]) else "measured"
        how = [Cell(kind), Cell(description(line))]
        yield Line((*blank, *how, *_spread(line, len(shown))), kind)
        over_splits = {cell["column"]: cell["std_splits"] for cell in line}
        if any(value == value for value in over_splits.values()):
            values = [over_splits.get(number, float("nan")) for number in range(len(shown))]
            texts = [Cell(f"{value:.1f}" if value == value else "") for value in values]
            yield Line(
                (*blank, Cell("over splits"), Cell("standard deviation, mean over seeds"), *texts), "spread"
            )
        gaps = {cell["column"]: _gap(cell["measure"], cell["difference"]) for cell in line}
        texts = [Cell(gaps.get(number, "")) for number in range(len(shown))]
        yield Line((*blank, Cell("difference"), Cell(f"{kind} - published"), *texts), "difference")


def _is_counted(cell: Mapping) -> bool:
    """Whether a cell is counted from the code; such a cell has no method."""
    return not cell["method"]


def _gap(measure: str, value: float) -> str:
    """Write a difference with as many decimal places as the published number has."""
    return signed(value, 0 if measure in WHOLE else 2 if measure == MILLIONS else 1)


def _letter(explanation: str, marks: dict[str, str]) -> str:
    """Give each new explanation the next letter, a, b, c ...; a repeated one keeps its letter."""
    return marks.setdefault(explanation, chr(ord("a") + len(marks))) if explanation else ""


def description(line: Sequence[Mapping]) -> str:
    """Describe what a line shows, from its cells.

    A measured line reads `as released: MetaBIN, resnet50, full data, recipe metabin, 3 seeds`, a counted one
    `from the code: resnet50, every norm a batch-instance norm`.

    Args:
        line: its cells.
    """
    first = line[0]
    if _is_counted(first):
        return f"{first['provenance']}: {first['backbone']}, {first['title']}"
    title = first["title"] + (f" ({first['changes']})" if first["changes"] else "")
    recipes = "+".join(dict.fromkeys(cell["recipe"] for cell in line))
    counts = [cell["seeds"] for cell in line]
    seeds = plural(counts[0], "seed") if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} seeds"
    facts = (title, first["backbone"], f"{first['data']} data", f"recipe {recipes}", seeds)
    return f"{first['provenance']}: {', '.join(facts)}"


def _spread(line: Sequence[Mapping], columns: int) -> list[Cell]:
    texts = {}
    for cell in line:
        whole, deviation = cell["measure"] in WHOLE, cell["std_seeds"]
        text = f"{cell['mean']:,.0f}" if whole else f"{cell['mean']:.1f}"
        text = f"{cell['mean']:.2f}M" if cell["measure"] == MILLIONS else text
        several = deviation == deviation and not whole
        texts[cell["column"]] = f"{text} ± {deviation:.1f}" if several else text
    return [Cell(texts.get(number, "")) for number in range(columns)]


def _beside(table: Description, part: int, cells: Sequence[Mapping]) -> Iterator[Sheet]:
    """Yield a sheet per data kind and protocol of the runs that cannot be compared with the paper."""
    others = [cell for cell in cells if cell["method"] and not cell["comparable"]]
    heads = _heads(table, part)
    for (data, protocol), mine in sorted(_grouped(others, "data", "protocol").items()):
        lines = []
        for line in _grouped(mine, *LINE).values():
            once = [same[0] for same in _grouped(line, "column").values()]
            rows = ", ".join(dict.fromkeys(cell["label"] or f"row {cell['row']}" for cell in line))
            texts = [Cell(description(once)), Cell(rows), *_spread(once, len(heads))]
            lines.append(Line(tuple(texts), "beside"))
        targets = ", ".join(dict.fromkeys(name for cell in mine for name in cell["evaluated"].split("+")))
        title = f"Not comparable with the paper: {data} data, protocol {protocol} ({targets})"
        yield Sheet(title, (_text("Method"), _text("In place of"), *heads), tuple(lines), BESIDE)
