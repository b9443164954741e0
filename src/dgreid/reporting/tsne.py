"""Map a run's embeddings with t-SNE, target by target (MetaBIN, figure 3) or in one map (M3L, figure 5).

The maps are not part of the report, because they need the images: `dgreid tsne` draws them.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn import functional as F

from dgreid.device import prepare
from dgreid.errors import UserError, unknown
from dgreid.evaluation.runner import embed_images, pick
from dgreid.images.config import ImageConfig
from dgreid.images.pack import Pack
from dgreid.methods.base import Method
from dgreid.paths import PROTOCOLS, TSNE
from dgreid.protocols import Protocol, read_protocol
from dgreid.reporting import style
from dgreid.runs.run import find, restore
from dgreid.schema import HIGHEST_SEED

log = logging.getLogger(__name__)

MOST_IMAGES = 3000  # images in a map; if there are more, a random part is shown
COLOURED = 7  # identities of a target shown in colour, as many as there are colours
FEWEST_IMAGES = 5  # images a map needs


def tsne(
    run: str, targets: Sequence[str] = (), together: bool = False, seed: int = 0, perplexity: float = 30.0
) -> Path:
    """Embed the first split of a run's targets and draw it as a map in the plane.

    A method that adapts to a target's cameras adapts to all images of the target, as `dgreid evaluate` does.

    Args:
        run: a folder name in data/runs.
        targets: of its protocol; all if empty.
        together: one map of all targets, coloured by target, instead of one map for each.
        seed: of the map, of the choice of images if there are too many, and of the identities in colour.
        perplexity: neighbours that count; lowered if a target has less than three times as many images.

    Returns:
        The path of the files without their suffixes .png, .pdf and .csv.

    Raises:
        UserError: no such run or target, missing data, or a method that does not compare vectors.
    """
    folder = find(run)
    if not 0 <= seed <= HIGHEST_SEED:
        raise UserError(f"--seed {seed} is not a seed: give a whole number from 0 to {HIGHEST_SEED}.")
    if not 0 < perplexity < float("inf"):
        raise UserError(f"--perplexity {perplexity:g} is not a number of neighbours: give a positive one.")
    device = prepare(seed)
    method, facts = restore(folder)
    if type(method).similarity is not Method.similarity:
        raise UserError(f"run {run} compares images by a learned score, and t-SNE needs vectors.")
    protocol = read_protocol(PROTOCOLS / facts["config"]["protocol"])
    for name in targets:
        if name not in protocol.targets:
            raise unknown("target", name, protocol.targets)
    image = ImageConfig.model_validate(facts["config"]["image"])
    images = pd.concat(_listed(protocol, targets or list(protocol.targets), seed), ignore_index=True)
    vectors = _embeddings(method.to(device), images, protocol, image, device)
    maps = (
        [np.arange(len(images))] if together else list(images.groupby("target", sort=False).indices.values())
    )
    frame = images.drop(columns="row").assign(x=0.0, y=0.0)
    for rows in maps:
        frame.loc[rows, ["x", "y"]] = plane(vectors[rows], seed, perplexity)
    stem = TSNE / "-".join([run, *targets, *(["together"] if together else [])])
    with style.applied():
        picture = _figure_together(frame) if together else _figure(frame)
        mark = ", sees target" if method.adapt else ""
        style.title(picture, f"t-SNE of {run} ({protocol.kind} data{mark})")
        style.save(picture, frame, stem)
    return stem


def _listed(protocol: Protocol, targets: Sequence[str], seed: int) -> Iterator[pd.DataFrame]:
    """Choose the images of each target's map, from its first split; yield a frame per target.

    Its columns are target, part, dataset, row, identity, camera, and shown: the number of an identity in
    colour, from 0, or -1 for all others.
    """
    rng = np.random.default_rng(seed)
    for target in targets:
        pair = zip(("query", "gallery"), protocol.targets[target][0], strict=True)
        frame = pd.concat([part.assign(target=target, part=name) for name, part in pair], ignore_index=True)
        identities = [set(frame.loc[frame["part"] == name, "identity"]) for name in ("query", "gallery")]
        both = np.array(sorted(identity for identity in identities[0] & identities[1] if identity >= 0))
        some = rng.choice(both, min(COLOURED, len(both)), replace=False)
        numbers = {identity: number for number, identity in enumerate(sorted(some))}
        frame["shown"] = frame["identity"].map(numbers).fillna(-1).astype(int)
        most = MOST_IMAGES // len(targets)
        if len(frame) > most:
            log.warning("%s: %d of %d images chosen at random.", target, most, len(frame))
            kept = np.flatnonzero(frame["shown"] >= 0)[:most]
            others = np.setdiff1d(np.arange(len(frame)), kept)
            kept = np.union1d(kept, rng.choice(others, most - len(kept), replace=False))
            frame = frame.iloc[kept]
        if len(frame) < FEWEST_IMAGES:
            raise UserError(f"target {target} has {len(frame)} images, too few for a map: leave it out.")
        yield frame[["target", "part", "dataset", "row", "identity", "camera", "shown"]]


def _embeddings(
    method: Method, images: pd.DataFrame, protocol: Protocol, image: ImageConfig, device: torch.device
) -> np.ndarray:
    """Embed the images shown, (N, C), at unit length: distances then order images as cosines do."""
    parts = []
    for target, shown in images.groupby("target", sort=False):
        every = pd.concat([frame for pair in protocol.targets[target] for frame in pair])
        asked = every if method.adapt else shown  # what a method adapts to is the whole target
        embedded = embed_images(method, asked, lambda name: Pack.open(name, image), device)
        parts.append(F.normalize(pick(shown, *embedded)))
    return torch.cat(parts).cpu().numpy()


def plane(vectors: np.ndarray, seed: int, perplexity: float) -> np.ndarray:
    """Map (N, C) to (N, 2) with t-SNE, starting from principal components; repeatable on one machine."""
    from sklearn.manifold import TSNE  # late: importing it takes a second
    from threadpoolctl import threadpool_limits

    at_most = (len(vectors) - 1) / 3
    with threadpool_limits(1):  # sums depend on the number of threads
        mapped = TSNE(init="pca", random_state=seed, perplexity=min(perplexity, at_most), n_jobs=1)
        return mapped.fit_transform(vectors)


def _figure(frame: pd.DataFrame) -> Figure:
    """Draw one map per target: queries and gallery, some identities in colour with their images joined."""
    groups = list(frame.groupby("target", sort=False))
    drawn, panels = style.panels(len(groups), height=2.9)
    for panel, (target, part) in zip(panels, groups, strict=True):
        shown = part["shown"] >= 0
        _scatter(panel, part[~shown], {"color": "0.72", "linewidths": 0}, 9)
        for number, images in part[shown].groupby("shown"):
            colour = style.COLOURS[number]
            centre = images.loc[images["part"] == "query", ["x", "y"]].mean()
            for point in images[["x", "y"]].to_numpy():
                panel.plot([centre["x"], point[0]], [centre["y"], point[1]], color=colour, lw=0.8, zorder=2)
            _scatter(panel, images, {"color": colour, "edgecolors": "black", "linewidths": 0.5}, 24)
        _bare(panel, target)
    _marks(drawn, {"query": {"marker": "^"}, "gallery": {"marker": "o"}}, "joined: one identity")
    return drawn


def _figure_together(frame: pd.DataFrame) -> Figure:
    """Draw one map of all targets, a colour and a marker for each."""
    drawn, (panel,) = style.panels(1, height=4.2)
    looks = {}
    for number, (target, part) in enumerate(frame.groupby("target", sort=False)):
        looks[target] = {"color": style.COLOURS[number % 7], "marker": style.MARKERS[number % 11]}
        panel.scatter(part["x"], part["y"], s=9, linewidths=0, **looks[target])
    _bare(panel, "")
    _marks(drawn, looks)
    return drawn


def _scatter(panel: Axes, part: pd.DataFrame, look: Mapping, size: float) -> None:
    """Draw queries as triangles, gallery images as discs."""
    for name, marker in (("gallery", "o"), ("query", "^")):
        some = part[part["part"] == name]
        panel.scatter(some["x"], some["y"], s=size, marker=marker, zorder=3 if size > 9 else 1, **look)


def _bare(panel: Axes, title: str) -> None:
    """Remove the axes: on a map only neighbourhoods mean something."""
    style.name(panel, title)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(True)
    panel.spines[:].set_color("0.8")


def _marks(figure: Figure, looks: Mapping[str, Mapping], joined: str = "") -> None:
    """Draw a legend of markers below all panels."""
    panel = figure.axes[0]
    handles = [
        panel.plot([], [], ls="", label=name, **({"color": "0.5"} | dict(look)))
        for name, look in looks.items()
    ]
    if joined:
        handles.append(panel.plot([], [], color="0.3", lw=0.8, marker="o", ms=4, label=joined))
    figure.legend(handles=[line for (line,) in handles], loc="outside lower center", ncols=len(handles))
