"""Show the hardest queries with their images: reports/photographs, a page for your eyes only.

Git ignores the folder, no page of the report links to it and no stage writes it, so that no published page
shows a person.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dgreid.datasets.adopt.archive import images_root
from dgreid.datasets.images import open_image
from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.paths import PHOTOGRAPHS
from dgreid.reporting.site.environment import environment
from dgreid.runs import evidence, recorded

log = logging.getLogger(__name__)


def photographs(metrics: Mapping[str, Mapping], folder: Path = PHOTOGRAPHS) -> Path:
    """Write a page with the hardest queries of every run and target, and their images next to it.

    Args:
        metrics: run -> its metrics; runs whose queries are not kept are left out.
        folder: is replaced as a whole.

    Returns:
        The page.

    Raises:
        UserError: no run keeps what its queries scored, or an image is missing.
    """
    kept = {name: found.hardest for name, found in evidence.read_all(metrics.values()).items()}
    shown = [
        {
            "run": name,
            "title": f"{recorded.title(metrics[name])}, seed {metrics[name]['seed']}",
            "data": metrics[name]["data"],
            "targets": {target: _known(frame) for target, frame in targets.items()},
        }
        for name, targets in kept.items()
        if targets
    ]
    if not any(rows for run in shown for rows in run["targets"].values()):
        raise UserError(
            "no run of the selection keeps what its queries scored, with its protocol: run "
            "`snakemake --cores all`, or `dgreid evaluate` its runs again."
        )
    with whole(folder) as part:
        part.mkdir()
        for file, (dataset, path) in sorted(_images(shown).items()):
            open_image(images_root(dataset), path).save(part / file)
        text = environment().get_template("photographs.html").render(runs=shown)
        (part / "index.html").write_text(text, encoding="utf-8")
    return folder / "index.html"


def _known(frame: pd.DataFrame) -> list[dict]:
    """Return the rows whose image is known, with its file name on the page."""
    rows = frame[frame["path"].notna()].to_dict("records")
    return [{**row, "file": f"{row['dataset']}-{int(row['row'])}.png"} for row in rows]


def _images(shown: list[dict]) -> dict[str, tuple[str, str]]:
    """Return data set and path of each image, by file name."""
    every = (row for run in shown for rows in run["targets"].values() for row in rows)
    return {row["file"]: (row["dataset"], row["path"]) for row in every}
