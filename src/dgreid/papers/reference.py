"""The papers' published numbers, data/reference, as frames; values exactly as published, misprints included.

paper_results.csv  one published number per line: document, table, row, target and metric are its place
marks.csv          numbers that are wrong or odd, each with an explanation
protocols.csv      the project's protocol and target for every published condition, and smaller stand-ins
"""

from functools import cache
from pathlib import Path

import pandas as pd

from dgreid.errors import UserError
from dgreid.paths import REFERENCE

PLACE = ["document", "table", "row", "target", "metric"]
CONDITION = ["protocol", "sources", "target"]


def results(folder: Path | None = None) -> pd.DataFrame:
    """Every published number: the columns of paper_results.csv as text, and `number`, the value as float."""
    frame = _read(folder, "paper_results.csv")
    return frame.assign(number=frame["value"].astype(float))


def marks(cells: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """PLACE, kind and explanation of every marked cell; `*` as row, target or metric matches any.

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
            raise UserError(f"data/reference/marks.csv: nothing is published at '{place}'; fix that line.")
        found.append(cells.loc[meant, PLACE].assign(kind=mark["kind"], explanation=mark["explanation"]))
    return pd.concat(found, ignore_index=True)


def conditions(folder: Path | None = None) -> pd.DataFrame:
    """Which protocol measures a published condition: CONDITION, role, project_protocol and project_target.

    The role is `same` for the paper's own protocol, and `stand-in` for a smaller one of the same shape, whose
    scores are not comparable with the published ones. An average has one line per protocol and target, and is
    their mean.
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
    """A CSV file with every cell as text; empty cells are empty text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)
