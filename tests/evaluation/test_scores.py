import numpy as np
import pandas as pd
import pytest
import torch

from dgreid.errors import UserError
from dgreid.evaluation import rank, scores
from dgreid.evaluation.runner import run_protocol
from helpers.colours import Means

CPU = torch.device("cpu")


def test_summary(protocol, packs, caplog):
    results = run_protocol(Means(), protocol, packs.__getitem__, CPU)
    node = scores.summarise(results)
    target = node["targets"]["A"]
    splits = [split["rank1"] for split in target["splits"]]
    assert target["rank1"] == pytest.approx(np.mean(splits), abs=1e-4)
    assert target["rank1_std"] == pytest.approx(np.std(splits), abs=1e-4)  # population
    assert all(split["mAP"] == split["mINP"] for split in target["splits"])  # one match per query
    assert "rank1_std" not in node["targets"]["B"]  # one split has no spread
    mean = (target["mAP"] + node["targets"]["B"]["mAP"]) / 2
    assert node["average"]["mAP"] == pytest.approx(mean, abs=1e-4)
    assert not caplog.records


def test_equal_scores_of_different_splits_are_pointed_out(protocol, packs, caplog):
    result = run_protocol(Means(), protocol, packs.__getitem__, CPU)["A"][0]
    scores.summarise({"A": [result, result]})
    assert "all 2 splits score the same" in caplog.text


def test_scores_below_those_of_a_random_order_are_said(protocol, packs, caplog):
    results = run_protocol(Means(), protocol, packs.__getitem__, CPU)
    targets = scores.summarise(results)["targets"]
    chances = {
        name: 100 * np.mean([scores.chance_of(*pair) for pair in splits])
        for name, splits in protocol.targets.items()
    }
    above = {name: targets[name] | {"mAP": chance + 1} for name, chance in chances.items()}
    assert scores.not_above_chance(above, protocol) == [] and not caplog.records
    assert scores.not_above_chance(above | {"B": {"mAP": chances["B"] - 1}}, protocol) == ["B"]
    assert "B: mAP" in caplog.text and "split" not in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_the_mean_of_many_random_orders(seed):
    rng = np.random.default_rng(seed)
    query, gallery = (
        pd.DataFrame({"identity": rng.integers(-1, 4, count), "camera": rng.integers(0, 3, count)})
        for count in (5, 30)
    )
    labels = [part[column].to_numpy() for column in ("identity", "camera") for part in (query, gallery)]
    found = [
        rank(rng.normal(size=(5, 8)), rng.normal(size=(30, 8)), *labels).mean_average_precision
        for _ in range(1000)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - scores.chance_of(query, gallery)) < 5 * error


def node(queries=50, **changes):
    """Two splits of a target, one match per query, as `summarise` writes them."""
    first = {"rank1": 40.0, "rank5": 60.0, "rank10": 70.0, "mAP": 50.0, "mAP_trapezoid": 45.0, "mINP": 50.0}
    splits = [first, first | {"mAP": 50.5, "mINP": 50.5} | changes]
    means = {name: (first[name] + splits[1][name]) / 2 for name in first}
    spread = {f"{name}_std": abs(first[name] - splits[1][name]) / 2 for name in first}
    return {"queries": queries, **means, **spread, "splits": splits}


def test_r19_splits_that_all_score_the_same_are_refused():
    scores.check_scores("A", node(), single=True)
    repeated = node(mAP=50.0, mINP=50.0)
    with pytest.raises(UserError, match=r"all 2 splits score exactly the same.*the model"):
        scores.check_scores("A", repeated, single=False)
    scores.check_scores("A", repeated | {"queries": 3}, single=False)  # by chance, among so few
    scores.check_scores("A", repeated | {"mAP": 100.0}, single=False)  # everything found


@pytest.mark.parametrize(("measure", "value"), [("mAP", 61.0), ("mAP", 44.0), ("mAP_trapezoid", 50.0)])
def test_r22_an_impossible_mean_average_precision_is_refused(measure, value):
    scores.check_scores("A", node(**{measure: value}), single=False)  # with several matches it can be
    with pytest.raises(UserError, match=f"split 1: {measure} {value} is impossible"):
        scores.check_scores("A", node(**{measure: value}), single=True)


def test_r22_real_rankings_pass_and_single_matches_are_recognised(protocol, packs):
    assert scores.single_match(protocol) == {"A"}  # in B two images of the gallery match
    scores.summarise(run_protocol(Means(), protocol, packs.__getitem__, CPU), {"A"})
    query, gallery = protocol.targets["A"][0]
    protocol.targets["A"][0] = query, gallery.assign(camera=[0, *[1] * 7])  # one match is filtered
    assert scores.single_match(protocol) == set()
