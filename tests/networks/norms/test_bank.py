"""The Buffer Bank and Anti-Normalisation: what the LDA poster says of them, whatever is decided elsewhere."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dgreid.networks.norms import convert_norms, hold
from dgreid.networks.norms.anti import AntiNorm2d, anti_normalise, towards
from dgreid.networks.norms.buffer_bank import BufferBankNorm2d, as_expert

DOMAINS, CHANNELS = 3, 5
LAYERS = (
    BufferBankNorm2d,
    AntiNorm2d,
    lambda c, k: AntiNorm2d(c, k, "pre_bn"),
    lambda c, k: AntiNorm2d(c, k, "pre_mixture"),
)


def features(seed: int, images: int = 6, height: int = 4, width: int = 3, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    scale = torch.rand(images, CHANNELS, 1, 1, generator=random, dtype=dtype) * 3
    x = torch.randn(images, CHANNELS, height, width, generator=random, dtype=dtype)
    return x * scale + 2 * torch.randn(images, CHANNELS, 1, 1, generator=random, dtype=dtype)


def layer(factory, seed: int = 0):
    torch.manual_seed(seed)
    made = factory(CHANNELS, DOMAINS).double()
    with torch.no_grad():
        for tensor in (made.weight, made.bias, made.bank_mean):
            tensor.normal_()
        made.bank_var.uniform_(0.1, 4)
    return made


def buffers(module: nn.Module) -> dict:
    return {name: value.clone() for name, value in module.named_buffers()}


@pytest.mark.parametrize("factory", LAYERS)
def test_the_expert_is_the_batch_norm_of_its_domain_and_fills_its_row_alone(factory):
    bank = layer(factory)
    plain = [nn.BatchNorm2d(CHANNELS).double() for _ in range(DOMAINS)]
    for k, norm in enumerate(plain):
        for name in ("weight", "bias"):
            getattr(norm, name).data.copy_(getattr(bank, name))
        norm.running_mean.copy_(bank.bank_mean[k])
        norm.running_var.copy_(bank.bank_var[k])
    for seed, k in enumerate((1, 1, 2)):  # domain 0 is never seen
        before, x = buffers(bank), features(seed)
        with as_expert(bank, k):
            assert torch.equal(bank(x), plain[k](x))
        for name, value in bank.named_buffers():  # momentum .1, unbiased variance: nn.BatchNorm2d's
            for row in range(DOMAINS):
                if name.startswith("bank"):
                    assert torch.equal(value[row], before[name][row]) == (row != k), (name, row)
            if not name.startswith("bank"):
                assert torch.equal(value, before[name])  # Network-A's own
    for k, norm in enumerate(plain):
        assert torch.equal(bank.bank_mean[k], norm.running_mean)
        assert torch.equal(bank.bank_var[k], norm.running_var)
        with as_expert(bank.eval(), k):
            assert torch.equal(bank(features(9)), norm.eval()(features(9)))


@pytest.mark.parametrize("factory", LAYERS)
def test_network_a_never_writes_the_bank(factory):
    bank = layer(factory)
    before = buffers(bank)
    with towards(bank, torch.tensor([0, 1, 2, 0, 1, 2])):
        bank(features(0))
    bank(features(1))
    assert torch.equal(bank.bank_mean, before["bank_mean"])
    assert torch.equal(bank.bank_var, before["bank_var"])


def test_without_anti_normalisation_network_a_is_a_batch_norm():
    bank, plain = layer(BufferBankNorm2d), nn.BatchNorm2d(CHANNELS).double()
    plain.weight.data.copy_(bank.weight)
    plain.bias.data.copy_(bank.bias)
    for seed in range(2):
        assert torch.equal(bank(features(seed)), plain(features(seed)))
    assert torch.equal(bank.running_mean, plain.running_mean)
    assert torch.equal(bank.running_var, plain.running_var)
    assert torch.equal(bank.eval()(features(3)), plain.eval()(features(3)))


@pytest.mark.parametrize("factory", LAYERS)
@pytest.mark.parametrize("domain", [None, 1])
def test_hold_leaves_everything_alone(factory, domain):
    bank = layer(factory)
    before, x = buffers(bank), features(0)
    with hold(bank), as_expert(bank, domain):
        held = bank(x)
    assert all(torch.equal(value, before[name]) for name, value in bank.named_buffers())
    with as_expert(bank, domain):
        assert torch.equal(bank(x), held)  # statistics of the batch, or of the image, in both


@pytest.mark.parametrize("factory", LAYERS)
def test_every_domain_starts_from_the_trained_statistics(factory):
    norm = nn.BatchNorm2d(CHANNELS)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(norm, name).data.uniform_(0.5, 2)
    network = nn.Sequential(nn.Conv2d(3, CHANNELS, 3), copy.deepcopy(norm), nn.ReLU()).eval()
    x = torch.randn(4, 3, 6, 6)
    expected = network(x)
    convert_norms(network, lambda channels: factory(channels, DOMAINS))
    bank = network[1]
    assert torch.equal(bank.weight, norm.weight) and torch.equal(bank.bias, norm.bias)
    for k in range(DOMAINS):
        assert torch.equal(bank.bank_mean[k], norm.running_mean)
        assert torch.equal(bank.bank_var[k], norm.running_var)
        with as_expert(network, k):
            torch.testing.assert_close(network(x), expected)
    if factory is BufferBankNorm2d:
        torch.testing.assert_close(network(x), expected)
    assert len(list(network.parameters())) == 4  # of the convolution and of the norm


def test_contexts_end_with_an_error_inside():
    network = nn.Sequential(layer(BufferBankNorm2d), layer(AntiNorm2d))
    with pytest.raises(RuntimeError, match="inside"), as_expert(network, 2):
        assert network[0].domain == network[1].domain == 2
        raise RuntimeError("inside")
    assert network[0].domain is network[1].domain is None
    with pytest.raises(RuntimeError, match="inside"), towards(network, torch.zeros(4, dtype=torch.long)):
        raise RuntimeError("inside")
    assert network[1].partners is None


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))
def test_the_output_has_the_banks_mean_and_deviation(seed, images, height, width):
    x = features(seed, images, height, width)
    random = torch.Generator().manual_seed(seed)
    mean = torch.randn(images, CHANNELS, generator=random, dtype=torch.float64)
    var = torch.rand(images, CHANNELS, generator=random, dtype=torch.float64)
    y = anti_normalise(x, mean, var)
    own = x.var((2, 3), correction=0)
    torch.testing.assert_close(y.mean((2, 3)), mean)
    expected = (var + 1e-5).sqrt() * (own / (own + 1e-5)).sqrt()
    torch.testing.assert_close(y.var((2, 3), correction=0).sqrt(), expected, rtol=1e-6, atol=1e-8)


def test_an_images_own_statistics_change_nothing():
    x = features(0)
    torch.testing.assert_close(anti_normalise(x, x.mean((2, 3)), x.var((2, 3), correction=0)), x)
    var = x.var((2, 3), correction=1)
    torch.testing.assert_close(anti_normalise(x, x.mean((2, 3)), var, unbiased=True), x)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (4, 3)])
def test_a_constant_map_becomes_the_mean_and_has_a_finite_gradient(size, unbiased):
    x = torch.full((2, CHANNELS, *size), 7.0, requires_grad=True)
    mean = torch.randn(2, CHANNELS)
    y = anti_normalise(x, mean, torch.ones(2, CHANNELS), unbiased=unbiased)
    torch.testing.assert_close(y, mean[..., None, None].expand_as(y), rtol=0, atol=1e-3)  # 7 / sqrt(eps) ulps
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert gradient.isfinite().all()


def test_gradients_flow_through_the_images_statistics_and_not_into_the_bank():
    x = features(0, images=2).requires_grad_()
    mean, var = torch.randn(2, CHANNELS).double(), torch.rand(2, CHANNELS).double()
    assert torch.autograd.gradcheck(lambda x: anti_normalise(x, mean, var), x)
    shifted = torch.autograd.grad(anti_normalise(x, mean, var).sum(), x)[0]
    assert shifted.abs().max() < 1e-9  # a shift of x changes nothing
    anti = layer(AntiNorm2d)
    assert not any(buffer.requires_grad for buffer in anti.buffers())


def test_each_image_gets_the_style_of_its_partner():
    anti, x = layer(AntiNorm2d), features(0)
    partners = torch.tensor([2, 0, 0, 1, 2, 1])
    with towards(anti, partners):
        y = anti(x)
    for image, j in enumerate(partners):
        own_mean, own_std = x[image].mean((1, 2)), (x[image].var((1, 2), correction=0) + 1e-5).sqrt()
        std = (anti.bank_var[j] + 1e-5).sqrt()
        by_hand = (x[image] - own_mean[:, None, None]) / own_std[:, None, None] * std[:, None, None]
        torch.testing.assert_close(y[image], by_hand + anti.bank_mean[j][:, None, None])


@pytest.mark.parametrize("training", [True, False])
def test_without_partners_the_style_is_the_average_of_the_bank(training):
    anti, x = layer(AntiNorm2d).train(training), features(0)
    mean, var = anti.bank_mean.mean(0).expand(6, -1), anti.bank_var.mean(0).expand(6, -1)
    torch.testing.assert_close(anti(x), anti_normalise(x, mean, var))
    torch.testing.assert_close(anti(x[:1]), anti(x)[:1])  # images do not see each other


def test_a_batch_norm_of_the_same_domain_cancels_the_drawn_one():
    """Why `pre_bn` is not the default: together they are an instance norm, whatever j."""
    x, pre_bn = features(0), layer(LAYERS[2])
    expected = F.instance_norm(x, weight=pre_bn.weight, bias=pre_bn.bias)
    for j in range(DOMAINS):
        mean, var = pre_bn.bank_mean[j], pre_bn.bank_var[j]
        styled = anti_normalise(x, mean.expand(6, -1), var.expand(6, -1))
        torch.testing.assert_close(F.batch_norm(styled, mean, var, pre_bn.weight, pre_bn.bias), expected)
        with towards(pre_bn, torch.full((6,), j)):
            torch.testing.assert_close(pre_bn(x), expected)
    torch.testing.assert_close(pre_bn.eval()(x), expected)


def test_a_norm_of_the_banks_average_does_not_cancel_the_drawn_domain():
    x, anti = features(0), layer(LAYERS[3])
    average = anti.bank_mean.mean(0), anti.bank_var.mean(0)
    for j in range(DOMAINS):
        styled = anti_normalise(x, *(value[j].expand(6, -1) for value in (anti.bank_mean, anti.bank_var)))
        with towards(anti, torch.full((6,), j)):
            torch.testing.assert_close(anti(x), F.batch_norm(styled, *average, anti.weight, anti.bias))
    expected = F.instance_norm(x, weight=anti.weight, bias=anti.bias)  # at test time
    torch.testing.assert_close(anti.eval()(x), expected)
    replace = layer(AntiNorm2d)  # there j matters
    outputs = []
    for j in range(2):
        with towards(replace, torch.full((6,), j)):
            outputs.append(replace(x))
    assert (outputs[0] - outputs[1]).abs().max() > 0.1


@pytest.mark.parametrize("factory", LAYERS)
def test_half_precision_in_and_out(factory):
    """Statistics are float32: where the mean is large against the deviation, bfloat16 would lose it."""
    bank = factory(CHANNELS, DOMAINS)
    x = (features(0, dtype=torch.float32) + 100).bfloat16()
    y = bank(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), bank(x.float()), rtol=0.02, atol=0.02)
