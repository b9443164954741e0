import torch
from hypothesis import given
from hypothesis import strategies as st

from dgreid.methods.parts.gaussians import barycentre, statistics, wasserstein
from helpers.lda import K


@given(st.integers(0, 999))
def test_the_barycentre_has_the_least_weighted_distance(seed):
    random = torch.Generator().manual_seed(seed)
    means = torch.randn(K, 4, generator=random, dtype=torch.float64)
    deviations = torch.rand(K, 4, generator=random, dtype=torch.float64) + 0.1
    weights = torch.rand(K, generator=random, dtype=torch.float64)
    weights /= weights.sum()

    def objective(mean, std):
        return (weights * wasserstein(means, deviations, mean, std)).sum()

    mean, std = barycentre(means, deviations, weights)
    least = objective(mean, std)
    for _ in range(5):
        moved = [part + 0.1 * torch.randn(4, generator=random, dtype=torch.float64) for part in (mean, std)]
        assert objective(*moved) > least
    start = [torch.zeros(4).double().requires_grad_(), torch.ones(4).double().requires_grad_()]
    descent = torch.optim.SGD(start, lr=1.0)  # a quadratic in each of the four channels
    for _ in range(100):
        descent.zero_grad()
        objective(*start).backward()
        descent.step()
    torch.testing.assert_close(start[0].detach(), mean)
    torch.testing.assert_close(start[1].detach(), std)


@given(st.integers(0, 999))
def test_the_distance_is_zero_only_between_equals(seed):
    random = torch.Generator().manual_seed(seed)
    mean, std = torch.randn(5, generator=random), torch.rand(5, generator=random)
    assert wasserstein(mean, std, mean.clone(), std.clone()) == 0
    channel = seed % 5
    for changed in (mean, std):
        other = [mean.clone(), std.clone()]
        other[0 if changed is mean else 1][channel] += 0.5
        torch.testing.assert_close(wasserstein(mean, std, *other), torch.tensor(0.05))  # .5 ** 2 / 5


def test_statistics_are_in_full_precision_and_never_without_a_gradient():
    maps = torch.randn(3, 4, 5, 2, generator=torch.Generator().manual_seed(0)).double()
    mean, std = statistics(maps, (0, 2, 3))
    torch.testing.assert_close(mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(std.square(), maps.var((0, 2, 3), correction=0) + 1e-5)
    assert statistics(maps, (2, 3))[0].shape == (3, 4)
    assert statistics(maps.bfloat16(), (2, 3))[1].dtype == torch.float32
    dead = torch.zeros(2, 1, 3, 3, requires_grad=True)
    statistics(dead, (0, 2, 3))[1].sum().backward()
    assert dead.grad.isfinite().all()
