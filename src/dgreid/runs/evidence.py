"""Read what is kept of a run besides its metrics: configuration, history, what each query scored."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dgreid.errors import UserError
from dgreid.evaluation.queries import agree, as_percent, read_queries, read_scores
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
        hardest: of `hardest`.
    """

    facts: Mapping = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    hardest: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def read(metrics: Mapping) -> Evidence:
    """Read what is kept of a run; files from another training of the same name are ignored.

    Raises:
        UserError: the file with the scores of its queries, or that of its protocol, is damaged.
    """
    folder = RUNS / metrics["run"]
    facts, history = {}, pd.DataFrame()
    try:
        if _same_training(folder, metrics):
            facts = read_facts(folder)
            history = read_history(folder, facts)
    except UserError as error:
        log.warning("The training of %s is not shown: %s", folder.name, error)
        facts, history = {}, pd.DataFrame()
    return Evidence(facts, history, _hardest(metrics))


def _same_training(folder: Path, metrics: Mapping) -> bool:
    """Whether the folder holds the evaluated training: its cost is part of the metrics."""
    if not all((folder / name).is_file() for name in (FACTS, HISTORY, COST)):
        return False
    same = read_cost(folder) == metrics["cost"]
    if not same:
        log.warning("%s is of another training than the metrics; evaluate it again.", folder)
    return same


def queries(metrics: Mapping[str, Mapping]) -> dict[str, pd.DataFrame]:
    """Read what each query scored, by run, as `evaluation.queries.read_queries` returns it.

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
    if not path.is_file():
        return {}
    scores = read_scores(path)
    return hardest(scores, _known(metrics["protocol"])) if agree(as_percent(scores), metrics) else {}


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
