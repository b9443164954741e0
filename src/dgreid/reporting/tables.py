"""Scores of a selection as Table 1 of the MetaBIN paper lays them out: Markdown, CSV and LaTeX.

A `Block` holds what one protocol has to show; the page renders the same blocks. Numbers of different data
kinds (miniature, partial, full) never share a block, and the papers' printed numbers have a table apart.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dgreid.errors import UserError
from dgreid.evaluation.statistics import Difference, Spread, over_seeds, paired_difference

REFERENCE = Path("data/reference/paper_results.csv")
COLUMNS = {"rank1": "R-1", "rank5": "R-5", "rank10": "R-10", "mAP": "mAP"}
AVERAGES = {"rank1": "R-1", "mAP": "mAP"}  # Table 1 prints no more of the average
EXTRA = ("mAP_trapezoid", "mINP")  # in the CSV only
BASELINE = "erm"
PAPER_TARGETS = {"viper": "VIPeR", "prid": "PRID", "grid": "GRID", "ilids": "iLIDS", "average": "Average"}


@dataclass(frozen=True)
class Row:
    """One system: its scores per (target, measure), target "Average" included."""

    title: str
    backbone: str
    provenance: str
    seeds: tuple[int, ...]
    scores: Mapping[tuple[str, str], Spread]
    settings: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gain:
    """A method minus the baseline on one target."""

    title: str
    baseline: str
    backbone: str
    target: str
    measures: Mapping[str, Difference]


@dataclass(frozen=True)
class Block:
    """What one protocol has to show."""

    protocol: str
    data: str
    targets: tuple[str, ...]
    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]
    printed: tuple[Row, ...]

    @property
    def columns(self) -> list[tuple[str, str, str]]:
        """(target, measure, heading) of every number column, the average first."""
        average = [("Average", measure, name) for measure, name in AVERAGES.items()]
        return average + [(t, m, name) for t in self.targets for m, name in COLUMNS.items()]

    @property
    def comparable(self) -> bool:
        """Whether the papers' rows were trained and tested on the same data."""
        return self.data == "full" and self.protocol == "metabin_dg"

    @property
    def note(self) -> str:
        """What may be concluded from the printed rows."""
        if self.comparable:
            return (
                "Printed in the papers for the same data; the random splits of VIPeR, PRID and i-LIDS are "
                "our own, because the authors' are not public."
            )
        if self.data == "full":
            return "Printed in the papers for other training data: not comparable with the scores above."
        return (
            "Printed in the papers for the real, full data sets. The scores above are of "
            f"{self.data} data: the two are not comparable, and these rows are here for reference only."
        )


def blocks(matrix: Mapping, metrics: Mapping[str, Mapping]) -> list[Block]:
    """One block per protocol of the matrix; `metrics` maps run names to the content of their JSON."""
    result = []
    for protocol in matrix["protocols"]:
        runs = [metrics[name] for name, run in matrix["runs"].items() if run["protocol"] == protocol]
        if not runs:
            continue
        kinds = sorted({run["data"] for run in runs})
        if len(kinds) > 1:
            raise UserError(
                f"reports/metrics: runs of protocol {protocol} were scored on {' and '.join(kinds)} data;"
                " evaluate them again."
            )
        groups: dict[tuple, list] = {}
        for run in runs:
            groups.setdefault(tuple(run[key] for key in ("method", *SETTINGS)), []).append(run)
        targets = tuple(runs[0]["targets"])
        rows = tuple(_row(group, targets) for group in groups.values())
        result.append(Block(protocol, kinds[0], targets, rows, tuple(_gains(groups)), tuple(printed())))
    return result


SETTINGS = ("backbone", "recipe", "image")


def _row(group: Sequence[Mapping], targets: Sequence[str]) -> Row:
    scores = {}
    for measure in (*COLUMNS, *EXTRA):
        scores["Average", measure] = over_seeds([run["average"][measure] for run in group])
        for target in targets:
            scores[target, measure] = over_seeds([run["targets"][target][measure] for run in group])
    first = group[0]
    cost = {key: sum(run["cost"][key] for run in group) / len(group) for key in _numbers(first["cost"])}
    seeds = tuple(sorted(run["seed"] for run in group))
    settings = {key: first[key] for key in SETTINGS}
    return Row(first["title"], first["backbone"], first["provenance"], seeds, scores, settings, cost)


def _numbers(cost: Mapping) -> list[str]:
    return [key for key, value in cost.items() if isinstance(value, int | float)]


def _gains(groups: Mapping[tuple, Sequence[Mapping]]) -> list[Gain]:
    """Every method against the baseline of the same settings, split by split and seed by seed."""
    gains = []
    for (method, *settings), group in groups.items():
        baseline = {run["seed"]: run for run in groups.get((BASELINE, *settings), ())}
        pairs = [(run, baseline[run["seed"]]) for run in group if run["seed"] in baseline]
        if method == BASELINE or not pairs:
            continue
        for target in group[0]["targets"]:
            measures = {
                measure: paired_difference(
                    *(
                        [
                            split[measure]
                            for pair in pairs
                            for split in pair[side]["targets"][target]["splits"]
                        ]
                        for side in (0, 1)
                    )
                )
                for measure in ("rank1", "mAP")
            }
            titles = group[0]["title"], pairs[0][1]["title"]
            gains.append(Gain(*titles, group[0]["backbone"], target, measures))
    return gains


