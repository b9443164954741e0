"""Switchable norms of three and of two components."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgreid.errors import UserError
from dgreid.networks.norms import (
    SwitchableNorm2d,
)


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
