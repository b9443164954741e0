"""Meta-train and meta-test losses during training (MetaBIN, figure S2)."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dgreid.reporting import style
from dgreid.reporting.style import Group

ORDER, TITLE = 3, "Meta-learning losses during training"
CAPTION = (
    "The meta-train losses, which simulate failures, before they are weighted, and the meta-test loss: mean "
    "over seeds, bands from the lowest to the highest seed."
)
PARTS = {
    "meta_scatter": "scatter (meta-train)",
    "meta_shuffle": "shuffle (meta-train)",
    "meta_triplet": "triplet (meta-train)",
    "meta_cross_entropy": "cross-entropy (meta-train)",
}
WHOLE, TEST = {"meta_train": "meta-train"}, {"meta_test": "meta-test"}
LABELS = PARTS | WHOLE | TEST  # in this order everywhere: a loss keeps its colour and line


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run, row of its history and loss; if no single losses are recorded, of their sum."""
    parts = []
    for facts, history in style.histories_of(groups, histories):
        train = [name for name in PARTS if name in history] or [name for name in WHOLE if name in history]
        for name in [*train, *(name for name in TEST if name in history)]:
            time = {"iteration": history["iteration"], "epoch": history["epoch"]}
            parts.append(pd.DataFrame({**facts, **time, "loss": name, "value": history[name]}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def figure(frame: pd.DataFrame) -> Figure:
    """Draw a panel per method, a line per loss."""
    groups = list(frame.groupby("method", sort=False))
    names = [name for name in LABELS if name in set(frame["loss"])]
    drawn, panels = style.panels(len(groups))
    for panel, (method, part) in zip(panels, groups, strict=True):
        for name in names:
            lines = part[part["loss"] == name]
            if len(lines):
                style.band(panel, lines, "epoch", "value", list(LABELS).index(name), LABELS[name])
        style.name(panel, method)
        panel.set_xlabel("epoch")
        panel.set_ylabel("loss")
        panel.set_ylim(bottom=min(0.0, frame["value"].min()))
    style.legend(drawn, panels)
    return drawn
