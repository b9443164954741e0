import numpy as np
import pandas as pd
import pytest

from dgreid.evaluation.queries import agree, as_percent, read_scores, write_queries
from dgreid.evaluation.ranking import rank_scores
from dgreid.evaluation.scores import summarise
from dgreid.protocols import Protocol


@pytest.fixture
def evaluated():
    """Two targets of two splits with random scores; in one a query has no match."""
    rng = np.random.default_rng(0)
    targets, results = {}, {}
    for target in ("VIPeR", "GRID"):
        targets[target], results[target] = [], []
        for split in range(2):
            identities = np.arange(6) + 10 * split
            gallery = identities.copy()
            if (target, split) == ("GRID", 1):
                gallery[0] = -1
            names = [f"{identity}_a" for identity in identities]
            query = pd.DataFrame({"dataset": target.lower(), "image_id": names})
            targets[target].append((query, None))
            labels = identities, gallery, np.zeros(6, int), np.ones(6, int)
            results[target].append(rank_scores(rng.random((6, 6)), *labels))
    return results, Protocol("toy", "full", pd.DataFrame(), targets, [])


def test_every_query_comes_back_with_its_scores(evaluated, tmp_path):
    results, protocol = evaluated
    write_queries(tmp_path / "run.parquet", results, protocol)
    frame = as_percent(read_scores(tmp_path / "run.parquet"))
    assert list(frame.columns) == ["target", "split", "query", "mAP", "rank1"] and len(frame) == 24
    for target, rankings in results.items():
        for split, result in enumerate(rankings):
            mine = frame[(frame["target"] == target) & (frame["split"] == split)]
            assert mine["query"].iloc[0] == f"{target.lower()}/{10 * split}_a"
            assert mine["mAP"].to_numpy() == pytest.approx(100 * result.average_precision, nan_ok=True)
            assert mine["rank1"].mean() == pytest.approx(100 * result.cmc[0])
    assert frame[["mAP", "rank1"]].isna().sum().to_list() == [1, 1]


def test_the_same_scores_give_the_same_bytes(evaluated, tmp_path):
    for name in "ab":
        write_queries(tmp_path / name, *evaluated)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_queries_of_another_evaluation_are_noticed(evaluated, tmp_path):
    results, protocol = evaluated
    write_queries(tmp_path / "run.parquet", results, protocol)
    frame, metrics = as_percent(read_scores(tmp_path / "run.parquet")), summarise(results)
    assert agree(frame, metrics)
    metrics["targets"]["GRID"]["mAP"] += 0.1
    assert not agree(frame, metrics)
    del metrics["targets"]["GRID"]
    assert not agree(frame, metrics)
