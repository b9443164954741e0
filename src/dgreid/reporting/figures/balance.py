"""Gates of BIN layers: how much batch and how much instance normalisation each layer keeps.

MetaBIN, figures 4, S4 and S5.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dgreid.reporting import style
from dgreid.reporting.style import Group

ORDER, TITLE = 1, "Gates per layer"
CAPTION = (
    "The gates of every norm layer after training: 1 keeps the batch's statistics, 0 the image's own; "
    "median, mean and quantiles over channels, one panel per run, or per method if there are many runs."
)
MOST_RUNS = 8  # runs; if there are more, only the lowest seed of each method is shown
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
BLUE, ORANGE = style.COLOURS[:2]


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run and norm layer, as the metrics record it."""
    return pd.DataFrame(
        {"method": group.label, "run": run["run"], "seed": run["seed"], **layer}
        for group in groups
        for run in group.runs
        for layer in run.get("balance", ())
    )


def figure(frame: pd.DataFrame) -> Figure:
    """Draw bands between quantiles over the layers, one panel per run."""
    if frame["run"].nunique() > MOST_RUNS:
        frame = frame[frame["seed"] == frame.groupby("method")["seed"].transform("min")]
    groups = list(frame.groupby("run", sort=False))
    across = 2 if len(groups) <= MOST_RUNS else 3
    drawn, panels = style.panels(len(groups), across, sharey=True)
    for number, (panel, (_, lines)) in enumerate(zip(panels, groups, strict=True)):
        draw_run(panel, lines)
        if number + across >= len(groups):  # nothing below
            panel.set_xlabel("norm layer, from input to output" if across == 2 else "norm layer")
        seeds = frame.loc[frame["method"] == lines["method"].iloc[0], "seed"].nunique()
        seed = f", seed\u00a0{lines['seed'].iloc[0]}" if seeds > 1 else ""
        style.name(panel, lines["method"].iloc[0] + seed)
    for panel in panels[::across]:
        panel.set_ylabel("gate ρ")
    panels[0].set_ylim(np.floor(10 * frame["q05"].min()) / 10 - 0.02, 1.02)
    style.legend(drawn, panels)
    return drawn


def draw_run(panel: Axes, lines: pd.DataFrame) -> None:
    """Draw bands, median and mean of one run over its layers."""
    layer = lines["layer"].to_numpy()
    # steps as wide as a layer: layers are separate, there is nothing between two of them
    edges = np.concatenate([layer - 0.5, layer[-1:] + 0.5])
    for low, high, alpha, label in (("q05", "q95", 0.2, "5-95 %"), ("q25", "q75", 0.45, "25-75 %")):
        values = {"values": lines[high], "baseline": lines[low]}
        panel.stairs(edges=edges, fill=True, color=BLUE, alpha=alpha, lw=0, label=label, **values)
    for number, (left, right) in enumerate(pairwise(edges)):
        label = "median" if number == 0 else None
        panel.hlines(lines["q50"].iloc[number], left, right, color=BLUE, lw=1.6, label=label)
    panel.plot(layer, lines["mean"], "o", ms=3.2, color=ORANGE, mec="white", mew=0.5, label="mean")
    panel.set_xlim(edges[0], edges[-1])
    panel.locator_params(axis="x", integer=True)
    panel.grid(axis="x", visible=False)
