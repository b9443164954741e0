"""The figures of a selection: each picture as PNG and PDF, with the numbers it shows as CSV.

Every module of this folder is a figure, and nothing else registers it:

    ORDER    its place on the page, unique
    TITLE    what it shows, in a few words
    CAPTION  what it shows, in one sentence
    data     takes groups of runs and their histories, gathers the numbers; an empty frame: no figure
    figure   draws them, and computes nothing
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pandas as pd

from dgreid.files import whole
from dgreid.registry import Registry
from dgreid.reporting import style

FIGURES = Registry("dgreid.reporting.figures", "figure", ("figure", "data", "ORDER", "TITLE", "CAPTION"))


class Figure(NamedTuple):
    """A picture on disk: `stem`.png, .pdf and .csv."""

    name: str
    title: str
    caption: str
    stem: Path


def kinds() -> dict[str, ModuleType]:
    """Find the module of every figure, by name, in the order of the page."""
    found = {name: FIGURES.module(name) for name in FIGURES.names()}
    return dict(sorted(found.items(), key=lambda item: (item[1].ORDER, item[0])))


def draw(
    title: str, metrics: Mapping[str, Mapping], histories: Mapping[str, pd.DataFrame], folder: Path
) -> list[Figure]:
    """Draw every figure that the runs have data for into `folder`, which is replaced as a whole.

    The same numbers give the same bytes; a changed number changes only the figures that show it.

    Args:
        title: of the selection.
        metrics: run -> its metrics.
        histories: run -> its history.csv; missing or empty if the run was trained elsewhere.
    """
    groups = style.grouped(metrics.values())
    data_kinds = ", ".join(sorted({run["data"] for run in metrics.values()}))
    drawn = []
    with whole(folder) as part:
        part.mkdir()
        for name, kind in kinds().items():
            frame = kind.data(groups, histories)
            if frame.empty:
                continue
            with style.applied():
                picture = kind.figure(frame)
                style.title(picture, f"{kind.TITLE}: {title} ({data_kinds} data)")
                style.save(picture, frame, part / name)
            drawn.append(Figure(name, kind.TITLE, kind.CAPTION, folder / name))
    return drawn
