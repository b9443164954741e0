"""Trained runs by their names."""

from pathlib import Path

from dgreid.errors import unknown
from dgreid.stages.train import RUNS


def find(run: str) -> Path:
    """The folder of a run in data/runs.

    Raises:
        UserError: there is none of that name; it names those whose training has ended.
    """
    if not (RUNS / run).is_dir():
        raise unknown("run", run, (path.parent.name for path in RUNS.glob("*/model.safetensors")))
    return RUNS / run
