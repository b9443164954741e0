"""Read reports/metrics: one JSON per run, checked for the keys that every reader relies on."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgreid import params, sealed
from dgreid.documents import parse_json
from dgreid.errors import UserError, unknown
from dgreid.paths import METRICS
from dgreid.schema import Name, Seed, Title

Percent = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0, le=1e18)]


class _Known(BaseModel):
    """Required keys; others are allowed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Scores(_Known):
    rank1: Percent
    rank5: Percent
    rank10: Percent
    mAP: Percent
    mAP_trapezoid: Percent
    mINP: Percent


class _Target(_Scores):
    splits: list[_Scores] = Field(min_length=1)


class _Cost(_Known):
    seconds: Amount
    images_per_second: Amount
    peak_memory_bytes: Amount
    parameters: int = Field(ge=0, le=10**15)
    device: str = "cpu"
    threads: int = Field(1, ge=1, le=100_000)
    commit: str | None = None
    date: str | None = None


class _Run(_Known):
    run: str
    data: Title
    protocol: Name
    method: Name
    title: Title
    provenance: Title
    changes: list[Title] = []
    backbone: Name
    recipe: Name
    image: Name
    seed: Seed
    targets: dict[Name, _Target] = Field(min_length=1)
    average: _Scores
    balance: list[dict[str, Any]] = []
    bank: list[dict[str, Any]] = []
    cost: _Cost
    made_from: dict[str, str] = {}
    sees_target: bool = False
    not_above_chance: list[Name] = []


log = logging.getLogger(__name__)


def read(path: Path) -> dict[str, Any]:
    """Read the metrics of one run, without their seal.

    Raises:
        UserError: the file is damaged, out of reach, or holds the metrics of another run than its name says.
    """
    return _read(path)[0]


def described(method: str) -> dict[str, str]:
    """The title and provenance of a method as its file has them now; empty if it has no file any more.

    An edit of either makes no run stale, so that what the metrics recorded may be older.
    """
    if method not in params.names("method"):
        return {}
    node = params.read("method", method)
    return {key: node[key] for key in ("title", "provenance") if key in node}


def _read(path: Path) -> tuple[dict[str, Any], bool]:
    """The metrics of one run, and whether the file has a seal."""
    again = f"evaluate the run again with `dvc repro evaluate@{path.stem}`"
    with sealed.reading(path, again):
        values, is_sealed = _opened(path.read_bytes(), str(path), again)
    if values["run"] != path.stem:
        raise UserError(
            f"{path} holds the metrics of {values['run']}, so its name is wrong: delete or rename the file."
        )
    return values, is_sealed


def parse(text: bytes, where: str, remedy: str) -> dict[str, Any]:
    """Read metrics that are no file of this folder, such as committed ones.

    Args:
        text: what `evaluate` wrote.
        where: names them in the message; `remedy`: what to do if they are damaged.

    Raises:
        UserError: they are damaged.
    """
    with sealed.reading(where, remedy, "damaged"):
        return _opened(text, where, remedy)[0]


def _opened(text: bytes, where: str, remedy: str) -> tuple[dict[str, Any], bool]:
    try:
        _Run.model_validate_json(text)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        at = f" (at {place})" if place else ""
        raise UserError(f"{where} is damaged{at}: {remedy}.") from error
    node = parse_json(text)
    values = sealed.opened(node, text.decode())
    return values | described(values["method"]), sealed.is_sealed(node)


def read_metrics(run: str, choice: Mapping) -> dict[str, Any]:
    """Read the metrics of a run of a selection.

    Args:
        run: its name.
        choice: what the selection chose for it, for the message.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    path = METRICS / f"{run}.json"
    if not path.is_file():
        keys = ("method", "backbone", "protocol", "recipe", "image", "seed")
        words = " ".join(f"{key}={choice[key]}" for key in keys if key in choice) + choice.get("changes", "")
        raise UserError(f"{path} is missing: run `dgreid evaluate {words}` first.")
    return read(path)


def read_run(run: str) -> dict[str, Any]:
    """Read the metrics of a run by its name.

    Raises:
        UserError: there are none, or the file is damaged; the sentence lists the evaluated runs.
    """
    path = METRICS / f"{run}.json"
    if not path.is_file():
        raise unknown("run", run, (each.stem for each in METRICS.glob("*.json")))
    return read(path)


def every() -> list[dict[str, Any]]:
    """Read the metrics of all runs, in the order of their file names.

    Raises:
        UserError: a file is damaged.
    """
    found = [_read(path) for path in sorted(METRICS.glob("*.json"))]
    if bare := sum(not is_sealed for _, is_sealed in found):
        log.info(
            "%d of %d files in %s have no hash of their content: taken as they are.",
            bare,
            len(found),
            METRICS,
        )
    return [node for node, _ in found]
