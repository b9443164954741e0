"""Reads reports/metrics: one JSON per run, checked for the keys that every reader relies on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dgreid.documents import parse_json
from dgreid.errors import UserError
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


def read(path: Path) -> dict[str, Any]:
    """The metrics of one run.

    Raises:
        UserError: the file is damaged.
    """
    text = path.read_bytes()
    try:
        run = _Run.model_validate_json(text).run
        node = parse_json(text)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        where = f" (at {place})" if place else ""
        raise UserError(f"{path} is damaged{where}: evaluate the run again.") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): evaluate the run again.") from error
    if run != path.stem:
        raise UserError(
            f"{path} holds the metrics of {run}, so its name is wrong: delete or rename the file."
        )
    return node


def read_metrics(run: str, choice: Mapping) -> dict[str, Any]:
    """The metrics of a run of a selection.

    Args:
        run: its name.
        choice: what the selection chose for it, for the message.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    path = METRICS / f"{run}.json"
    if not path.is_file():
        words = " ".join(f"{key}={choice[key]}" for key in ("method", "backbone", "protocol", "seed"))
        raise UserError(f"{path} is missing: run `dgreid evaluate {words}` first.")
    return read(path)


def every() -> list[dict[str, Any]]:
    """The metrics of all runs, by file name.

    Raises:
        UserError: a file is damaged.
    """
    return [read(path) for path in sorted(METRICS.glob("*.json"))]
