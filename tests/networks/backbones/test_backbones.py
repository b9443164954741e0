"""Backbones: shapes, stages, norm widths and counts of the papers, variants, every shipped YAML."""

import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.networks.backbone import map_channels
from dgreid.networks.backbones import architectures, build, load_backbone
from dgreid.networks.norms import BatchInstanceNorm2d, convert_norms
from dgreid.params import names as choices
from helpers.networks import config


@pytest.mark.parametrize(
    ("name", "layers", "gates"),
    [
        ("mobilenet_v2_x1_0", 53, 17_088),  # MetaBIN, Table S1 and Table 6
        ("mobilenet_v2_x1_4", 53, 23_822),
        ("resnet18", 20, 4_800),
        ("resnet34", 36, 8_512),
        ("resnet50", 53, 26_560),
        ("resnet101", 104, 52_672),
        ("resnet152", 155, 75_712),
    ],
)
def test_gate_counts(name, layers, gates):
    with torch.device("meta"):
        network = convert_norms(build(config(name)), BatchInstanceNorm2d)
    balances = [p.numel() for n, p in network.named_parameters() if n.endswith("balance")]
    assert (len(balances), sum(balances)) == (layers, gates)


@pytest.mark.parametrize("name", ["mobilenet_v2_x0_25", "resnet18", "resnet50", "resnet_tiny"])
@pytest.mark.parametrize("last_stride", [1, 2])
@pytest.mark.parametrize("size", [(64, 32), (128, 64)])
def test_shapes(name, last_stride, size):
    network = build(config(name, last_stride=last_stride))
    reduction = {"resnet_tiny": 4}.get(name, 16) * last_stride
    with torch.no_grad():
        y = network(torch.randn(2, 3, *size))
    assert y.shape == (2, network.channels, size[0] // reduction, size[1] // reduction)


@pytest.mark.parametrize("name", ["mobilenet_v2_x0_25", "resnet18", "resnet_tiny"])
def test_trains_with_converted_norms_on_small_images(name):
    network = convert_norms(build(config(name)), BatchInstanceNorm2d)
    y = network(torch.randn(4, 3, 64, 32))
    y.mean((2, 3)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


SMALL = ["mobilenet_v2_x0_25", "resnet18", "resnet_tiny"]
STAGED = [*SMALL, "osnet_x0_25", "osnet_ain_x0_25"]


@pytest.mark.parametrize("name", STAGED)
def test_stages_follow_one_another_and_end_the_network(name):
    network = build(config(name)).eval()
    seen = []
    for stage, _ in network.stages:
        network.get_submodule(stage).register_forward_hook(lambda _, given, y: seen.append((given[0], y)))
    with torch.no_grad():
        output = network(torch.randn(2, 3, 64, 32))
    assert [y.shape[1] for _, y in seen] == [channels for _, channels in network.stages]
    assert all(given is before for (given, _), (_, before) in zip(seen[1:], seen[:-1], strict=True))
    assert seen[-1][1] is output and network.stages[-1][1] == map_channels(network)
    assert 0 < network.shallow_stages < len(network.stages)


@pytest.mark.parametrize("name", STAGED)
def test_a_module_behind_a_stage_and_a_network_cut_after_it(name):
    whole, changed = build(config(name)).eval(), build(config(name)).eval()
    changed.load_state_dict(whole.state_dict())
    stage, channels = changed.stages[1]
    changed.set_submodule(stage, nn.Sequential(changed.get_submodule(stage), nn.Flatten(0, 1)))
    for later, _ in changed.stages[2:]:
        changed.set_submodule(later, nn.Identity())
    expected = []
    whole.get_submodule(stage).register_forward_hook(lambda *given: expected.append(given[-1]))
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        whole(x)
        got = changed(x)
    assert expected[0].shape[:2] == (2, channels)
    assert torch.equal(got, expected[0].flatten(0, 1))


@pytest.mark.parametrize("name", SMALL)
def test_without_stem_activation_negative_values_go_on(name):
    inputs = {}
    for active in (True, False):
        network = build(config(name, stem_activation=active)).eval()
        first = network.get_submodule(network.stages[0][0])
        first.register_forward_pre_hook(lambda _, given, active=active: inputs.update({active: given[0]}))
        with torch.no_grad():
            network(torch.randn(2, 3, 64, 32))
    assert inputs[True].min() == 0 and inputs[False].min() < 0


def test_variants_that_do_not_exist():
    with pytest.raises(UserError, match=r"unknown key .*ibn.*Known: architecture, .*last_stride"):
        build(config("mobilenet_v2_x1_0", ibn="a"))


def test_unknown_names():
    assert {"mobilenet_v2", "resnet", "resnet_tiny"} <= set(architectures())
    with pytest.raises(UserError, match="did you mean 'resnet'"):
        build(backbones.read(dict(name="x", architecture="resnett")))
    with pytest.raises(UserError, match="depth: Input should be 18, 34, 50, 101 or 152"):
        build(backbones.read(dict(name="x", architecture="resnet", depth=51)))


def test_shipped_backbones(root):
    names = choices("backbone")
    assert {"ibn_net50_a", "ibn_net50_b", "ibn_net50_m3l", "resnet34", "resnet101", "resnet152"} <= set(names)
    for name in names:
        with torch.device("meta"):
            network = build(load_backbone(name), size=(64, 32))
        for stage, channels in network.stages[-1:]:
            assert network.get_submodule(stage) is not None and map_channels(network) == channels, name
            assert network.pool_layers or network.channels == channels, name
        assert all(network.get_submodule(place) is not None for place, _ in network.style_places), name
