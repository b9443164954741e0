import pytest
import torch
from torch import nn

from dgreid.methods.parts.bank import bank_statistics, bank_table
from dgreid.networks.norms.anti import AntiNorm2d
from dgreid.networks.norms.buffer_bank import BufferBankNorm2d


@pytest.fixture
def network():
    network = nn.Sequential()  # in a state file names are sorted, and the stem would come after the blocks
    network.add_module("stem", AntiNorm2d(2, 3))
    network.add_module("block", BufferBankNorm2d(4, 3))
    with torch.no_grad():
        network.stem.bank_mean.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))  # (domain, channel)
        network.stem.bank_var[2, 1] = 9
    return network


def test_one_row_per_layer_channel_and_domain(network):
    frame = bank_statistics(network)
    assert list(frame) == ["layer", "name", "channel", "domain", "mean", "variance"]
    assert len(frame) == 3 * 2 + 3 * 4 and list(frame["name"].unique()) == ["stem", "block"]
    curve = frame[(frame["layer"] == 1) & (frame["domain"] == 2)]
    assert list(curve["channel"]) == [0, 1]
    assert list(curve["mean"]) == [5, 6] and list(curve["variance"]) == [1, 9]


def test_averages_over_channels(network):
    table = bank_table(network, ["a", "b", "c"])
    assert [(row["layer"], row["name"], row["channels"], row["domain"]) for row in table] == [
        (1, "stem", 2, "a"),
        (1, "stem", 2, "b"),
        (1, "stem", 2, "c"),
        (2, "block", 4, "a"),
        (2, "block", 4, "b"),
        (2, "block", 4, "c"),
    ]
    assert [(row["mean"], row["variance"]) for row in table[:3]] == [(1.5, 1), (3.5, 1), (5.5, 5)]


def test_a_network_without_a_bank():
    assert bank_statistics(nn.BatchNorm2d(3)).empty and bank_table(nn.BatchNorm2d(3), ["a"]) == []
