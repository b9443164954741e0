"""The Buffer Bank: what the LDA poster says of it, whatever is decided elsewhere."""

import copy

import pytest
import torch
from torch import nn

from dgreid.networks.norms import convert_norms, hold
from dgreid.networks.norms.anti import AntiNorm2d, towards
from dgreid.networks.norms.buffer_bank import BufferBankNorm2d, as_expert
from helpers.bank import CHANNELS, DOMAINS, LAYERS, features, layer


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


@pytest.mark.parametrize("factory", LAYERS)
def test_half_precision_in_and_out(factory):
    """Statistics are float32: where the mean is large against the deviation, bfloat16 would lose it."""
    bank = factory(CHANNELS, DOMAINS)
    x = (features(0, dtype=torch.float32) + 100).bfloat16()
    y = bank(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), bank(x.float()), rtol=0.02, atol=0.02)
