"""Scores against their cost: seconds of training and parameters, a point per method."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dgreid.reporting import style
from dgreid.reporting.style import Group
from dgreid.runs import recorded

ORDER, TITLE = 7, "Scores and their cost"
CAPTION = (
    "Average Rank-1 against the seconds of training on one kind of device and against the number of "
    "parameters: mean and, as bars, standard deviation over seeds."
)
LABELS = {"seconds": "seconds of training", "parameters": "parameters, millions"}


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run, if at least two methods were trained on the same kind of device."""
    frame = pd.DataFrame(
        {
            "panel": f"{run['protocol']} ({run['data']} data), {recorded.device(run)}",
            "method": group.label,
            "run": run["run"],
            "seed": run["seed"],
            "rank1": run["average"]["rank1"],
            "mAP": run["average"]["mAP"],
            "seconds": run["cost"]["seconds"],
            "parameters": run["cost"]["parameters"] / 1e6,
        }
        for group in plain(groups)
        for run in group.runs
    )
    if frame.empty:
        return frame
    return frame[frame.groupby("panel")["method"].transform("nunique") > 1]


def plain(groups: Sequence[Group]) -> list[Group]:
    """Leave out groups with overrides if the unchanged method is here: they cost the same."""
    unchanged = {
        recorded.group_key(group.first)[:-1] for group in groups if not recorded.changes(group.first)
    }
    return [
        group
        for group in groups
        if not recorded.changes(group.first) or recorded.group_key(group.first)[:-1] not in unchanged
    ]


def figure(frame: pd.DataFrame) -> Figure:
    """Draw seconds on the left, parameters on the right, a row per protocol and device."""
    groups = list(frame.groupby("panel", sort=False))
    names = list(dict.fromkeys(frame["method"]))
    drawn, panels = style.panels(2 * len(groups), height=2.2)
    for row, (title, part) in enumerate(groups):
        for panel, measure in zip(panels[2 * row : 2 * row + 2], ("seconds", "parameters"), strict=True):
            over = part.groupby("method", sort=False)[["rank1", measure]].agg(["mean", style.spread])
            for name, point in over.iterrows():
                number = names.index(name)
                look = {"fmt": style.MARKERS[number % 11], "color": style.COLOURS[number % 7], "mec": "black"}
                x, y = point[measure], point["rank1"]
                panel.errorbar(
                    x["mean"],
                    y["mean"],
                    y["spread"],
                    x["spread"] or None,
                    label=name,
                    ms=6,
                    mew=0.5,
                    lw=1,
                    capsize=2,
                    **look,
                )
            if style.wide(over[measure]["mean"]):
                style.logarithmic(panel)
            else:
                panel.set_xlim(0, 1.08 * over[measure].sum(axis="columns").max())  # mean and deviation
            panel.set_xlabel(LABELS[measure])
            panel.set_ylabel("average R-1, %" if measure == "seconds" else "")
        style.name(panels[2 * row], title)
    style.legend(drawn, panels[::2])
    return drawn
