"""The papers' tables laid out for reading: print's rows and columns, what was measured beneath each row.

A difference stands only under runs on full data and the paper's own protocol, and under what is counted from
the code. Every other run is in a sheet apart, without a printed number beside it.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dgreid import params
from dgreid.papers.tables import Description, Row, System
from dgreid.reporting.sheets import Cell, Column, Line, Sheet, signed
from dgreid.runs.systems import plural

RANKS = {"metabin": "R-{}", "m3l": "R{}", "lda": "Rank-{}"}  # as each document writes its headings
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
MILLIONS = "all_params_m"  # to two places, as printed
WHOLE = {"ids", "images", "cameras", "dim", "norm_layers", "balancing_params", "memory_mib"}
INTRODUCTION = (
    "Scores in percent. Printed numbers as printed; below a row, what runs of this project measure under the "
    "same protocol on full data, as mean ± standard deviation over seeds (none for one seed), and the "
    "difference to print. "
)
COUNTED = (
    "Counted lines come out of the code alone, without run or data: they are of the row's network, built "
    "without neck and classifier. "
)
BESIDE = (
    "Mean ± standard deviation over seeds, in the shape of the table above: other data, other networks, "
    "another budget. No number here says anything about a printed one."
)
SYSTEM = ("title", "provenance", "changes", "backbone")  # one line of measured numbers
NOTHING = "No run of this project measures any row on full data yet."


def methods() -> dict[str, dict[str, str]]:
    """Title and provenance of every configured method."""
    found = {}
    for name in params.names("method"):
        node = params.read("method", name)
        found[name] = {key: str(node.get(key, "")) for key in ("title", "provenance")}
    return found


def obtained(row: Row, known: Mapping[str, Mapping[str, str]]) -> str:
    """How a row is obtained: `quoted only`, or the provenance of each method that fills it."""
    groups: dict[str, list[str]] = {}
    for method in dict.fromkeys(System.parse(text).method for text in row.runs):
        provenance = known[method]["provenance"] if method in known else "not configured"
        groups.setdefault(provenance, []).append(method)
    return "; ".join(f"{how}: {', '.join(names)}" for how, names in groups.items()) or "quoted only"


def sheets(table: Description, frame: pd.DataFrame, known: Mapping[str, Mapping[str, str]]) -> list[Sheet]:
    """The printed table part by part, then one sheet for every smaller kind of data it was run on.

    Args:
        table: the description.
        frame: of `papers.cells`.
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
    """The printed line, then per system, or network, its measured or counted line and the difference."""
    shown = [
        Cell(same[0]["printed"], _letter(same[0]["mark"], marks), same[0]["bold"])
        for same in _grouped(cells, "column").values()
    ]
    fronts = [Cell(text) for text in row.label]
    yield Line((*fronts, Cell("printed"), Cell(obtained(row, known)), *shown), "printed")
    blank = [Cell("")] * len(row.label)
    for system in _grouped([cell for cell in cells if cell["comparable"]], *SYSTEM).values():
        kind = "counted" if _is_counted(system[0]) else "measured"
        how = [Cell(kind), Cell(description(system))]
        yield Line((*blank, *how, *_spread(system, len(shown))), kind)
        over_splits = {cell["column"]: cell["std_splits"] for cell in system}
        if any(value == value for value in over_splits.values()):
            values = [over_splits.get(number, float("nan")) for number in range(len(shown))]
            texts = [Cell(f"{value:.1f}" if value == value else "") for value in values]
            yield Line(
                (*blank, Cell("over splits"), Cell("standard deviation, mean over seeds"), *texts), "spread"
            )
        gaps = {cell["column"]: _gap(cell["measure"], cell["difference"]) for cell in system}
        texts = [Cell(gaps.get(number, "")) for number in range(len(shown))]
        yield Line((*blank, Cell("difference"), Cell(f"{kind} - printed"), *texts), "difference")


def _is_counted(cell: Mapping) -> bool:
    """Whether a measured cell is from the code: no method was run."""
    return not cell["method"]


def _gap(measure: str, value: float) -> str:
    """A difference to as many places as print has."""
    return signed(value, 0 if measure in WHOLE else 2 if measure == MILLIONS else 1)


def _letter(explanation: str, marks: dict[str, str]) -> str:
    """a, b, c ... in order of appearance; the same explanation has the same letter."""
    return marks.setdefault(explanation, chr(ord("a") + len(marks))) if explanation else ""


def description(system: Sequence[Mapping]) -> str:
    """`as released: MetaBIN, resnet50, full data, recipe metabin, 3 seeds`, of one system's cells.

    Of a network's: `from the code: resnet50, every norm a batch-instance norm`.
    """
    first = system[0]
    if _is_counted(first):
        return f"{first['provenance']}: {first['backbone']}, {first['title']}"
    title = first["title"] + (f" ({first['changes']})" if first["changes"] else "")
    recipes = "+".join(dict.fromkeys(cell["recipe"] for cell in system))
    counts = [cell["seeds"] for cell in system]
    seeds = plural(counts[0], "seed") if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)} seeds"
    facts = (title, first["backbone"], f"{first['data']} data", f"recipe {recipes}", seeds)
    return f"{first['provenance']}: {', '.join(facts)}"


def _spread(system: Sequence[Mapping], columns: int) -> list[Cell]:
    texts = {}
    for cell in system:
        whole, deviation = cell["measure"] in WHOLE, cell["std_seeds"]
        text = f"{cell['mean']:,.0f}" if whole else f"{cell['mean']:.1f}"
        text = f"{cell['mean']:.2f}M" if cell["measure"] == MILLIONS else text
        several = deviation == deviation and not whole
        texts[cell["column"]] = f"{text} ± {deviation:.1f}" if several else text
    return [Cell(texts.get(number, "")) for number in range(columns)]


def _beside(table: Description, part: int, cells: Sequence[Mapping]) -> Iterator[Sheet]:
    """One sheet per data kind and protocol of the runs that are not comparable with print."""
    others = [cell for cell in cells if cell["method"] and not cell["comparable"]]
    heads = _heads(table, part)
    for (data, protocol), mine in sorted(_grouped(others, "data", "protocol").items()):
        lines = []
        for system in _grouped(mine, *SYSTEM).values():
            once = [same[0] for same in _grouped(system, "column").values()]
            rows = ", ".join(dict.fromkeys(cell["label"] or f"row {cell['row']}" for cell in system))
            texts = [Cell(description(once)), Cell(rows), *_spread(once, len(heads))]
            lines.append(Line(tuple(texts), "beside"))
        searched = ", ".join(dict.fromkeys(name for cell in mine for name in cell["searched"].split("+")))
        title = f"Not comparable with print: {data} data, protocol {protocol} ({searched})"
        yield Sheet(title, (_text("Method"), _text("In place of"), *heads), tuple(lines), BESIDE)
