"""The conversion of networks from one norm to another."""

import copy

import pytest
import torch
from torch import nn

from dgreid.networks.norms import (
    IBN,
    BatchInstanceNorm2d,
    HalfInstanceNorm2d,
    InstanceNorm2d,
    SharedBatchInstanceNorm2d,
    convert_norms,
)
from helpers.norms import FACTORIES, trained_norm


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
