import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dgreid.networks.memory import IdentityMemory


def memory(update: str = "sequential", momentum: float = 0.2) -> IdentityMemory:
    torch.manual_seed(0)
    made = IdentityMemory(5, 4, momentum=momentum, update=update).double()
    made.centroids.copy_(F.normalize(torch.randn(5, 4)))
    return made


def one_by_one(centroids, features, identities, momentum=0.2):
    centroids = centroids.clone()
    for f, y in zip(features, identities.tolist(), strict=True):
        moved = momentum * centroids[y] + (1 - momentum) * f / f.norm()
        centroids[y] = moved / moved.norm()
    return centroids


def features(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_logits_are_cosines_over_the_temperature():
    made, f = memory(), 3 * features(6)
    expected = [[float(row @ c / row.norm() / 0.05) for c in made.centroids] for row in f]
    torch.testing.assert_close(made(f), torch.tensor(expected, dtype=torch.float64))


def test_no_gradient_reaches_the_memory_and_a_second_one_the_features():
    made, f = memory(), features(6).requires_grad_()
    y, own = torch.tensor([0, 1, 2, 3, 3, 0]), torch.tensor([True, True, True, True, False])
    (g,) = torch.autograd.grad(
        F.cross_entropy(made(f).masked_fill(~own, -torch.inf), y), f, create_graph=True
    )
    (h,) = torch.autograd.grad(g.square().sum(), f)
    assert h.isfinite().all() and h.abs().max() > 0
    assert not list(made.parameters()) and not made.centroids.requires_grad


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.sampled_from([0.0, 0.2, 0.9]))
def test_sequential_update_is_sample_after_sample(people, momentum):
    made, identities = memory(momentum=momentum), torch.tensor(people)
    expected = one_by_one(made.centroids, features(len(people)), identities, momentum)
    made.update(7 * features(len(people)), identities)  # the length of a feature does not matter
    torch.testing.assert_close(made.centroids, expected, atol=1e-12, rtol=0)


def test_with_four_images_the_last_weighs_most():
    made = IdentityMemory(1, 5).double()
    made.centroids[0, 4] = 1  # orthogonal to the images
    made.update(torch.eye(5, dtype=torch.float64)[:4], torch.zeros(4, dtype=torch.long))
    weights = made.centroids[0]
    assert (weights[:3] < weights[1:4]).all() and weights[3] > 0.95
    ratios = weights[1:4] / weights[:3]
    assert (ratios > 3.9).all()  # .8 against .2 of a vector of length about 1


def test_mean_update_is_equation_2():
    made = memory("mean")
    identities = torch.tensor([3, 0, 3, 3])
    f = features(4)
    expected = made.centroids.clone()
    unit = f / f.norm(dim=1, keepdim=True)
    expected[0] = 0.2 * expected[0] + 0.8 * unit[1]
    expected[3] = 0.2 * expected[3] + 0.8 * (unit[0] + unit[2] + unit[3]) / 3
    made.update(f, identities)
    torch.testing.assert_close(made.centroids, expected)


def test_the_two_rules_differ_where_an_identity_repeats():
    for people, differ in (([0, 1, 2], False), ([0, 1, 0], True)):
        results = []
        for rule in ("sequential", "mean"):
            made = memory(rule)
            made.update(features(3), torch.tensor(people))
            results.append(F.normalize(made.centroids))
        assert torch.allclose(*results, atol=1e-3) != differ


def test_filled_with_the_mean_direction_of_all_images():
    made, f = memory(), features(9)
    y = torch.tensor([4, 0, 1, 2, 3, 3, 0, 4, 4])
    made.fill([(5 * f[:4], y[:4]), (f[4:], y[4:])])  # in any parts, of any length
    for identity in range(5):
        mean = torch.stack([row / row.norm() for row, who in zip(f, y, strict=True) if who == identity]).mean(
            0
        )
        torch.testing.assert_close(made.centroids[identity], mean / mean.norm())


@pytest.mark.parametrize("rule", ["sequential", "mean"])
def test_others_are_left_alone(rule):
    made = memory(rule)
    before = made.centroids.clone()
    made.update(features(2), torch.tensor([1, 1]))
    moved = (made.centroids != before).any(1)
    assert moved.tolist() == [False, True, False, False, False]
