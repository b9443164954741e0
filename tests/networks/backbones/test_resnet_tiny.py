import torch
from torch import nn

from dgreid.networks.backbones import build
from helpers.networks import config


def test_tiny_stays_in_its_budget():
    operations = 0

    def count(module, _, output):
        nonlocal operations
        operations += module.weight[0].numel() * output[0].numel()

    network = build(config("resnet_tiny"))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(torch.randn(1, 3, 64, 32).expand(2, -1, -1, -1))
    assert 21e6 < operations < 24e6


def test_drawn_weights_follow_the_seed():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build(config("resnet_tiny")).state_dict()["conv1.weight"])
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
