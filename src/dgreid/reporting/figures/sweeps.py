"""Scores against a changed number: loss weights, cycle, step size, split (MetaBIN, figures 2, S1, S3, S4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dgreid.errors import UserError
from dgreid.reporting import style
from dgreid.reporting.style import Group
from dgreid.runs import recorded
from dgreid.runs.config import load_run

ORDER, TITLE = 5, "Scores against a changed setting"
CAPTION = (
    "Average Rank-1 and mAP of runs that differ in one number, mean and standard deviation over seeds; "
    "dotted lines mark the unchanged run, and peak memory is shown if training ran on a GPU."
)
MEASURES, MEMORY = {"rank1": "R-1", "mAP": "mAP"}, {"memory_mib": "peak memory"}
LOOKS = [*MEASURES, *MEMORY]  # a measure keeps its colour and marker


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run of every setting with two or more changed values, and of its unchanged runs."""
    known = {(place(group.first), frozenset(recorded.changes(group.first))): group for group in groups}
    found: dict[tuple, list[tuple[float, Group]]] = {}
    for (where, words), group in known.items():
        for word in words:
            key, _, text = word.partition("=")
            if (value := number(text)) is not None:
                found.setdefault((where, words - {word}, key), []).append((value, group))
    rows = []
    for (where, rest, key), points in found.items():
        if len(points) > 1:
            for value, group in points:
                rows += row(group, key, rest, value, unchanged=False)
            if (where, rest) in known:
                group = known[where, rest]
                rows += row(group, key, rest, setting(group.first, key), unchanged=True)
    return pd.DataFrame(rows)


def row(group: Group, key: str, rest: frozenset[str], value: float | None, unchanged: bool) -> list[dict]:
    """Make one entry per seed of a group.

    Args:
        group: runs with the same value of the setting.
        key: the setting, such as method.margin.
        rest: their other overrides.
        value: of the setting; None if unknown.
        unchanged: whether params/ gives the value.
    """
    first = group.first
    where = f"{recorded.named(first)}, {first['backbone']}, {first['protocol']}"
    return [
        {
            "sweep": ", ".join([where, *sorted(rest)]),
            "setting": key,
            "value": value,
            "unchanged": unchanged,
            "run": run["run"],
            "seed": run["seed"],
            **{measure: run["average"][measure] for measure in MEASURES},
            "memory_mib": next(iter(recorded.scores(run, (), "memory_mib") or ()), None),
        }
        for run in group.runs
    ]


def place(run: Mapping) -> tuple:
    """Return what is equal for all runs of one sweep, besides their other overrides."""
    return tuple(run[key] for key in ("data", "protocol", "method", *recorded.SETTINGS))


def number(text: Any) -> float | None:
    """Convert a value to a number; None if it is not one."""
    try:
        return None if isinstance(text, bool) or text is None else float(text)
    except (TypeError, ValueError):
        return None


def setting(run: Mapping, key: str) -> float | None:
    """Return the number that params/ gives a run's setting; None if it is none, or the files are gone."""
    words = [f"{group}={run[group]}" for group in ("method", "backbone", "protocol", "recipe", "image")]
    try:
        node: Any = load_run(words).model_dump()
        for part in key.split("."):
            node = node[part]
    except (UserError, KeyError, TypeError):
        return None
    return number(node)


def figure(frame: pd.DataFrame) -> Figure:
    """Draw a panel per setting, and a second one with the memory if it was measured."""
    groups = []
    for (sweep, key), part in frame.groupby(["sweep", "setting"], sort=False):
        groups.append((sweep, key, part, MEASURES))
        if part["memory_mib"].notna().all():
            groups.append((sweep, key, part, MEMORY))
    drawn, panels = style.panels(len(groups))
    for panel, (sweep, key, part, measures) in zip(panels, groups, strict=True):
        values = sorted(set(part["value"].dropna()))
        panel.set_xscale(**scale(values))
        for measure, label in measures.items():
            draw_line(panel, part, measure, label)
        style.name(panel, sweep)
        panel.set_xlabel(key.removeprefix("method."))
        panel.set_ylabel("average, %" if measures is MEASURES else "peak memory, MiB")
        panel.set_xticks(values, [f"{value:g}" for value in values])
        panel.set_xticks([], minor=True)
    if frame["unchanged"].any():
        panels[0].plot([], [], color="0.3", ls=":", lw=0.9, label="unchanged")
    style.legend(drawn, [panel for panel, group in zip(panels, groups, strict=True) if group[3] is MEASURES])
    return drawn


def scale(values: Sequence[float]) -> dict[str, Any]:
    """Choose an axis scale for sorted values: logarithmic if they span decades, symlog if one is zero."""
    positive = [value for value in values if value > 0]
    if not positive or not style.wide(positive):
        return {"value": "linear"}
    return {"value": "log"} if positive == values else {"value": "symlog", "linthresh": positive[0]}


def draw_line(panel: Axes, part: pd.DataFrame, measure: str, label: str) -> None:
    """Draw means and deviations over seeds against the setting, and the unchanged run's level."""
    order = LOOKS.index(measure)
    colour = style.COLOURS[order]
    over = part.dropna(subset="value").groupby("value")[measure].agg(["mean", style.spread])
    line = {"color": colour, "ls": style.LINES[order], "marker": style.MARKERS[order]}
    panel.errorbar(over.index, over["mean"], over["spread"], label=label, capsize=2, elinewidth=0.8, **line)
    level = part.loc[part["unchanged"], measure].mean()
    if level == level:  # there is an unchanged run
        panel.axhline(level, color=colour, ls=":", lw=0.9)
