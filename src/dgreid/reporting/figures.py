"""Balance parameters of BIN layers: how much batch and how much instance normalisation each layer keeps."""

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dgreid.files import whole

FIELDS = ("run", "layer", "name", "channels", "mean", "q05", "q25", "q50", "q75", "q95", "at_0", "at_1")
BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito: told apart by colour-blind readers and in grey
NOTHING = "No run of this selection has balance parameters."


def write_balance(lines: Sequence[Mapping], titles: Mapping[str, str], stem: Path, title: str) -> None:
    """Write `stem`.csv, .png and .pdf: one panel per run; all three also when there is nothing to show.

    Args:
        lines: rows of `dgreid.evaluation.balance.balance_table`, with the run's name as `run`.
        titles: of the panels, by run.
    """
    with whole(stem.with_name(stem.name + ".csv")) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    figure = balance_figure(lines, titles, title)
    # no dates and no versions: the same numbers give the same bytes
    for suffix, metadata in (
        (".png", {"Software": None}),
        (".pdf", {"CreationDate": None, "Producer": None}),
    ):
        with whole(stem.with_name(stem.name + suffix)) as part:
            figure.savefig(part, format=suffix[1:], dpi=160, metadata=metadata)


def balance_figure(lines: Sequence[Mapping], titles: Mapping[str, str], title: str) -> Figure:
    """Bands between quantiles over the layers, one panel per run."""
    runs = list(dict.fromkeys(line["run"] for line in lines))
    if not runs:
        figure = Figure(figsize=(6.4, 1.6), layout="constrained")
        figure.text(0.5, 0.5, NOTHING, ha="center", va="center", color="0.3")
        return figure
    across = min(2, len(runs))
    down = -(-len(runs) // across)
    figure = Figure(figsize=(1.2 + 4.2 * across, 1.0 + 2.3 * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False)
    for panel, run in zip(panels.flat, runs, strict=False):
        draw_run(panel, [line for line in lines if line["run"] == run])
        panel.set_title(titles.get(run, run), fontsize=9, loc="left")
    for panel in panels.flat[len(runs) :]:
        panel.set_axis_off()
    for panel in panels[:, 0]:
        panel.set_ylabel("balance ρ", fontsize=8)
    lowest = min(line["q05"] for line in lines)
    panels[0, 0].set_ylim(max(0, np.floor(10 * lowest - 1) / 10) - 0.02, 1.02)  # shared by all panels
    figure.suptitle(f"{title}\nρ = 1: batch norm only, ρ = 0: instance norm only", fontsize=9)
    handles = panels.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def draw_run(panel, lines: Sequence[Mapping]) -> None:
    """Bands, median and mean of one run over its layers."""
    layer = np.array([line["layer"] for line in lines])
    q = {name: np.array([line[name] for line in lines]) for name in FIELDS[4:10]}
    # steps of one layer's width: layers are separate things, there is nothing between two of them
    edges = np.concatenate([layer - 0.5, layer[-1:] + 0.5])
    for low, high, alpha, label in (("q05", "q95", 0.2, "5-95 %"), ("q25", "q75", 0.45, "25-75 %")):
        panel.stairs(q[high], edges, baseline=q[low], fill=True, color=BLUE, alpha=alpha, lw=0, label=label)
    for number, (left, right) in enumerate(pairwise(edges)):
        label = "median" if number == 0 else None
        panel.hlines(q["q50"][number], left, right, color=BLUE, lw=1.6, label=label)
    panel.plot(layer, q["mean"], "o", ms=3.2, color=ORANGE, mec="white", mew=0.5, label="mean")
    panel.set_xlim(edges[0], edges[-1])
    panel.set_xlabel("norm layer, from input to output", fontsize=8)
    panel.locator_params(axis="x", integer=True)
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", color="0.88", lw=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
