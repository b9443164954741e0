"""ResNets and their IBN-Net variants: counts of the papers, places of the norms."""

import pytest
import torch
from torch import nn

from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.norms import IBN, InstanceNorm2d
from helpers.networks import config


def test_resnet50_parameters():
    parameters = sum(p.numel() for p in build(config("resnet50")).parameters())
    assert parameters + 2 * 26_560 == 23_561_152  # the paper's 23.56 M


def kinds(network, kind):
    return [name for name, module in network.named_modules() if type(module) is kind]


def test_ibn_a_halves_the_first_norm_of_three_layers():
    network = build(config("resnet50", ibn="a"))
    blocks = {1: 3, 2: 4, 3: 6}
    assert kinds(network, IBN) == [f"layer{i}.{j}.bn1" for i, n in blocks.items() for j in range(n)]
    assert type(network.bn1) is nn.BatchNorm2d and network.layer2[0].bn1.split == 64
    plain = build(config("resnet50"))
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in plain.parameters())


def test_ibn_b_normalises_the_stem_and_the_ends_of_two_layers():
    network = build(config("resnet50", ibn="b"))
    assert kinds(network, InstanceNorm2d) == ["bn1", "layer1.2.output_norm", "layer2.3.output_norm"]
    plain = sum(p.numel() for p in build(config("resnet50")).parameters())
    assert sum(p.numel() for p in network.parameters()) == plain + 2 * (256 + 512)
    block, summed = network.layer1[2].eval(), []
    block.output_norm.register_forward_pre_hook(lambda _, given: summed.append(given[0].clone()))
    with torch.no_grad():
        y = block(torch.randn(2, 256, 4, 4).relu())
    torch.testing.assert_close(y, nn.functional.instance_norm(summed[0]).relu())  # after the addition


@pytest.mark.parametrize(("name", "tensors"), [("resnet50_m3l", 161), ("ibn_net50_m3l", 187)])
def test_m3l_networks_have_the_released_counts(root, name, tensors):
    with torch.device("meta"):
        network = build(load_backbone(name))
        head = nn.BatchNorm1d(network.channels)  # with a bias that learns
    parameters = [*network.parameters(), *head.parameters()]
    assert (sum(p.numel() for p in parameters), len(parameters)) == (23_512_128, tensors)
