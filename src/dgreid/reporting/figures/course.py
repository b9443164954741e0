"""Gates during training, layer by layer (MetaBIN, figure S6)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dgreid.reporting import style
from dgreid.reporting.style import Group

ORDER, TITLE = 2, "Gates during training"
CAPTION = (
    "Mean and standard deviation over channels of each norm layer's gates during training, mean over seeds: "
    "1 keeps the batch's statistics, 0 the image's own."
)
MEAN, STD = "balance_mean_", "balance_std_"  # columns of the history; the layer's number follows
LABELS = {"mean": "mean", "std": "deviation"}


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run, row of its history and layer."""
    parts = []
    for facts, history in style.histories_of(groups, histories):
        layers = [int(name.removeprefix(MEAN)) for name in history if name.startswith(MEAN)]
        for layer in layers:
            moved = {"mean": history[f"{MEAN}{layer}"], "std": history[f"{STD}{layer}"]}
            time = {"iteration": history["iteration"], "epoch": history["epoch"]}
            parts.append(pd.DataFrame({**facts, **time, "layer": layer, **moved}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def figure(frame: pd.DataFrame) -> Figure:
    """Draw layer against time, mean on the left, standard deviation on the right, a row per method."""
    groups = list(frame.groupby("method", sort=False))
    drawn, panels = style.panels(2 * len(groups), height=1.7, extra=0.5, sharex="row")
    lowest, highest = frame["mean"].min(), frame["std"].max()
    for row, (method, part) in enumerate(groups):
        for side, (measure, low, high) in enumerate((("mean", lowest, 1.0), ("std", 0.0, highest))):
            table = part.groupby(["layer", "epoch"])[measure].mean().unstack()  # (layers, times)
            panel = panels[2 * row + side]
            panel.grid(visible=False)
            time = table.columns.to_numpy()
            edges = np.concatenate([[0.0], time])  # a row of the history ends at its epoch
            layers = np.arange(len(table) + 1) + 0.5
            # its lightness changes evenly, so the map reads the same in grey
            shown = panel.pcolormesh(
                edges, layers, table, cmap="cividis", vmin=low, vmax=high, rasterized=True
            )
            panel.invert_yaxis()
            panel.locator_params(axis="y", integer=True)
            style.name(panel, method if side == 0 else "")
            panel.set_xlabel("epoch")
            panel.set_ylabel("norm layer" if side == 0 else "")
            drawn.colorbar(shown, ax=panel, pad=0.02, label=f"{LABELS[measure]} of ρ")
    return drawn
