"""Keep an item's outputs while it is made again: they come back if its job fails, is refused or is killed.

Snakemake and DVC remove the outputs of an item before they run it. Kept outputs are hard links, which cost
neither time nor space, because results are replaced and never written in place.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dgreid.files import whole

KEPT = Path(".dvc/tmp/kept")
_PATHS = "paths.json"


@contextmanager
def safe(item: str, outputs: Iterable[str]) -> Iterator[None]:
    """Put the outputs back as they were before the block, if it raises."""
    keep(item, outputs)
    try:
        yield
    except BaseException:
        _link_back(item)
        raise
    finally:
        drop(item)


def keep(item: str, outputs: Iterable[str]) -> None:
    """Keep the outputs that exist, in place of those kept before."""
    drop(item)
    paths = [path for path in outputs if os.path.lexists(path)]
    if not paths:
        return
    with whole(_room(item)) as room:
        room.mkdir()
        for number, path in enumerate(paths):
            _link(Path(path), room / str(number))
        (room / _PATHS).write_text(json.dumps(paths), encoding="utf-8")


def put_back(item: str) -> None:
    """Put the kept outputs of an item back if one of them is missing, and keep them no longer."""
    if not all(map(os.path.lexists, _paths(item))):
        _link_back(item)
    drop(item)


def put_all_back() -> None:
    """Do so for every item; only while nobody works in the project."""
    for room in KEPT.glob("*"):
        put_back(room.name)


def drop(item: str) -> None:
    """Keep the outputs of an item no longer."""
    (_room(item) / _PATHS).unlink(missing_ok=True)  # first: a room without it counts for nothing
    shutil.rmtree(_room(item), ignore_errors=True)


def _room(item: str) -> Path:
    return KEPT / quote(item, safe="@%")


def _paths(item: str) -> list[str]:
    try:
        return json.loads((_room(item) / _PATHS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _link_back(item: str) -> None:
    for number, path in enumerate(_paths(item)):
        with whole(path) as part:
            _link(_room(item) / str(number), part)


def _link(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, copy_function=_link_file)
    else:
        _link_file(source, target)


def _link_file(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk, or a file system without hard links
        shutil.copy2(source, target, follow_symlinks=False)
