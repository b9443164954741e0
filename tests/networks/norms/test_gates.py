import numpy as np
import torch
from torch import nn

from dgreid.networks.norms import (
    BatchInstanceNorm2d,
    straight_through_clamp,
)
from dgreid.networks.norms.gates import gate_table, layer_row


def test_distribution_of_one_layer():
    row = layer_row(1, "stem", np.array([0.0, 0.5, 1.0, 1.0]))
    assert (row["layer"], row["name"], row["channels"]) == (1, "stem", 4)
    assert (row["mean"], row["q50"], row["at_0"], row["at_1"]) == (0.625, 0.75, 0.25, 0.5)
    assert layer_row(2, "", np.linspace(0.2, 0.6, 5))["q50"] == 0.4


def test_layers_in_forward_order():
    # in a state file names are sorted, and the stem would come after the blocks
    network = nn.Sequential()
    network.add_module("stem", BatchInstanceNorm2d(2))
    network.add_module("block", BatchInstanceNorm2d(3))
    with torch.no_grad():
        network.stem.balance[:] = 0.25
    table = gate_table(network)
    assert [(row["name"], row["channels"], row["mean"]) for row in table] == [
        ("stem", 2, 0.25),
        ("block", 3, 1),
    ]
    assert gate_table(nn.BatchNorm2d(3)) == []


def test_clamp_is_exact_and_passes_gradients():
    x = torch.tensor([-1e8, -0.1, 0.0, 0.3, 1.0, 1.3, 7.3], requires_grad=True)
    y = straight_through_clamp(x)
    assert torch.equal(y, x.detach().clamp(0, 1))
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones(7))
