"""Batch-instance norms: values of the released MetaBIN, the plain formula, gradients, modes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from dgreid.networks.norms import (
    BatchInstanceNorm2d,
    SharedBatchInstanceNorm2d,
    fused,
    hold,
    straight_through_clamp,
)

NAMES = ("balance", "batch_weight", "batch_bias", "instance_weight", "instance_bias")


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


def random_layer(channels, dtype=torch.float64, kind=BatchInstanceNorm2d):
    layer = kind(channels).to(dtype)
    for tensor in layer.state_dict().values():
        tensor.uniform_(0.1, 0.9)
    return layer


def plain(layer, x, train):
    """Both norms and the mix, by torch's own layers; running statistics untouched."""
    statistics = (None, None) if train else (layer.running_mean, layer.running_var)
    batch_weight, batch_bias, instance_weight, instance_bias = layer.affine(x.shape[-2:].numel() == 1)
    batch = F.batch_norm(x, *statistics, batch_weight, batch_bias, train)
    # by hand: torch's instance norm refuses 1x1 maps
    var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    instance = (x - mean) / (var + 1e-5).sqrt() * instance_weight[:, None, None] + instance_bias[
        :, None, None
    ]
    balance = layer.balance[:, None, None]
    return balance * batch + (1 - balance) * instance


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


@pytest.mark.parametrize("kind", [BatchInstanceNorm2d, SharedBatchInstanceNorm2d])
@pytest.mark.parametrize("train", [True, False])
@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 6), st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**16),
    part=st.sampled_from([1, 7, fused.PART]),
    whole=st.booleans(),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_equals_the_plain_formula(kind, train, shape, seed, part, whole, layout):
    torch.manual_seed(seed)
    layer = random_layer(shape[1], kind=kind).train(train)
    x = (3 * torch.randn(shape, dtype=torch.float64) + 2).to(memory_format=layout).requires_grad_()
    weights = torch.randn(shape, dtype=torch.float64)
    inputs = [x, *layer.parameters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "PART", part)
        if whole:  # as on a GPU
            patch.setattr(fused, "in_parts", lambda x: False)
        y = layer(x)
        gradients = torch.autograd.grad((y * weights).sum(), inputs)
    expected = plain(layer, x, train)
    torch.testing.assert_close(y, expected, atol=1e-12, rtol=1e-12)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), inputs)
    for got, want in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(got, want, atol=1e-11, rtol=1e-10)


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


@pytest.mark.parametrize("train", [True, False])
def test_shared_gate_one_is_batch_norm_and_zero_is_instance_norm_with_the_same_affine_map(train):
    torch.manual_seed(0)
    x = torch.randn(4, 5, 6, 3)
    layer = random_layer(5, torch.float32, SharedBatchInstanceNorm2d).train(train)
    norm = nn.BatchNorm2d(5).train(train)
    norm.load_state_dict({n: t for n, t in layer.state_dict().items() if n != "balance"}, strict=False)
    layer.balance.data.fill_(1)
    torch.testing.assert_close(layer(x), norm(x))
    layer.balance.data.fill_(0)
    torch.testing.assert_close(layer(x), F.instance_norm(x, weight=layer.weight, bias=layer.bias))


def test_gradient_of_the_shared_gate_is_the_published_sum():
    torch.manual_seed(0)
    layer = random_layer(4, kind=SharedBatchInstanceNorm2d)
    x, g = torch.randn(2, 3, 4, 5, 2, dtype=torch.float64)
    layer.train()(x).backward(g)
    batch = F.batch_norm(x, None, None, training=True)
    instance = F.instance_norm(x)
    expected = (g * layer.weight[:, None, None] * (batch - instance)).sum((0, 2, 3))
    torch.testing.assert_close(layer.balance.grad, expected)


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


def test_wrong_inputs():
    layer = BatchInstanceNorm2d(3)
    with pytest.raises(ValueError, match="3, H, W"):
        layer(torch.randn(2, 4, 5, 5))
    with pytest.raises(ValueError, match="more than one value"):
        layer(torch.randn(1, 3, 1, 1))
    assert layer.eval()(torch.randn(1, 3, 1, 1)).shape == (1, 3, 1, 1)


def test_the_instance_branch_of_one_pixel_is_zero():
    layer, x = random_layer(3), torch.randn(4, 3, 1, 1, dtype=torch.float64)
    layer.balance.data.fill_(0)
    assert layer(x).count_nonzero() == 0


def test_output_can_be_changed_in_place():
    layer, x = released_fixture()
    F.relu(layer(x), inplace=True).sum().backward()
    assert layer.balance.grad.isfinite().all()
