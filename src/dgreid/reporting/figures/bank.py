"""LDA's Buffer Bank: the statistics that the norms hold of each source domain (the poster's figure)."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dgreid.reporting import style
from dgreid.reporting.style import Group

ORDER, TITLE = 6, "Buffer Bank per source domain"
CAPTION = (
    "What the bank holds of each source domain, mean over channels, relative to the average of the domains: "
    "the mean in standard deviations σ, the variance as a ratio; domains of similar style lie close together."
)
LABELS = {"shift": "mean − average, in σ", "ratio": "variance ÷ average"}


def data(groups: Sequence[Group], histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Make one row per run, norm layer and domain, also relative to the average over domains."""
    frame = pd.DataFrame(
        {"method": group.label, "run": run["run"], "seed": run["seed"], **row}
        for group in groups
        for run in group.runs
        for row in run.get("bank", ())
    )
    if frame.empty:
        return frame
    # layers differ far more than domains: only relative to their average can domains be told apart
    average = frame.groupby(["run", "layer"])[["mean", "variance"]].transform("mean")
    shift = (frame["mean"] - average["mean"]) / average["variance"] ** 0.5
    return frame.assign(shift=shift, ratio=frame["variance"] / average["variance"])


def figure(frame: pd.DataFrame) -> Figure:
    """Draw means on the left, variances on the right, a row per method, a line per domain."""
    groups = list(frame.groupby("method", sort=False))
    domains = list(dict.fromkeys(frame["domain"]))
    drawn, panels = style.panels(2 * len(groups))
    for row, (method, part) in enumerate(groups):
        for panel, measure in zip(panels[2 * row : 2 * row + 2], ("shift", "ratio"), strict=True):
            over = part.groupby(["domain", "layer"])[measure].mean()
            for number, domain in enumerate(domains):
                if domain in over.index:
                    look = {"color": style.COLOURS[number % 7], "ls": style.LINES[number % 7]}
                    look |= style.marker(number, len(over[domain]))
                    panel.plot(over[domain].index, over[domain], label=domain, lw=1.0, **look)
            panel.set_ylabel(LABELS[measure])
            panel.set_xlabel("norm layer, from input to output")
            panel.locator_params(axis="x", integer=True)
        style.name(panels[2 * row], method)
    style.legend(drawn, panels)
    return drawn
