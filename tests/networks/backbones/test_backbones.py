"""Backbones: shapes, norm widths and gate counts of the papers, every shipped YAML."""

import pytest
import torch
from torch import nn

from dgreid.config import BackboneConfig
from dgreid.errors import UserError
from dgreid.networks.backbones import architectures, build
from dgreid.networks.backbones.mobilenet_v2 import MobileNetV2
from dgreid.networks.norms import BatchInstanceNorm2d, convert_norms

CONFIGS = {
    "mobilenet_v2_x1_4": {"architecture": "mobilenet_v2", "width": 1.4},
    "mobilenet_v2_x1_0": {"architecture": "mobilenet_v2", "width": 1.0},
    "mobilenet_v2_x0_25": {"architecture": "mobilenet_v2", "width": 0.25},
    **{f"resnet{depth}": {"architecture": "resnet", "depth": depth} for depth in (18, 34, 50, 101, 152)},
    "resnet_tiny": {"architecture": "resnet_tiny", "last_stride": 2},
}


def config(name, **changes):
    return BackboneConfig(**{"name": name, **CONFIGS[name], **changes})


def norm_widths(network):
    return [m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


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


def test_mobilenet_v2_x1_4_norm_widths_and_parameters():
    network = MobileNetV2(1.4)
    expected = [44, 44, 44, 22, 132, 132, 33, 198, 198, 33]
    expected += [198, 198, 44] + [264, 264, 44] * 2 + [264, 264, 89] + [534, 534, 89] * 3
    expected += [534, 534, 134] + [804, 804, 134] * 2 + [804, 804, 224] + [1344, 1344, 224] * 2
    assert norm_widths(network) == [*expected, 1344, 1344, 448, 1792]
    # the paper's 4.34 M: backbone with the instance affine maps (two more vectors per norm), without gates
    assert sum(p.numel() for p in network.parameters()) + 2 * 23_822 == 4_339_248


def test_resnet50_parameters():
    parameters = sum(p.numel() for p in build(config("resnet50")).parameters())
    assert parameters + 2 * 26_560 == 23_561_152  # the paper's 23.56 M


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


def test_unknown_names():
    assert architectures() == ["mobilenet_v2", "resnet", "resnet_tiny"]
    with pytest.raises(UserError, match="did you mean 'resnet'"):
        build(BackboneConfig(name="x", architecture="resnett"))
    with pytest.raises(UserError, match="unknown ResNet depth '51': did you mean '50'"):
        build(BackboneConfig(name="x", architecture="resnet", depth=51))


def test_shipped_backbones(request):
    from omegaconf import OmegaConf

    folder = request.config.rootpath / "params" / "backbone"
    shipped = sorted(folder.glob("*.yaml"))
    assert shipped
    for path in shipped:
        node = OmegaConf.to_container(OmegaConf.load(path))
        with torch.device("meta"):
            assert build(BackboneConfig(name=path.stem, **node)).channels > 0
