"""Where `--out` may write: not over the project's own files."""

import os
from collections.abc import Callable
from pathlib import Path

from dgreid.errors import UserError

OWN = {  # folders of the project
    *("params", "data", "reports", "logs", "src", "workflow", "profiles", "docs", "tests", "benchmarks"),
    "studies",
}
RESULTS = (".parquet", ".onnx")  # may be replaced in the root folder, where the project has none


def check(out: Path, is_earlier: Callable[[Path], bool]) -> None:
    """Refuse a file or folder of the project that is there already, unless the same command wrote it.

    Args:
        out: what the user gave; what does not exist, is an empty folder or lies elsewhere passes.
        is_earlier: whether an existing file or folder is one that the command writes.

    Raises:
        UserError: it is one of the project's own.
    """
    if not out.exists() or is_earlier(out) or (out.is_dir() and not any(out.iterdir())):
        return
    root = Path.cwd().resolve()
    places = {Path(os.path.abspath(out)), out.resolve()}  # data/ may lead to another disk, `out` into src/
    if any(_is_own(place.relative_to(root)) for place in places if place.is_relative_to(root)):
        raise UserError(f"--out {out} is there already and belongs to the project: give another name.")


def _is_own(place: Path) -> bool:
    """Whether a path in the project, relative to its root, is none of a user's."""
    first, *deeper = place.parts or (".",)
    is_file_of_root = not deeper and place.is_file() and place.suffix not in RESULTS
    return first in OWN or first.startswith(".") or is_file_of_root
