"""What is kept of a run besides its metrics: configuration, training history, what each query scored."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dgreid.documents import parse_json, parse_plain_yaml
from dgreid.errors import UserError
from dgreid.evaluation.queries import agree, read_queries, read_scores
from dgreid.frames import read_parquet
from dgreid.paths import PROTOCOLS, QUERIES, RUNS, TARGETS

log = logging.getLogger(__name__)

HARDEST = 10  # queries shown per target


@dataclass(frozen=True)
class Evidence:
    """Empty if nothing is kept, as for metrics that came with git.

    Attributes:
        facts: of run.yaml.
        history: of history.csv.
        hardest: of `hardest`.
    """

    facts: Mapping = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    hardest: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def read(metrics: Mapping) -> Evidence:
    """What is kept of a run; files from another training of the same name are ignored.

    Raises:
        UserError: the file with the scores of its queries, or that of its protocol, is damaged.
    """
    folder = RUNS / metrics["run"]
    facts, history = {}, pd.DataFrame()
    try:
        if _same_training(folder, metrics):
            facts, history = read_facts(folder), read_history(folder)
    except (UserError, ValueError) as error:
        said = str(error).split(":")[0]
        log.warning(
            "%s, so the training is not shown: `dvc repro train@%s` makes it again.", said, folder.name
        )
    return Evidence(facts, history, _hardest(metrics))


def _same_training(folder: Path, metrics: Mapping) -> bool:
    """Whether the folder holds the evaluated training: its cost is part of the metrics."""
    if not all((folder / name).is_file() for name in ("run.yaml", "history.csv", "cost.json")):
        return False
    same = read_cost(folder) == metrics["cost"]
    if not same:
        log.warning("%s is of another training than the metrics; evaluate it again.", folder)
    return same


def read_facts(folder: Path) -> dict[str, Any]:
    """The content of run.yaml in a run's folder; its `config` is a mapping.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        facts = parse_plain_yaml((folder / "run.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{folder / 'run.yaml'} is damaged") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("config"), dict):
        raise ValueError(f"{folder / 'run.yaml'} has no configuration")
    return facts


def read_cost(folder: Path) -> dict[str, Any]:
    """Read what the training of a run cost.

    Raises:
        UserError: cost.json is missing or damaged.
    """
    path = folder / "cost.json"
    try:
        cost = parse_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        cost = None
    if not isinstance(cost, dict):
        raise UserError(f"{path} is missing or damaged: train the run again.")
    return cost


def read_history(folder: Path) -> pd.DataFrame:
    """Read history.csv: a column iteration, a column epoch, and numbers in all others.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / "history.csv"
    try:
        frame = pd.read_csv(path)
    except ValueError as error:  # also what is not UTF-8, and no table
        raise ValueError(f"{path} is damaged") from error
    numbers = frame.select_dtypes("number")
    times = [name for name in ("iteration", "epoch") if name in numbers and numbers[name].notna().all()]
    if len(numbers.columns) < len(frame.columns) or len(times) < 2:
        raise ValueError(f"{path} is damaged")
    return frame


def queries(metrics: Mapping[str, Mapping]) -> dict[str, pd.DataFrame]:
    """What each query scored, as `evaluation.queries.read_queries` gives it, by run.

    Args:
        metrics: run -> its metrics; runs whose queries are not kept, or belong to another evaluation, are
            left out, the latter with a warning.
    """
    found = {}
    for run, node in metrics.items():
        path = QUERIES / f"{run}.parquet"
        if not path.is_file():
            continue
        frame = read_queries(path)
        if agree(frame, node):
            found[run] = frame
        else:
            log.warning("%s is of another evaluation than the metrics; evaluate %s again.", path, run)
    return found


def _hardest(metrics: Mapping) -> dict[str, pd.DataFrame]:
    path = QUERIES / f"{metrics['run']}.parquet"
    if not path.is_file() or not agree(read_queries(path), metrics):
        return {}
    return hardest(read_scores(path), _known(metrics["protocol"]))


def _known(protocol: str) -> pd.DataFrame:
    """Identity, camera and path of every query image of a protocol; empty if the protocol is not here."""
    columns = ["query", "identity", "camera", "dataset", "path", "row"]
    path = PROTOCOLS / protocol / TARGETS
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    remedy = f"`dvc repro protocol@{protocol}`"
    frame = read_parquet(path, remedy, ["image_id", *columns[1:]], [("part", "==", "query")])
    frame = frame.assign(query=frame["dataset"].astype(str) + "/" + frame["image_id"].astype(str))
    return frame[columns].drop_duplicates("query")


def hardest(queries: pd.DataFrame, known: pd.DataFrame, count: int = HARDEST) -> dict[str, pd.DataFrame]:
    """Per target the queries with the lowest average precision.

    Args:
        queries: as in data/queries; one image may be a query in several splits.
        known: a column `query`, and what is known of it, such as identity and camera.
        count: at most this many.

    Returns:
        query, splits (in how many it has a match), average_precision (percent, mean over these), best and
        worst (position of the first match, from 1), and the columns of `known`, NaN if unknown.
    """
    found = queries[queries["first_hit"] > 0].astype({"target": str, "average_precision": float})
    result = {}
    for target in dict.fromkeys(queries["target"].astype(str)):
        groups = found[found["target"] == target].groupby("query", sort=True)
        table = pd.DataFrame(
            {
                "splits": groups.size(),
                "average_precision": 100 * groups["average_precision"].mean(),
                "best": groups["first_hit"].min(),
                "worst": groups["first_hit"].max(),
            }
        ).reset_index()
        table = table.sort_values(["average_precision", "query"]).head(count)
        result[target] = table.merge(known, on="query", how="left").reset_index(drop=True)
    return result
