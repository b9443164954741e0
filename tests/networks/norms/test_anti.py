"""Anti-Normalisation: what the LDA poster says of it, whatever is decided elsewhere."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from dgreid.networks.norms.anti import AntiNorm2d, anti_normalise, towards
from helpers.bank import CHANNELS, DOMAINS, LAYERS, features, layer


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
