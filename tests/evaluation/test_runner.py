import numpy as np
import pandas as pd
import pytest
import torch

from dgreid.errors import UserError
from dgreid.evaluation import rank, runner
from dgreid.images.normalise import normalise
from helpers.colours import Means

CPU = torch.device("cpu")


class Exact(Means):
    """The same in float64."""

    def __init__(self):
        super().__init__()
        self.dtype = torch.float64
        self.double()


class Opposite(Means):
    def similarity(self, query, gallery):
        return -super().similarity(query, gallery)


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


class Constant(Means):
    def embed(self, images):
        return super().embed(images) * 0 + 0.7


def test_a_model_that_gives_every_image_the_same_vector_is_refused(protocol, packs):
    with pytest.raises(UserError, match="target A: the model gives the same vector for every image"):
        runner.run_protocol(Constant(), protocol, packs.__getitem__, CPU)


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


def test_a_method_in_float64_is_ranked_in_it_and_equal_images_tie(protocol, packs, monkeypatch):
    """Each gallery image equals one of another identity, and has other last bits every time."""
    packs["a"][1::4] = packs["a"][3::4]
    method = Exact()
    embedded = method.embed

    def unlike(images):
        assert images.dtype == torch.get_default_dtype() == torch.float64
        found = embedded(images)
        return found * (1 + 1e-15 * torch.randn(len(found), 1))

    torch.manual_seed(0)
    monkeypatch.setattr(method, "embed", unlike)
    first = runner.run_protocol(method, protocol, packs.__getitem__, CPU)
    again = runner.run_protocol(method, protocol, packs.__getitem__, CPU)
    assert torch.get_default_dtype() == torch.float32
    for one, other in zip(first["A"], again["A"], strict=True):
        np.testing.assert_array_equal(one.first_hit, other.first_hit)
        np.testing.assert_array_equal(one.average_precision, other.average_precision)


def test_settled_scores_keep_their_order_and_forget_their_last_bits():
    generator = torch.Generator().manual_seed(0)
    scores = (
        torch.randn(20, 50, dtype=torch.float64, generator=generator) * 10.0 ** torch.arange(-9, 11)[:, None]
    )
    settled = runner.settled(scores)
    assert torch.equal(settled.argsort(1), scores.argsort(1))
    assert ((settled - scores).abs() <= scores.abs().amax(1, keepdim=True) * 2.0**-39).all()
    shaken = scores * (1 + 1e-15 * torch.randn(scores.shape, dtype=torch.float64, generator=generator))
    assert (runner.settled(shaken) == settled).double().mean() > 0.99
    assert not torch.equal(shaken, scores)
