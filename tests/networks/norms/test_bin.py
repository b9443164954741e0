"""MetaBIN's layer: values of the released code, its two branches, the gate's update."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from dgreid.networks.norms import (
    BatchInstanceNorm2d,
    hold,
    straight_through_clamp,
)
from helpers.norms import plain, random_layer


def released_fixture():
    """In float64: what is published was rounded once, and nothing is added to that here."""
    sizes = (torch.arange(size, dtype=torch.float64) for size in (4, 3, 3, 4))
    n, c, h, w = torch.meshgrid(*sizes, indexing="ij")
    layer = BatchInstanceNorm2d(3).double()
    for name, values in (
        ("balance", (0.2, 0.5, 1.0)),
        ("batch_weight", (1.1, 0.9, 1.3)),
        ("instance_weight", (0.7, 1.2, 0.8)),
        ("instance_bias", (0.1, -0.2, 0.3)),
    ):
        getattr(layer, name).data = torch.tensor(values, dtype=torch.float64)
    return layer, torch.sin(n + 2 * c + 0.5 * h + 0.3 * w)


def test_released_values():
    layer, x = released_fixture()
    with hold(layer):
        held = layer(x)
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1]
    assert held.abs().sum().item() == pytest.approx(126.53511, abs=2e-5)
    assert torch.equal(layer(x), held)
    expected = [[0.02623396, -0.03972633, 0.00683001], [0.94520617, 0.92951262, 0.95651966]]
    found = torch.stack([layer.running_mean, layer.running_var])
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-7, rtol=0)
    assert layer.eval()(x).abs().sum().item() == pytest.approx(106.0346, abs=2e-5)


def test_inner_update_of_the_released_fixture():
    layer, x = released_fixture()
    step = layer.balance - 0.5 * torch.tensor([1.0, -2.0, -1.0])
    updated = straight_through_clamp(step)
    assert updated.tolist() == pytest.approx([0, 1, 1])
    with hold(layer):
        y = functional_call(layer, {"balance": updated}, x)
        layer.balance.data = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(y, plain(layer, x, train=True))
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    through, direct = torch.autograd.grad((y * weights).sum(), [step, updated])
    assert torch.equal(through, direct)
    assert (through != 0).all()  # also for the channels at a bound


@pytest.mark.parametrize("train", [True, False])
def test_gate_one_is_batch_norm_and_zero_is_instance_norm(train):
    torch.manual_seed(0)
    x = torch.randn(4, 5, 6, 3)
    layer = random_layer(5, torch.float32).train(train)
    norm = nn.BatchNorm2d(5).train(train)
    norm.load_state_dict(
        {
            "weight": layer.batch_weight,
            "bias": layer.batch_bias,
            "running_mean": layer.running_mean,
            "running_var": layer.running_var,
        },
        strict=False,
    )
    layer.balance.data.fill_(1)
    torch.testing.assert_close(layer(x), norm(x))
    torch.testing.assert_close(layer.running_mean, norm.running_mean)
    torch.testing.assert_close(layer.running_var, norm.running_var)
    layer.balance.data.fill_(0)
    expected = F.instance_norm(x, weight=layer.instance_weight, bias=layer.instance_bias)
    torch.testing.assert_close(layer(x), expected)


def test_the_instance_branch_of_one_pixel_is_zero():
    layer, x = random_layer(3), torch.randn(4, 3, 1, 1, dtype=torch.float64)
    layer.balance.data.fill_(0)
    assert layer(x).count_nonzero() == 0
