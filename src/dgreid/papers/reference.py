"""Read the papers' published numbers from data/reference, exactly as published, misprints included.

paper_results.csv  one published number per line; document, table, row, target and metric are its place
marks.csv          numbers that are wrong or odd, each with an explanation
protocols.csv      for every published condition the project's protocol and target, and smaller stand-ins
"""

from functools import cache
from pathlib import Path

import pandas as pd

from dgreid.errors import UserError
from dgreid.paths import REFERENCE

PLACE = ["document", "table", "row", "target", "metric"]
CONDITION = ["protocol", "sources", "target"]


def results(folder: Path | None = None) -> pd.DataFrame:
    """Read every published number: the columns of paper_results.csv as text, and `number`, its value."""
    frame = _read(folder, "paper_results.csv")
    return frame.assign(number=frame["value"].astype(float))


def marks(cells: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Read PLACE, kind and explanation of every marked number; `*` matches any row, target or metric.

    Raises:
        UserError: a mark belongs to no published number.
    """
    found = []
    for mark in _read(folder, "marks.csv").to_dict("records"):
        meant = pd.Series(True, index=cells.index)
        for key in PLACE:
            meant &= (cells[key] == mark[key]) | (mark[key] == "*")
        if not meant.any():
            place = " ".join(mark[key] for key in PLACE)
            raise UserError(f"{REFERENCE / 'marks.csv'}: nothing is published at '{place}'; fix that line.")
        found.append(cells.loc[meant, PLACE].assign(kind=mark["kind"], explanation=mark["explanation"]))
    return pd.concat(found, ignore_index=True)


def conditions(folder: Path | None = None) -> pd.DataFrame:
    """Read which protocols measure a published condition: CONDITION, role, project_protocol, project_target.

    The role is `same` for the paper's own protocol, and `stand-in` for a smaller one of the same shape, whose
    scores are not comparable with the published ones. An average has one line for each protocol and target
    that it is the mean of.
    """
    frame = _read(folder, "protocols.csv")
    frame["project_target"] = frame["project_target"].str.split("+")
    return frame.explode("project_target", ignore_index=True)


def _read(folder: Path | None, name: str) -> pd.DataFrame:
    path = (folder or REFERENCE) / name
    if not path.is_file():
        raise UserError(f"{path} is missing: restore it with `git checkout {path}`.")
    return _text(path, path.stat().st_mtime_ns).copy()


@cache
def _text(path: Path, _changed: int) -> pd.DataFrame:
    """Read a CSV file with every cell as text; empty cells are empty text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)
