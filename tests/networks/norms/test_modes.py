"""`hold`: batch statistics without a trace."""

import copy

import pytest
import torch
from torch import nn

from dgreid.networks.neck import BNNeck
from dgreid.networks.norms import (
    hold,
)
from helpers.norms import FACTORIES, trained_norm


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
