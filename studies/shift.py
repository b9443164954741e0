"""Which shift hurts which method? One factor of a target's style at a time.

60 new identities of each source domain, two images each, are rendered anew for every factor with that factor
of each target domain, everything else as before, bit for bit. Trained networks are only evaluated: what
changes is due to that factor alone. No image of a target is shown.

    dgreid select story && snakemake --cores all && python -m studies.shift
"""

import argparse
import json
from functools import cache
from pathlib import Path
from statistics import fmean

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dgreid.evaluation.statistics import paired_difference
from dgreid.files import whole
from dgreid.images.normalise import normalise
from dgreid.methods.base import Method
from dgreid.miniature.render import World
from dgreid.paths import RUNS
from dgreid.reporting.style import LOOK
from dgreid.runs.config import load_run
from dgreid.runs.run import restore
from studies.common import RESULTS, SOURCES, TARGETS, pairs, rank1
from studies.miniature import FACTORS, swapped

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "shift.png"
SEEDS = (0, 1, 2)
M3L = "recipe=miniature_m3l"
# title -> words of its runs, in the story's settings
METHODS = {
    "BN": ["method=erm_pooled"],
    "IN": ["method=erm_in"],
    "BIN": ["method=bin"],
    "MetaBIN": ["method=metabin"],
    "BN, M3L's batches": ["method=erm_m3l", M3L],
    "M3L": ["method=m3l", M3L],
    "LDA": ["method=lda", M3L],
}
NONE, ALL = "none", "all"


def worlds(source: str, factor: str) -> list[World]:
    """The domain, unchanged or with the factor of each target."""
    if factor == NONE:
        return [World(source)]
    if factor != ALL:
        return [swapped(source, World(target), factor, 0, 1.0) for target in TARGETS]
    changed = []
    for target in TARGETS:
        other = World(target)
        world = World(source, style=other.style)
        world.scene_seed = other.scene_seed
        changed.append(world)
    return changed


@cache
def images(source: str, factor: str) -> list[Tensor]:
    """One (120, 3, 64, 32) tensor per world of the factor, identity by identity, two images each."""
    shown = [pairs(world) for world in worlds(source, factor)]
    return [normalise(torch.from_numpy(each.reshape(-1, *each.shape[2:]))) for each in shown]


@torch.inference_mode()
def evaluate(method: Method, factor: str) -> float:
    """Rank-1 in per cent, mean over source domains and over the targets that give the factor."""
    dtype = next(method.parameters()).dtype
    found = []
    for source in SOURCES:
        for each in images(source, factor):
            features = method.embed(each.to(dtype))
            found.append(rank1(features.reshape(len(features) // 2, 2, -1)))
    return round(fmean(found), 2)


def changes(scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean change by each factor and its 95 % interval over seeds, percentage points."""
    table = {}
    for factor in (*FACTORS, ALL):
        found = paired_difference(*([each[key] for each in scores.values()] for key in (factor, NONE)))
        table[factor] = {name: round(getattr(found, name), 2) for name in ("mean", "low", "high")}
    return table


def draw(node: dict) -> None:
    """Draw methods x factors as a heatmap of the mean changes."""
    names = list(node["changes"])
    values = np.array([[each["mean"] for each in node["changes"][name].values()] for name in names])
    most = np.abs(values).max()
    columns = [*FACTORS, "all of them"]
    with matplotlib.rc_context(LOOK | {"axes.grid": False}):
        figure = Figure(figsize=(6.9, 0.8 + 0.32 * len(names)), layout="constrained")
        panel = figure.subplots()
        shade = panel.imshow(values, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
        for row, column in np.ndindex(values.shape):
            dark = abs(values[row, column]) > 0.6 * most
            text = f"{values[row, column]:+.1f}".replace("-", "\u2212")
            panel.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
        own = {name: fmean(each[NONE] for each in node["scores"][name].values()) for name in names}
        panel.set_yticks(range(len(names)), [f"{name} ({own[name]:.0f})" for name in names])
        panel.set_xticks(range(len(columns)), columns)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        figure.colorbar(shade, label="change of Rank-1, points")
        figure.suptitle("New identities of the sources, one factor of an unseen domain (miniature data)")
        with whole(FIGURE) as part:
            figure.savefig(part, format="png", metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="TITLE")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=RESULTS / "shift.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    scores = {}
    for name in chosen.methods:
        for seed in chosen.seeds:
            words = [*METHODS[name], "backbone=resnet_tiny", "protocol=miniature", f"seed={seed}"]
            method, _ = restore(RUNS / load_run(words).run)
            found = {factor: evaluate(method, factor) for factor in (NONE, *FACTORS, ALL)}
            scores.setdefault(name, {})[str(seed)] = found
            print(f"{name}, seed {seed}: {found}", flush=True)
    node = {
        "data_kind": "miniature",
        "unit": "Rank-1, per cent, gallery of 60 identities; changes in points, 95 % intervals over seeds",
        "scores": scores,
        "changes": {name: changes(each) for name, each in scores.items()},
    }
    with whole(chosen.out) as part:
        part.write_text(json.dumps(node, indent=1) + "\n", encoding="utf-8")
    draw(node)


if __name__ == "__main__":
    main()