def printed(path: Path | None = None) -> list[Row]:
    """The rows of Table 1 of the MetaBIN paper, as printed."""
    path = path or REFERENCE
    if not path.is_file():
        raise UserError(f"{path} is missing: restore it with `git checkout {path}`.")
    rows: dict[str, dict] = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if (line["document"], line["table"]) != ("metabin", "T1"):
                continue
            row = rows.setdefault(
                line["row"], {"title": line["method"], "backbone": line["backbone"], "of": {}}
            )
            key = PAPER_TARGETS[line["target"]], line["metric"]
            row["of"][key] = Spread(float(line["value"]), float("nan"))
    return [Row(row["title"], row["backbone"], "printed", (), row["of"]) for row in rows.values()]


def number(spread: Spread | None, sign: str = " ± ") -> str:
    """A score for reading: one decimal, with the deviation over seeds where there are several."""
    if spread is None:
        return "-"
    text = f"{spread.mean:.1f}"
    return text if spread.deviation != spread.deviation else f"{text}{sign}{spread.deviation:.1f}"


def gain_text(gain: Gain) -> str:
    """`R-1 +1.2 [0.3, 2.1], mAP ...`; no interval for a single pair."""
    parts = []
    for measure, gap in gain.measures.items():
        interval = f" [{gap.low:+.1f}, {gap.high:+.1f}]" if gap.pairs > 1 else ""
        parts.append(f"{COLUMNS[measure]} {gap.mean:+.1f}{interval}")
    pairs = next(iter(gain.measures.values())).pairs
    return f"{', '.join(parts)} ({pairs} pair{'s' if pairs > 1 else ''})"


GAINS = (
    "Difference to the baseline, pair by pair over seeds and splits: mean and 95 % interval (Student's t). "
    "Splits overlap and those of one seed share a trained model, so the intervals are too narrow."
)
SCORES = (
    "Percent. Mean over splits, then mean ± standard deviation over seeds (no deviation for one seed). "
    "mAP by the step definition; the trapezoid one, which is lower, and mINP are in the CSV."
)


def markdown(title: str, content: Sequence[Block]) -> str:
    """The tables as Markdown."""
    lines = []
    for block in content:
        lines += [f"# {heading(title, block)}", "", SCORES, ""]
        names = ["Method", "Backbone", "Provenance", "Seeds"]
        names += [f"{target} {name}" for target, _, name in block.columns]
        cells = [
            [row.title, row.backbone, row.provenance, str(len(row.seeds))]
            + [number(row.scores.get((target, measure))) for target, measure, _ in block.columns]
            for row in block.rows
        ]
        lines += _pipes(names, cells, text=3)
        if block.gains:
            lines += ["", f"## Against the baseline, {block.data} data", "", GAINS, ""]
            lines += [
                f"- {g.title} - {g.baseline}, {g.backbone}, {g.target}: {gain_text(g)}" for g in block.gains
            ]
        lines += ["", "## Printed in the MetaBIN paper, Table 1", "", block.note, ""]
        cells = [
            [row.title, row.backbone]
            + [number(row.scores.get((target, measure))) for target, measure, _ in PRINTED_COLUMNS]
            for row in block.printed
        ]
        names = ["Method", "Backbone"] + [f"{target} {name}" for target, _, name in PRINTED_COLUMNS]
        lines += [*_pipes(names, cells, text=2), ""]
    return "\n".join(lines)


PRINTED_COLUMNS = [("Average", measure, name) for measure, name in AVERAGES.items()] + [
    (target, measure, name)
    for target in ("VIPeR", "PRID", "GRID", "iLIDS")
    for measure, name in COLUMNS.items()
]


def heading(title: str, block: Block) -> str:
    """Title, protocol and, always, the data kind."""
    return f"{title}: {block.data} data, protocol {block.protocol}"


def _pipes(names: Sequence[str], cells: Sequence[Sequence[str]], text: int) -> list[str]:
    rule = ["---"] * text + ["---:"] * (len(names) - text)
    return ["| " + " | ".join(line) + " |" for line in (names, rule, *cells)]


def tidy(content: Sequence[Block]) -> str:
    """Every number as CSV, one per line, with its data kind; printed rows have data `printed`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    settings = ("title", *SETTINGS, "provenance", "seeds")
    writer.writerow(("data", "protocol", *settings, "target", "measure", "mean", "std"))
    for block in content:
        for row in block.rows:
            fixed = [block.data, block.protocol, row.title, *(row.settings[key] for key in SETTINGS)]
            _numbers_of(writer, [*fixed, row.provenance, len(row.seeds)], row)
    for row in content[0].printed if content else ():
        _numbers_of(writer, ["printed", "metabin_dg", row.title, row.backbone, "", "", "printed", ""], row)
    return out.getvalue()


def _numbers_of(writer, fixed: list, row: Row) -> None:
    for (target, measure), spread in row.scores.items():
        deviation = "" if spread.deviation != spread.deviation else f"{spread.deviation:.4f}"
        writer.writerow([*fixed, target, measure, f"{spread.mean:.4f}", deviation])
