import numpy as np
import pandas as pd
import pytest
import torch

from dgreid.errors import UserError
from dgreid.evaluation import rank, runner
from dgreid.images.normalise import normalise
from dgreid.methods.base import Method
from dgreid.protocols import Protocol

CPU = torch.device("cpu")


class Means(Method):
    """Embeds an image by its mean colour; counts the images it has seen."""

    def __init__(self):
        super().__init__(None, None, None)
        self.norm = torch.nn.BatchNorm1d(3)
        self.seen = 0

    def embed(self, images):
        self.seen += len(images)
        return self.norm(images.mean(dim=(2, 3)))


class Opposite(Means):
    def similarity(self, query, gallery):
        return -super().similarity(query, gallery)


def frame(dataset, rows, camera):
    return pd.DataFrame(
        {
            "dataset": dataset,
            "image_id": [f"{dataset}/{row}" for row in rows],
            "row": rows,
            "identity": [row // 2 for row in rows],  # images 2k and 2k + 1 show identity k
            "camera": camera,
        }
    )


@pytest.fixture
def protocol():
    rng = np.random.default_rng(0)
    splits = []
    for _ in range(3):
        identities = rng.permutation(20)[:8]
        splits.append((frame("a", 2 * identities, 0), frame("a", 2 * identities[::-1] + 1, 1)))
    mixed = pd.concat([frame("a", np.arange(1, 9, 2), 1), frame("b", np.arange(4), 1)], ignore_index=True)
    targets = {"A": splits, "B": [(frame("a", np.arange(0, 8, 2), 0), mixed)]}
    return Protocol("toy", "miniature", pd.DataFrame(), targets, [], {})


@pytest.fixture
def packs():
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 256, (40, 6, 4, 3), dtype=np.uint8) for name in ("a", "b")}


def test_scores_equal_ranking_by_hand_and_images_are_embedded_once(protocol, packs, monkeypatch):
    monkeypatch.setattr(runner, "BATCH", 5)
    method = Means().train()
    results = runner.run_protocol(method, protocol, packs.__getitem__, CPU)
    used = {row for pair in protocol.targets["A"] for part in pair for row in part["row"]}
    assert method.seen == len(used) + 8 + 4  # target B: eight images of a, four of b
    assert not method.training and method.norm.num_batches_tracked == 0  # eval mode throughout
    embedded = method.embed(normalise(torch.from_numpy(packs["a"]))).detach()
    for (query, gallery), result in zip(protocol.targets["A"], results["A"], strict=True):
        expected = rank(
            embedded[query["row"].tolist()],
            embedded[gallery["row"].tolist()],
            *(part[column].to_numpy() for column in ("identity", "camera") for part in (query, gallery)),
        )
        np.testing.assert_array_equal(result.first_hit, expected.first_hit)


def test_a_gallery_of_two_data_sets_takes_each_image_from_its_own(protocol, packs):
    method = Means().eval()
    _, gallery = protocol.targets["B"][0]
    rows = {"a": np.arange(8), "b": np.arange(4)}
    features = {name: runner.embed(method, packs[name], rows[name], CPU) for name in rows}
    picked = runner.pick(gallery, rows, features)
    torch.testing.assert_close(picked[:4], features["a"][[1, 3, 5, 7]])
    torch.testing.assert_close(picked[4:], features["b"])


def test_a_methods_own_similarity_is_used(protocol, packs, monkeypatch):
    monkeypatch.setattr("dgreid.evaluation.ranking.CHUNK", 3)
    plain = runner.run_protocol(Means(), protocol, packs.__getitem__, CPU)["A"][0]
    turned = runner.run_protocol(Opposite(), protocol, packs.__getitem__, CPU)["A"][0]
    # eight gallery images, one match: the order is turned round
    np.testing.assert_array_equal(turned.first_hit, 9 - plain.first_hit)


def test_repeated_splits_are_refused(protocol, packs):
    protocol.targets["A"].append(protocol.targets["A"][1])
    with pytest.raises(UserError, match="split 3 repeats split 1"):
        runner.run_protocol(Means(), protocol, packs.__getitem__, CPU)
    with pytest.raises(UserError, match="no splits"):
        runner.check_splits("A", [])


def test_summary(protocol, packs, caplog):
    results = runner.run_protocol(Means(), protocol, packs.__getitem__, CPU)
    node = runner.summarise(results)
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
    result = runner.run_protocol(Means(), protocol, packs.__getitem__, CPU)["A"][0]
    runner.summarise({"A": [result, result]})
    assert "all 2 splits score the same" in caplog.text


class Constant(Means):
    def embed(self, images):
        return super().embed(images) * 0 + 0.7


def test_a_model_that_gives_every_image_the_same_vector_is_refused(protocol, packs):
    with pytest.raises(UserError, match="target A: the model gives the same vector for every image"):
        runner.run_protocol(Constant(), protocol, packs.__getitem__, CPU)


