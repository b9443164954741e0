"""What all figures share: labels, colours, sizes, and how they are saved, with the same bytes every time."""

import logging
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import style as matplotlib_style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from dgreid.files import whole
from dgreid.runs import recorded
from dgreid.sheets import csv

# Okabe and Ito: colour-blind readers can tell them apart; in grey, line styles and markers do
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
POINTS_WITHOUT_MARKERS = 15  # a line with so many points, or more, gets no markers
WIDTH = 6.9  # inches: both columns of a page, so that text has its nominal size on paper
LOOK = {
    "figure.dpi": 160,
    "savefig.dpi": 160,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "figure.titlesize": 8.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,  # whole fonts: publishers refuse Type 3
}
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it would log every font it embeds


class Group(NamedTuple):
    """Runs of one method that differ only in their seed."""

    label: str  # the method's title, and the settings in which the groups of the figure differ
    runs: list[Mapping]  # their metrics, seeds rising

    @property
    def first(self) -> Mapping:
        """The run with the lowest seed."""
        return self.runs[0]


def grouped(metrics: Iterable[Mapping]) -> list[Group]:
    """Group runs that differ only in their seed; a label names the settings in which groups differ."""
    by_protocol: dict[tuple, list[Mapping]] = {}
    for run in metrics:
        by_protocol.setdefault((run["data"], run["protocol"]), []).append(run)
    found = [group for part in by_protocol.values() for group in recorded.grouped(part).values()]
    varied = [
        key
        for key in ("backbone", "protocol", "recipe", "image", "data")
        if len({group[0][key] for group in found}) > 1
    ]
    return [
        Group(", ".join([recorded.title(group[0]), *(group[0][key] for key in varied)]), group)
        for group in found
    ]


def histories_of(
    groups: Iterable[Group], histories: Mapping[str, pd.DataFrame]
) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Yield method (the group's label), run and seed of every run that has a history, and the history."""
    for group in groups:
        for run in group.runs:
            history = histories.get(run["run"])
            if history is not None and len(history):
                yield {"method": group.label, "run": run["run"], "seed": run["seed"]}, history


def panels(
    count: int, across: int = 2, height: float = 1.9, extra: float = 0.8, **options
) -> tuple[Figure, list[Axes]]:
    """Make a figure of page width with `count` panels, row by row, each `height` inches high.

    Args:
        count: number of panels.
        across: panels in a row, at most.
        height: of a panel, inches.
        extra: inches for the title, the legend and whatever else the panels share.
        options: of `Figure.subplots`.
    """
    across = min(across, count)
    down = -(-count // across)
    width = WIDTH if across > 1 else 0.75 * WIDTH
    figure = Figure(figsize=(width, extra + height * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, **options)
    for panel in grid.flat[count:]:
        panel.remove()
    return figure, list(grid.flat[:count])


def title(figure: Figure, text: str) -> None:
    """Set the figure's title, in as many lines of similar length as it needs."""
    most = int(15 * figure.get_figwidth())  # 15 letters per inch
    even = len(text) // -(-len(text) // most) + 9  # room for a word that does not fit
    lines = textwrap.wrap(text, min(even, most))
    figure.suptitle("\n".join(lines))
    _more_lines(figure, len(lines))


def name(panel: Axes, text: str) -> None:
    """Set a panel's title, in as many lines as it needs."""
    panel.set_title(textwrap.fill(text, 92 // panel.get_gridspec().ncols))


def legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """Draw one legend below all panels, each label once, in as many columns as fit."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    each = 0.6 + 0.06 * max(map(len, entries))  # inches of the longest entry
    columns = min(len(entries), max(1, int(figure.get_figwidth() / each)))
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=columns)
    _more_lines(figure, -(-len(entries) // columns))


def _more_lines(figure: Figure, lines: int) -> None:
    """Make the figure higher for a text of several lines; `panels` leaves room for one."""
    figure.set_figheight(figure.get_figheight() + 0.15 * (lines - 1))


def band(panel: Axes, frame: pd.DataFrame, x: str, y: str, number: int, label: str) -> None:
    """Draw the mean over seeds against `x` as a line, lowest to highest as a band."""
    over = frame.groupby(x)[y].agg(["mean", "min", "max"])
    colour = COLOURS[number % len(COLOURS)]
    if (over["max"] > over["min"]).any():
        panel.fill_between(over.index, over["min"], over["max"], color=colour, alpha=0.18, lw=0)
    look = {"color": colour, "ls": LINES[number % len(LINES)], **marker(number, len(over))}
    panel.plot(over.index, over["mean"], label=label, **look)


def marker(number: int, points: int) -> dict[str, Any]:
    """Choose a line's marker; none if its points are so many that markers would hide one another."""
    return {"marker": MARKERS[number % len(MARKERS)], "ms": 3.5} if points < POINTS_WITHOUT_MARKERS else {}


def spread(values: pd.Series) -> float:
    """Compute the standard deviation over seeds; zero for one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def wide(values: Iterable[float]) -> bool:
    """Whether the values need a logarithmic axis: all positive, and spanning more than one decade."""
    some = np.asarray(list(values), float)
    return bool(some.min() > 0 and some.max() / some.min() > 10)


def logarithmic(panel: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2 and 5 of each decade that do not overlap."""
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter(NullFormatter())


@contextmanager
def applied() -> Iterator[None]:
    """Draw with matplotlib's defaults and LOOK, whatever the user's own matplotlib settings are."""
    with matplotlib_style.context(["default", LOOK]):
        yield


def save(figure: Figure, frame: pd.DataFrame, stem: Path) -> None:
    """Write `stem`.csv, .png and .pdf, without dates and versions: the same numbers give the same bytes."""
    with whole(f"{stem}.csv") as part:
        part.write_text(csv(frame, "%.6g"), encoding="utf-8")
    figure.align_labels()
    figure.draw_without_rendering()  # lays the panels out, once for both files
    figure.set_layout_engine("none")
    for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None, "Producer": None})):
        with whole(f"{stem}.{suffix}") as part:
            figure.savefig(part, format=suffix, metadata=metadata)
