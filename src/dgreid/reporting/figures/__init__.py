"""The figures of a selection: each picture as PNG and PDF, with the numbers it is drawn from as CSV.

A module per figure has `NAME`, `TITLE` and `CAPTION`, `data`, which gathers the numbers, and `figure`, which
draws them and nothing else. What has no data is not drawn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dgreid.files import whole
from dgreid.reporting.figures import balance, bank, cost, course, gradients, losses, style, sweeps

KINDS = (balance, course, losses, gradients, sweeps, bank, cost)


class Figure(NamedTuple):
    """A picture on disk: `stem`.png, .pdf and .csv."""

    name: str
    title: str
    caption: str
    stem: Path


def draw(
    title: str, metrics: Mapping[str, Mapping], histories: Mapping[str, pd.DataFrame], folder: Path
) -> list[Figure]:
    """Draw what the runs have data for, and nothing else, into `folder`, which is replaced as a whole.

    The same numbers give the same bytes; a number that changes touches the figures that show it.

    Args:
        title: of the selection.
        metrics: run -> its metrics.
        histories: run -> its history.csv; a run whose training is elsewhere may be missing or empty.
    """
    systems = style.systems(metrics.values())
    kinds = ", ".join(sorted({run["data"] for run in metrics.values()}))
    drawn = []
    with whole(folder) as part:
        part.mkdir()
        for kind in KINDS:
            frame = kind.data(systems, histories)
            if frame.empty:
                continue
            with style.applied():
                picture = kind.figure(frame)
                style.title(picture, f"{kind.TITLE}: {title} ({kinds} data)")
                style.save(picture, frame, part / kind.NAME)
            drawn.append(Figure(kind.NAME, kind.TITLE, kind.CAPTION, folder / kind.NAME))
    return drawn
