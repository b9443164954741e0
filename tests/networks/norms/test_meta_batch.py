import pytest
import torch
from torch import nn

from dgreid.networks.norms.meta_batch import MetaBatchNorm1d, Style, draw, style_of


def features(seed: int, rows: int = 32, channels: int = 5) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.2, 3, channels, dtype=torch.float64)
    return torch.randn(rows, channels, generator=random, dtype=torch.float64) * scale + scale


def test_called_plainly_it_is_batch_norm():
    ours, theirs = MetaBatchNorm1d(5).double(), nn.BatchNorm1d(5).double()
    for seed in range(3):
        assert torch.equal(ours(features(seed)), theirs(features(seed)))
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert torch.equal(ours.eval()(features(3)), theirs.eval()(features(3)))


def test_a_style_is_mean_and_population_variance_without_gradient():
    x = features(0).requires_grad_()
    style = style_of(x)
    torch.testing.assert_close(style.mean, x.detach().sum(0) / 32)
    torch.testing.assert_close(style.var, ((x - x.mean(0)) ** 2).detach().sum(0) / 32)
    assert not style.mean.requires_grad and not style.var.requires_grad


@pytest.mark.parametrize("std", ["variance", "deviation"])
def test_draws_are_those_of_torch_normal(std):
    style = Style(torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.25, 4.0, 0.0]))
    spread = style.var if std == "variance" else (style.var + 1e-5).sqrt()
    torch.manual_seed(4)
    ours = draw(style, 16, std)
    torch.manual_seed(4)
    torch.testing.assert_close(ours, torch.normal(style.mean.expand(16, 3), spread.expand(16, 3)))


def test_draws_have_the_variance_as_deviation_as_released():
    style = Style(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.25, 4.0, 0.0]))
    torch.manual_seed(0)
    drawn = draw(style, 200_000, "variance")
    torch.testing.assert_close(drawn.mean(0), style.mean, atol=0.04, rtol=0)
    torch.testing.assert_close(drawn.std(0), style.var, atol=0.03, rtol=0)
    assert (drawn[:, 2] == 3).all()  # no variance: the mean, and no error
    drawn = draw(style, 200_000, "deviation")
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, 2.0, 0.00316]), atol=0.01, rtol=0)


def test_mixed_features_are_normalised_by_their_own_statistics():
    layer = MetaBatchNorm1d(5).double()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.normal_()
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    x, share = features(0).requires_grad_(), 0.3
    draws = [features(1), features(2)]
    mixed = layer.mixed(x, draws, share)
    assert len(mixed) == 2
    for z, f in zip(draws, mixed, strict=True):
        m = share * z + (1 - share) * x
        centred = m - m.mean(0)
        expected = layer.weight * centred / ((centred**2).mean(0) + 1e-5).sqrt() + layer.bias
        torch.testing.assert_close(f, expected, atol=1e-12, rtol=1e-12)
        probe = features(7)
        ours, theirs = (
            torch.autograd.grad((y * probe).sum(), x, retain_graph=True)[0] for y in (f, expected)
        )
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-9)
        assert ours.abs().max() > 1e-3
    before["num_batches_tracked"] += 1  # the call is counted, as released, and no statistic moves
    assert all(torch.equal(buffer, before[name]) for name, buffer in layer.named_buffers())


def test_share_none_is_the_feature_and_share_all_the_draw():
    layer = MetaBatchNorm1d(5).double()
    x, z = features(0), features(1)
    torch.testing.assert_close(layer.mixed(x, [z], 0.0)[0], layer(x))
    torch.testing.assert_close(layer.mixed(x, [z], 1.0)[0], layer(z))


@pytest.mark.parametrize("std", ["variance", "deviation"])
def test_a_dead_channel_stays_finite(std):
    x = torch.zeros(8, 3, requires_grad=True)
    (f,) = MetaBatchNorm1d(3).mixed(x, [draw(style_of(x), 8, std)], 0.5)
    f.square().sum().backward()
    assert f.isfinite().all() and x.grad.isfinite().all()
