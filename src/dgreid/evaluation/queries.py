"""Store and read what every single query scored, for the paired bootstrap of two methods."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dgreid import sealed
from dgreid.evaluation.ranked import Ranking
from dgreid.files import whole
from dgreid.protocols import Protocol

ROUNDING = 0.001  # percent; metrics have four places, average precisions here seven digits
NUMBERS = ("average_precision", "first_hit")
SCHEMA = pa.schema(
    [
        ("target", pa.dictionary(pa.int8(), pa.string())),
        ("split", pa.int16()),
        ("query", pa.string()),  # dataset/image_id: the same image is the same query in every split and run
        ("average_precision", pa.float32()),  # share, by the step definition; null without a match
        ("first_hit", pa.int32()),  # position of the first match, from 1; 0 without one
    ]
)


def write_queries(path: Path, results: Mapping[str, list[Ranking]], protocol: Protocol) -> None:
    """Write one row per target, split and query, in the protocol's order; the same scores, the same bytes."""
    frames = []
    for target, rankings in results.items():
        for split, (result, (query, _)) in enumerate(zip(rankings, protocol.targets[target], strict=True)):
            names = query["dataset"].astype(str) + "/" + query["image_id"].astype(str)
            scores = {"average_precision": result.average_precision, "first_hit": result.first_hit}
            frames.append(
                pd.DataFrame({"target": target, "split": split, "query": names.to_numpy(), **scores})
            )
    table = pa.Table.from_pandas(pd.concat(frames), SCHEMA, preserve_index=False, safe=False)
    with whole(path) as part:
        sealed.write_table(table.replace_schema_metadata(), part)


def agree(frame: pd.DataFrame, metrics: Mapping) -> bool:
    """Whether the scores of queries belong to a run's metrics, and not to another evaluation."""
    means = frame.groupby(["target", "split"])["mAP"].mean().groupby("target").mean()
    shown = {name: node["mAP"] for name, node in metrics["targets"].items()}
    return set(means.index) == set(shown) and all(abs(means[name] - shown[name]) < ROUNDING for name in shown)


def read_scores(path: Path) -> pd.DataFrame:
    """Read what `write_queries` wrote, the columns of `SCHEMA`.

    Raises:
        UserError: the file is out of reach, damaged or another one.
    """
    with sealed.reading(path, f"evaluate the run again with `dvc repro evaluate@{path.stem}`"):
        frame = sealed.read_table(path, SCHEMA, ("target", "split", "query", "first_hit")).to_pandas()
        if not _are_scores(frame):
            raise sealed.Damaged
    return frame


def _are_scores(frame: pd.DataFrame) -> bool:
    if frame.empty or not all(pd.api.types.is_numeric_dtype(frame[name]) for name in ("split", *NUMBERS)):
        return False
    precision = frame["average_precision"]
    return bool(((frame["first_hit"] >= 0) & (precision.between(0, 1) | precision.isna())).all())


def as_percent(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns target, split, query, mAP and rank1 in percent; NaN for a query without a match."""
    found = frame["first_hit"] > 0
    return pd.DataFrame(
        {
            "target": frame["target"].astype(str),
            "split": frame["split"],
            "query": frame["query"],
            "mAP": 100.0 * frame["average_precision"].astype(float).where(found),
            "rank1": np.where(found, 100.0 * (frame["first_hit"] == 1), np.nan),
        }
    )
