"""The other norms, the conversion of networks, and `hold`."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.networks.neck import BNNeck
from dgreid.networks.norms import (
    IBN,
    BatchInstanceNorm2d,
    HalfInstanceNorm2d,
    InstanceNorm2d,
    SharedBatchInstanceNorm2d,
    SwitchableNorm2d,
    convert_norms,
    hold,
)

FACTORIES = (
    BatchInstanceNorm2d,
    SharedBatchInstanceNorm2d,
    HalfInstanceNorm2d,
    IBN,
    InstanceNorm2d,
    SwitchableNorm2d,
)


def trained_norm(channels):
    norm = nn.BatchNorm2d(channels)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(norm, name).data.uniform_(0.5, 2)
    return norm


@pytest.mark.parametrize("channels", [2, 33, 89])  # 33 and 89 are widths of MobileNetV2 x1.4
def test_half_splits_at_the_ceiling_batch_norm_first(channels):
    torch.manual_seed(0)
    x = torch.randn(4, channels, 5, 3)
    half = -(-channels // 2)
    expected = torch.cat(
        [F.batch_norm(x[:, :half], None, None, training=True), F.instance_norm(x[:, half:])], 1
    )
    torch.testing.assert_close(HalfInstanceNorm2d(channels)(x), expected)


@pytest.mark.parametrize("factory", [HalfInstanceNorm2d, IBN])
def test_a_half_does_not_see_the_other(factory):
    torch.manual_seed(0)
    norm, x = factory(6), torch.randn(4, 6, 5, 3)
    changed = x.clone()
    changed[:, :3] *= 7
    same = torch.isclose(norm(x), norm(changed)).all((0, 2, 3))
    assert same[3:].all()
    one = norm.eval()(x)[:1]  # at test time the batch half has running statistics, the other its own
    torch.testing.assert_close(one, norm(x[:1]))
    scaled = torch.isclose(norm(5 * x), norm(x), atol=1e-3).all((0, 2, 3))
    expected = [False] * 3 + [True] * 3
    assert scaled.tolist() == (expected if factory is HalfInstanceNorm2d else expected[::-1])


def test_ibn_is_instance_norm_first_and_wants_even_widths():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 5, 3)
    expected = torch.cat([F.instance_norm(x[:, :3]), F.batch_norm(x[:, 3:], None, None, training=True)], 1)
    torch.testing.assert_close(IBN(6)(x), expected)
    with pytest.raises(UserError, match="33 channels cannot be halved"):
        IBN(33)


@pytest.mark.parametrize(("chosen", "dimensions"), [("in", (2, 3)), ("ln", (1, 2, 3)), ("bn", (0, 2, 3))])
def test_switchable_reduces_to_each_component(chosen, dimensions):
    torch.manual_seed(0)
    x = torch.randn(6, 5, 16, 16, dtype=torch.float64)
    norm = SwitchableNorm2d(5).double()
    one_hot = torch.tensor([50.0 if k == chosen else -50.0 for k in norm.components], dtype=torch.float64)
    norm.mean_logits.data, norm.var_logits.data = one_hot.clone(), one_hot.clone()
    var, mean = torch.var_mean(x, dimensions, correction=0, keepdim=True)
    # published: layer and batch moments are built on the unbiased variance of each map
    bessel = (x.var((2, 3), keepdim=True) - x.var((2, 3), correction=0, keepdim=True)).mean(
        tuple(d for d in dimensions if d < 2) or (2, 3), keepdim=True
    )
    torch.testing.assert_close(norm(x), (x - mean) / (var + bessel + 1e-5).sqrt())


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(2, 5)),
    components=st.sampled_from([("in", "ln", "bn"), ("in", "bn"), ("bn",)]),
    train=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_switchable_equals_the_published_formula(shape, components, train, seed):
    torch.manual_seed(seed)
    x = torch.randn(shape, dtype=torch.float64) * 2 + 1
    norm = SwitchableNorm2d(shape[1], components).double().train(train)
    for tensor in norm.state_dict().values():
        tensor.uniform_(0.2, 2)
    mean, var = x.mean((2, 3)), x.var((2, 3))  # (N, C), the variance unbiased
    moments = {"in": (mean, var)}
    for key, dimension in (("ln", 1), ("bn", 0)):
        centre = mean.mean(dimension, keepdim=True)
        moments[key] = centre, (var + mean**2).mean(dimension, keepdim=True) - centre**2
    if not train:
        moments["bn"] = norm.running_mean, norm.running_var
    shares = norm.mean_logits.softmax(0), norm.var_logits.softmax(0)
    mu, sigma = (
        sum(share * moments[key][part] for share, key in zip(shares[part], components, strict=True))
        for part in (0, 1)
    )
    expected = (x - mu.expand(shape[:2])[..., None, None]) / (sigma + 1e-5).expand(shape[:2])[
        ..., None, None
    ].sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize(("chosen", "dimensions"), [("in", (2, 3)), ("bn", (0, 2, 3))])
def test_two_way_switchable_reduces_to_its_components(chosen, dimensions):
    x = torch.randn(6, 5, 64, 64, dtype=torch.float64)
    norm = SwitchableNorm2d(5, ("in", "bn")).double()
    for logits in (norm.mean_logits, norm.var_logits):
        logits.data = torch.tensor([50.0 if k == chosen else -50.0 for k in norm.components]).double()
    var, mean = torch.var_mean(x, dimensions, correction=0, keepdim=True)
    # on large maps the unbiased variance is the biased one, to 1 / 4096
    torch.testing.assert_close(norm(x), (x - mean) / (var + 1e-5).sqrt(), rtol=1e-3, atol=1e-5)


def test_switchable_starts_even_with_a_share_for_each_component():
    for components in (("in", "ln", "bn"), ("in", "bn")):
        norm = SwitchableNorm2d(7, components)
        assert norm.mean_logits.tolist() == norm.var_logits.tolist() == [1] * len(components)
        assert norm.weight.shape == norm.bias.shape == (7,)  # shares are per layer, not per channel


def test_switchable_with_one_image_has_equal_batch_and_instance_parts():
    x = torch.randn(1, 4, 6, 6)
    norm = SwitchableNorm2d(4, ("in", "bn"))
    first = norm(x)
    norm.mean_logits.data, norm.var_logits.data = torch.tensor([3.0, -1.0]), torch.tensor([-2.0, 0.5])
    torch.testing.assert_close(norm(x), first)


def test_switchable_running_statistics():
    torch.manual_seed(0)
    x = torch.randn(6, 4, 5, 5) * 2 + 3
    norm = SwitchableNorm2d(4, ("in", "bn"))
    assert norm.running_var.tolist() == [0] * 4
    norm(x)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2, 3)))
    trained = norm.running_mean.clone()
    norm.eval()(x)
    assert torch.equal(norm.running_mean, trained)
    with pytest.raises(UserError, match="did you mean"):
        SwitchableNorm2d(4, ("inn",))


def test_instance_norm_of_one_pixel_is_zero():
    norm = InstanceNorm2d(3)
    norm.bias.data.uniform_()
    assert norm(torch.randn(2, 3, 1, 1)).count_nonzero() == 0


@pytest.mark.parametrize("factory", FACTORIES)
def test_conversion(factory):
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), trained_norm(6), nn.Sequential(trained_norm(6)), nn.BatchNorm1d(2)
    )
    old = copy.deepcopy(network)
    network = convert_norms(network.eval(), factory)
    assert isinstance(network[1], factory) and isinstance(network[2][0], factory)
    assert isinstance(network[3], nn.BatchNorm1d)  # only 2-d norms are replaced
    assert not network[1].training
    assert network[:3](torch.randn(2, 3, 8, 8)).shape == (2, 6, 6, 6)
    new, norm = network[1], old[1]
    if factory is BatchInstanceNorm2d:
        assert torch.equal(new.batch_weight, norm.weight) and torch.equal(new.batch_bias, norm.bias)
        assert torch.equal(new.running_mean, norm.running_mean)
        assert torch.equal(new.running_var, norm.running_var)
        assert (new.instance_weight == 1).all() and (new.instance_bias == 0).all()
        assert (new.balance == 1).all()
    if factory in (BatchInstanceNorm2d, SharedBatchInstanceNorm2d):  # gate 1: nothing has changed
        x = torch.randn(2, 3, 8, 8)
        torch.testing.assert_close(network[:3](x), old.eval()[:3](x))
    if factory is HalfInstanceNorm2d:
        assert torch.equal(new.batch.running_var, norm.running_var[:3])
        assert (new.instance.weight == 1).all()
    if factory is IBN:
        assert torch.equal(new.batch.weight, norm.weight[3:])
        assert torch.equal(new.instance.weight, norm.weight[:3])
    if factory is InstanceNorm2d:
        assert (new.weight == 1).all()


def test_conversion_of_some_norms_and_of_the_root():
    network = nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    convert_norms(network, IBN, only=lambda name: name == "1")
    assert type(network[0]) is nn.BatchNorm2d and type(network[1]) is IBN
    assert isinstance(convert_norms(nn.BatchNorm2d(4), BatchInstanceNorm2d), BatchInstanceNorm2d)


@pytest.mark.parametrize("factory", [nn.BatchNorm2d, *FACTORIES])
def test_hold_uses_batch_statistics_and_leaves_buffers_alone(factory):
    torch.manual_seed(0)
    network = nn.Sequential(factory(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), BNNeck(4))
    x = torch.randn(6, 4, 5, 5) * 3 + 1
    before = copy.deepcopy(network.state_dict())
    with hold(network):
        held = network(x)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    torch.testing.assert_close(network(x), held)  # batch statistics in both
    assert not torch.equal(before["3.running_mean"], network[3].running_mean)  # tracking is back on


def test_hold_ends_with_an_error_inside():
    norm = nn.BatchNorm2d(2)
    with pytest.raises(RuntimeError, match="inside"), hold(norm):
        raise RuntimeError("inside")
    assert norm.track_running_stats


def test_hold_leaves_eval_mode_alone():
    network = trained_norm(3).eval()
    x = torch.randn(4, 3, 2, 2)
    with hold(network):
        torch.testing.assert_close(network(x)[:1], network(x[:1]))  # running statistics: images are apart


def test_neck_has_a_frozen_zero_bias():
    neck = BNNeck(5)
    optimiser = torch.optim.SGD(neck.parameters(), lr=1.0, weight_decay=0.1)
    neck(torch.randn(8, 5)).square().sum().backward()
    optimiser.step()
    assert neck.weight.requires_grad and neck.bias.tolist() == [0] * 5
