"""The mixture in one pass: gradients, precision, memory and what is left out."""

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from dgreid.networks.norms import (
    BatchInstanceNorm2d,
    hold,
)
from helpers.norms import NAMES, random_layer


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("train", [True, False])
def test_gradcheck(train, double):
    torch.manual_seed(0)
    layer = random_layer(3).train(train)
    layer.double_differentiable = double
    x = torch.randn(3, 3, 4, 2, dtype=torch.float64, requires_grad=True)

    def forward(x, *values):
        with hold(layer):
            return functional_call(layer, dict(zip(NAMES, values, strict=True)), x)

    inputs = (x, *(getattr(layer, name) for name in NAMES))
    assert torch.autograd.gradcheck(forward, inputs)
    if double:
        assert torch.autograd.gradgradcheck(forward, inputs)


def test_second_order_raises_instead_of_being_wrong():
    layer = random_layer(3)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_only_what_is_asked_for_is_computed():
    layer = random_layer(3)
    for name in NAMES[1:]:
        getattr(layer, name).requires_grad_(False)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    passes = []  # over the pixels: the sums alone, or also the gradient of x
    for wanted in (False, True):
        loss = layer(x.requires_grad_(wanted)).square().sum()
        with torch.profiler.profile() as profile:
            loss.backward()
        passes.append([event.key for event in profile.key_averages()].count("aten::addcmul_"))
    assert passes == [0, 1]
    assert layer.balance.grad is not None
    assert all(getattr(layer, name).grad is None for name in NAMES[1:])


def test_keeps_only_the_input_for_backward():
    layer = BatchInstanceNorm2d(8)
    x = torch.randn(16, 8, 32, 16, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(x)
    assert sum(t.numel() for t in kept) <= 1.1 * x.numel()


@pytest.mark.parametrize("double", [False, True])
def test_large_means_do_not_cancel(double):
    torch.manual_seed(0)
    layer = random_layer(8, torch.float32)
    layer.double_differentiable = double
    x = torch.randn(4, 8, 16, 8) + 1000
    reference = random_layer(8)
    reference.load_state_dict(layer.state_dict())
    error = (layer(x).double() - reference(x.double())).abs().max().item()
    assert error < 2e-4  # the mean itself is only known to 3e-5; a x + b would be off by about 1e-3


@pytest.mark.parametrize("double", [False, True])
def test_half_precision_input_full_precision_statistics(double):
    torch.manual_seed(0)
    layer = random_layer(8, torch.float32)
    layer.double_differentiable = double
    exact = random_layer(8, torch.float32)
    exact.load_state_dict(layer.state_dict())
    x = (torch.randn(4, 8, 16, 8) + 5).bfloat16().requires_grad_()
    wide = x.detach().float().requires_grad_()
    dy = torch.randn(4, 8, 16, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    y.backward(dy)
    expected = exact(wide)
    expected.backward(dy.float())
    assert y.dtype == x.grad.dtype == torch.bfloat16
    assert layer.balance.grad.dtype == layer.running_mean.dtype == torch.float32
    torch.testing.assert_close(y.float(), expected, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(x.grad.float(), wide.grad, atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(layer.running_var, exact.running_var)
    for name in NAMES:
        torch.testing.assert_close(getattr(layer, name).grad, getattr(exact, name).grad, atol=1e-3, rtol=1e-3)


def test_compiles_into_one_graph():
    torch.manual_seed(0)
    layer, compiled_layer = random_layer(4), random_layer(4)
    compiled_layer.load_state_dict(layer.state_dict())
    compiled = torch.compile(compiled_layer, backend="eager", fullgraph=True)
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(compiled(x), layer(x))
    torch.testing.assert_close(compiled_layer.running_var, layer.running_var)


def test_output_can_be_changed_in_place():
    layer, x = random_layer(3), torch.randn(4, 3, 3, 4, dtype=torch.float64)
    F.relu(layer(x), inplace=True).sum().backward()
    assert layer.balance.grad.isfinite().all()
