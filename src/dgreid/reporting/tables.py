"""Lay out the scores of a selection as Table 1 of the MetaBIN paper does: as data, and as sheets to render.

A `Block` holds the scores of one protocol. Numbers of different data kinds (miniature, partial, unverified,
full) never share a block, and published numbers have sheets of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dgreid.errors import UserError
from dgreid.evaluation.statistics import Spread, over_seeds
from dgreid.papers import reference
from dgreid.paths import METRICS
from dgreid.reporting.differences import AVERAGE, Gap, by_target
from dgreid.runs import recorded
from dgreid.runs.recorded import SETTINGS, plural
from dgreid.sheets import Column, Sheet, line

COLUMNS = {"rank1": "R-1", "rank5": "R-5", "rank10": "R-10", "mAP": "mAP"}
AVERAGES = {"rank1": "R-1", "mAP": "mAP"}  # the two that Table 1 has of the average
EXTRA = ("mAP_trapezoid", "mINP")  # in the frame only
PAPER_TARGETS = {"viper": "VIPeR", "prid": "PRID", "grid": "GRID", "ilids": "iLIDS", "average": AVERAGE}
FRAME = ["data", "protocol", "title", *SETTINGS, "provenance", "seeds", "target", "measure", "mean", "std"]
FRAME += recorded.ORIGIN


@dataclass(frozen=True)
class Row:
    """One method under the same settings: its scores per (target, measure), target "Average" included."""

    title: str
    backbone: str
    provenance: str
    seeds: tuple[int, ...]
    scores: Mapping[tuple[str, str], Spread]
    settings: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """The scores of one protocol, its differences to the baseline, and the published rows."""

    protocol: str
    data: str
    targets: tuple[str, ...]
    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...]
    published: tuple[Row, ...]

    @property
    def columns(self) -> list[tuple[str, str, str]]:
        """Return (target, measure, heading) of every column of numbers, the average first."""
        average = [(AVERAGE, measure, name) for measure, name in AVERAGES.items()]
        return average + [(t, m, name) for t in self.targets for m, name in COLUMNS.items()]

    @property
    def comparable(self) -> bool:
        """Whether the published rows were trained and tested on the same data."""
        return self.data == "full" and self.protocol == "metabin_dg"

    @property
    def note(self) -> str:
        """Say whether the published rows can be compared with the scores."""
        if self.comparable:
            return (
                "Published for the same data; the random splits of VIPeR, PRID and i-LIDS are "
                "our own, because the authors' are not public."
            )
        if self.data == "full":
            return "Published for other training data: not comparable with the scores above."
        return (
            f"Published for the real, full data sets. The scores above are on {self.data} data: the two are "
            "not comparable, and these rows are for reference only."
        )


def blocks(matrix: Mapping, metrics: Mapping[str, Mapping], gaps: Sequence[Gap]) -> list[Block]:
    """Make one block per protocol of the selection.

    Args:
        matrix: the selection.
        metrics: run name -> the content of its JSON.
        gaps: of `differences.differences`.

    Raises:
        UserError: runs of one protocol were evaluated on different kinds of data.
    """
    result = []
    for protocol in matrix["protocols"]:
        mine = [metrics[name] for name, run in matrix["runs"].items() if run["protocol"] == protocol]
        if not mine:
            continue
        kinds = sorted({run["data"] for run in mine})
        if len(kinds) > 1:
            raise UserError(
                f"{METRICS}: runs of protocol {protocol} were evaluated on {' and '.join(kinds)} data;"
                " evaluate them again."
            )
        targets = tuple(mine[0]["targets"])
        groups = recorded.grouped(mine)
        titles = recorded.titles(groups)
        rows = tuple(_row(titles[key], group, targets) for key, group in groups.items())
        compared = tuple(gap for gap in gaps if gap.protocol == protocol)
        result.append(Block(protocol, kinds[0], targets, rows, compared, tuple(published())))
    return result


def _row(title: str, group: Sequence[Mapping], targets: Sequence[str]) -> Row:
    scores = {}
    for measure in (*COLUMNS, *EXTRA):
        scores[AVERAGE, measure] = over_seeds([run["average"][measure] for run in group])
        for target in targets:
            scores[target, measure] = over_seeds([run["targets"][target][measure] for run in group])
    first = group[0]
    numbers = [key for key, value in first["cost"].items() if isinstance(value, int | float)]
    cost = {key: sum(run["cost"][key] for run in group) / len(group) for key in numbers}
    seeds = tuple(run["seed"] for run in group)
    settings = {key: first[key] for key in SETTINGS}
    about = title, first["backbone"], first["provenance"]
    return Row(*about, seeds, scores, settings, cost, recorded.origin(group))


def published() -> list[Row]:
    """Return the rows of Table 1 of the MetaBIN paper."""
    cells = reference.results()
    cells = cells[(cells["document"] == "metabin") & (cells["table"] == "T1")]
    rows = []
    for _, row in cells.groupby("row", sort=False):
        scores = {
            (PAPER_TARGETS[cell.target], cell.metric): Spread(cell.number, float("nan"))
            for cell in row.itertuples()
        }
        rows.append(Row(row["method"].iloc[0], row["backbone"].iloc[0], "printed", (), scores))
    return rows


PUBLISHED_COLUMNS = [(AVERAGE, measure, name) for measure, name in AVERAGES.items()] + [
    (target, measure, name)
    for target in ("VIPeR", "PRID", "GRID", "iLIDS")
    for measure, name in COLUMNS.items()
]


def number(spread: Spread | None, sign: str = " ± ") -> str:
    """Write a score with one decimal, and the deviation over seeds if there are several; `-` if unknown."""
    if spread is None:
        return "-"
    text = f"{spread.mean:.1f}"
    return text if spread.deviation != spread.deviation else f"{text}{sign}{spread.deviation:.1f}"


def gap_text(gaps: Sequence[Gap]) -> str:
    """Write the gaps of one method on one target as `R-1 +1.2 [+0.3, +2.1], mAP ... (3 seeds)`.

    One seed has no interval.
    """
    parts = []
    for gap in gaps:
        interval = f" [{gap.seeds_low:+.1f}, {gap.seeds_high:+.1f}]" if gap.seeds > 1 else ""
        parts.append(f"{COLUMNS[gap.measure]} {gap.difference:+.1f}{interval}")
    return f"{', '.join(parts)} ({plural(gaps[0].seeds, 'seed')})"


GAPS = (
    "Difference to the baseline, seed by seed: mean and 95 % interval over trainings (Student's t; none for "
    "one seed, wide for few)."
)
SCORES = (
    "Percent. Mean over splits, then mean ± standard deviation over seeds (no deviation for one seed). "
    "mAP by the step definition; the trapezoid one, which is lower, and mINP are in the CSV."
)


def heading(title: str, block: Block) -> str:
    """Write the heading of a block: title, data kind and protocol."""
    return f"{title}: {block.data} data, protocol {block.protocol}"


def sheets(title: str, content: Sequence[Block]) -> list[Sheet]:
    """Make two sheets per block: scores, with differences to the baseline below, and published rows."""
    result = []
    for block in content:
        fronts = ("Method", "Backbone", "Provenance")
        texts = [(row.title, row.backbone, row.provenance, str(len(row.seeds))) for row in block.rows]
        notes = [
            f"{first.title} - {first.baseline_title}, {first.backbone}, {first.target}: {gap_text(same)}"
            for same in by_target(block.gaps)
            for first in same[:1]
        ]
        notes = [f"Against the baseline, {block.data} data. {GAPS}", *notes] if notes else []
        scores = _sheet(heading(title, block), fronts, ("Seeds",), texts, block.rows, block.columns)
        result.append(_with(scores, SCORES, notes))
        texts = [(row.title, row.backbone) for row in block.published]
        heads = "Published in the MetaBIN paper, Table 1"
        shown = _sheet(heads, fronts[:2], (), texts, block.published, PUBLISHED_COLUMNS)
        result.append(_with(shown, block.note, []))
    return result


def _sheet(title: str, fronts, counts, texts, rows: Sequence[Row], columns) -> Sheet:
    heads = [Column(name, text=True) for name in fronts] + [Column(name) for name in counts]
    heads += [Column(name, target) for target, _, name in columns]
    lines = [
        line([*text, *(number(row.scores.get((target, measure))) for target, measure, _ in columns)])
        for text, row in zip(texts, rows, strict=True)
    ]
    return Sheet(title, tuple(heads), tuple(lines))


def _with(sheet: Sheet, introduction: str, notes: Sequence[str]) -> Sheet:
    return Sheet(sheet.title, sheet.columns, sheet.lines, introduction, tuple(("", note) for note in notes))


def frame(content: Sequence[Block]) -> pd.DataFrame:
    """Make one line per number, with its data kind; that of published numbers is `printed`."""
    lines = []
    for block in content:
        for row in block.rows:
            settings = [row.settings[key] for key in SETTINGS]
            fixed = [block.data, block.protocol, row.title, *settings, row.provenance, len(row.seeds)]
            lines += _numbers_of(fixed, row)
    for row in content[0].published if content else ():
        lines += _numbers_of(["printed", "metabin_dg", row.title, row.backbone, "", "", "printed", None], row)
    return pd.DataFrame(lines, columns=FRAME).astype({"seeds": "Int64"})


def _numbers_of(fixed: list, row: Row) -> list[list]:
    origin = [row.origin.get(key, "") for key in recorded.ORIGIN]
    return [
        [*fixed, target, measure, round(spread.mean, 4), round(spread.deviation, 4), *origin]
        for (target, measure), spread in row.scores.items()
    ]
