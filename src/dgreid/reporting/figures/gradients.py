"""Gradients of each meta-train loss on the gates in the inner step (MetaBIN, figure 5)."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dgreid.reporting import style
from dgreid.reporting.style import Group

ORDER, TITLE = 4, "Gradients of the inner step by loss"
CAPTION = (
    "Gradient of each meta-train loss with respect to the gates of all layers: its mean, positive if the "
    "loss pulls towards the instance norm and negative if towards the batch norm, and its norm."
)
MEAN, NORM = "gradient_mean_", "gradient_norm_"
LOSSES = ("scatter", "shuffle", "triplet", "cross_entropy")


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run, loss and measurement."""
    parts = []
    for facts, history in style.histories_of(groups, histories):
        for loss in LOSSES:
            if f"{MEAN}{loss}" in history:
                time = {"iteration": history["iteration"], "epoch": history["epoch"], "loss": loss}
                found = {"mean": history[f"{MEAN}{loss}"], "norm": history[f"{NORM}{loss}"]}
                parts.append(pd.DataFrame({**facts, **time, **found}).dropna())
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def figure(frame: pd.DataFrame) -> Figure:
    """Draw means on the left, norms on the right, a row per method."""
    groups = list(frame.groupby("method", sort=False))
    drawn, panels = style.panels(2 * len(groups))
    for row, (method, part) in enumerate(groups):
        left, right = panels[2 * row : 2 * row + 2]
        for number, loss in enumerate(LOSSES):
            lines = part[part["loss"] == loss]
            if len(lines):
                style.band(left, lines, "epoch", "mean", number, loss.replace("_", "-"))
                style.band(right, lines, "epoch", "norm", number, loss.replace("_", "-"))
        left.axhline(0, color="0.3", lw=0.8)
        style.name(left, method)
        left.set_ylabel("mean of ∂ loss / ∂ ρ\n(+ to instance norm)")
        right.set_ylabel("norm of ∂ loss / ∂ ρ")
        for panel in (left, right):
            panel.set_xlabel("epoch")
        right.set_ylim(bottom=0)
    style.legend(drawn, panels)
    return drawn