def test_scores_below_those_of_a_random_order_are_said(protocol, packs, caplog):
    results = runner.run_protocol(Means(), protocol, packs.__getitem__, CPU)
    targets = runner.summarise(results)["targets"]
    chances = {
        name: 100 * np.mean([runner.chance_of(*pair) for pair in splits])
        for name, splits in protocol.targets.items()
    }
    above = {name: targets[name] | {"mAP": chance + 1} for name, chance in chances.items()}
    assert runner.not_above_chance(above, protocol) == [] and not caplog.records
    assert runner.not_above_chance(above | {"B": {"mAP": chances["B"] - 1}}, protocol) == ["B"]
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
    assert abs(np.mean(found) - runner.chance_of(query, gallery)) < 5 * error


def node(queries=50, **changes):
    """Two splits of a target, one match per query, as `summarise` writes them."""
    first = {"rank1": 40.0, "rank5": 60.0, "rank10": 70.0, "mAP": 50.0, "mAP_trapezoid": 45.0, "mINP": 50.0}
    splits = [first, first | {"mAP": 50.5, "mINP": 50.5} | changes]
    means = {name: (first[name] + splits[1][name]) / 2 for name in first}
    spread = {f"{name}_std": abs(first[name] - splits[1][name]) / 2 for name in first}
    return {"queries": queries, **means, **spread, "splits": splits}


def test_r19_splits_that_all_score_the_same_are_refused():
    runner.check_scores("A", node(), single=True)
    repeated = node(mAP=50.0, mINP=50.0)
    with pytest.raises(UserError, match=r"all 2 splits score exactly the same.*the model"):
        runner.check_scores("A", repeated, single=False)
    runner.check_scores("A", repeated | {"queries": 3}, single=False)  # by chance, among so few
    runner.check_scores("A", repeated | {"mAP": 100.0}, single=False)  # everything found


@pytest.mark.parametrize(("measure", "value"), [("mAP", 61.0), ("mAP", 44.0), ("mAP_trapezoid", 50.0)])
def test_r22_an_impossible_mean_average_precision_is_refused(measure, value):
    runner.check_scores("A", node(**{measure: value}), single=False)  # with several matches it can be
    with pytest.raises(UserError, match=f"split 1: {measure} {value} is impossible"):
        runner.check_scores("A", node(**{measure: value}), single=True)


def test_r22_real_rankings_pass_and_single_matches_are_recognised(protocol, packs):
    assert runner.single_match(protocol) == {"A"}  # in B two images of the gallery match
    runner.summarise(runner.run_protocol(Means(), protocol, packs.__getitem__, CPU), {"A"})
    query, gallery = protocol.targets["A"][0]
    protocol.targets["A"][0] = query, gallery.assign(camera=[0, *[1] * 7])  # one match is filtered
    assert runner.single_match(protocol) == set()


class Centred(Means):
    """Takes away the mean colour of the camera's images: it sees the target."""

    def __init__(self):
        super().__init__()
        self.centre, self.looks = torch.zeros(3), []

    def adapt(self, images):
        parts = [part.mean(dim=(2, 3)) for part in images]
        self.looks.append(sum(map(len, parts)))
        self.centre = torch.cat(parts).mean(0)

    def embed(self, images):
        return images.mean(dim=(2, 3)) - self.centre


def test_a_method_that_adapts_sees_each_camera_by_itself_before_it_embeds_it(packs, monkeypatch):
    monkeypatch.setattr(runner, "BATCH", 3)
    method, rows = Centred(), np.array([3, 4, 10, 11, 12, 20, 31])
    cameras = np.array([1, 0, 1, 1, 0, 1, 1])
    found = runner.embed(method, packs["a"], rows, CPU, cameras)
    means = normalise(torch.from_numpy(packs["a"][rows])).mean((2, 3))
    expected = torch.stack(
        [mean - means[cameras == camera].mean(0) for mean, camera in zip(means, cameras, strict=True)]
    )
    torch.testing.assert_close(found, expected)
    assert method.looks == [2, 5]  # each camera's images once


def test_images_of_a_target_are_embedded_once_and_adapted_to_by_data_set_and_camera(packs):
    method = Centred()
    images = pd.DataFrame({"dataset": ["b", "a", "a", "a"], "row": [1, 5, 3, 5], "camera": [0, 1, 0, 1]})
    rows, features = runner.embed_images(method, images, packs.__getitem__, CPU)
    assert {name: some.tolist() for name, some in rows.items()} == {"a": [3, 5], "b": [1]}
    assert method.looks == [1, 1, 1]
    assert all(bool((part == 0).all()) for part in features.values())  # each image is its camera's mean


def test_whole_protocols_are_adapted_to_and_others_are_not(protocol, packs):
    method = Centred()
    runner.run_protocol(method, protocol, packs.__getitem__, CPU)
    assert len(method.looks) == 2 + 2 + 1  # data set a has two cameras for A and for B, data set b one
    assert Means().adapt is None
