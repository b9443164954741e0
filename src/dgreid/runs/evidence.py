"""Read what is kept of a run besides its metrics: configuration, history, what each query scored."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd

from dgreid.errors import UserError
from dgreid.evaluation.queries import agree, as_percent, read_scores
from dgreid.paths import PROTOCOLS, QUERIES, RUNS, TARGETS
from dgreid.protocols.tables import read_test_rows
from dgreid.runs.folder import COST, FACTS, HISTORY, read_cost, read_facts, read_history

log = logging.getLogger(__name__)

HARDEST = 10  # queries shown per target


@dataclass(frozen=True)
class Evidence:
    """What is kept of a run; empty if nothing is, as for metrics that came with git.

    Attributes:
        facts: of run.yaml.
        history: of history.csv.
        queries: what each query scored, as `evaluation.queries.as_percent` returns it.
        hardest: of `hardest`.
    """

    facts: Mapping = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    queries: pd.DataFrame = field(default_factory=pd.DataFrame)
    hardest: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def read_all(every: Iterable[Mapping]) -> dict[str, Evidence]:
    """Read what is kept of runs, each file once: run -> what is kept of it.

    Args:
        every: metrics of runs; files from another training or evaluation of the same name are ignored, with
            a warning.

    Raises:
        UserError: the file with the scores of its queries, or that of its protocol, is damaged.
    """
    known = cache(_known)  # of each protocol
    return {metrics["run"]: _read(metrics, known) for metrics in every}


def _read(metrics: Mapping, known: Callable[[str], pd.DataFrame]) -> Evidence:
    folder = RUNS / metrics["run"]
    facts, history = {}, pd.DataFrame()
    try:
        if _same_training(folder, metrics):
            facts = read_facts(folder)
            history = read_history(folder, facts)
    except UserError as error:
        log.warning("The training of %s is not shown: %s", folder.name, error)
        facts, history = {}, pd.DataFrame()
    if (scores := _scores(metrics)).empty:
        return Evidence(facts, history)
    return Evidence(facts, history, as_percent(scores), hardest(scores, known(metrics["protocol"])))


def _same_training(folder: Path, metrics: Mapping) -> bool:
    """Whether the folder holds the training that was evaluated: then its cost is that in the metrics."""
    if not all((folder / name).is_file() for name in (FACTS, HISTORY, COST)):
        return False
    same = read_cost(folder) == metrics["cost"]
    if not same:
        log.warning("%s is of another training than the metrics; evaluate it again.", folder)
    return same


def _scores(metrics: Mapping) -> pd.DataFrame:
    """Read the scores of a run's queries; empty if they are not kept or belong to another evaluation."""
    path = QUERIES / f"{metrics['run']}.parquet"
    if not path.is_file():
        return pd.DataFrame()
    scores = read_scores(path)
    if agree(as_percent(scores), metrics):
        return scores
    log.warning("%s is of another evaluation than the metrics; evaluate %s again.", path, metrics["run"])
    return pd.DataFrame()


def _known(protocol: str) -> pd.DataFrame:
    """Read identity, camera and path of every query image of a protocol; empty if it is not here."""
    columns = ["query", "identity", "camera", "dataset", "path", "row"]
    if not (PROTOCOLS / protocol / TARGETS).is_file():
        return pd.DataFrame(columns=columns)
    frame = read_test_rows(PROTOCOLS / protocol)
    frame = frame[frame["part"] == "query"]
    frame = frame.assign(query=frame["dataset"].astype(str) + "/" + frame["image_id"].astype(str))
    return frame[columns].drop_duplicates("query")


def hardest(queries: pd.DataFrame, known: pd.DataFrame, count: int = HARDEST) -> dict[str, pd.DataFrame]:
    """Find the queries with the lowest average precision, by target.

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
