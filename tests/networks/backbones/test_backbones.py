"""Backbones: shapes, stages, norm widths and counts of the papers, variants, every shipped YAML."""

import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.networks.backbone import map_channels
from dgreid.networks.backbones import architectures, build, load_backbone
from dgreid.networks.backbones.mobilenet_v2 import MobileNetV2
from dgreid.networks.norms import IBN, BatchInstanceNorm2d, InstanceNorm2d, convert_norms
from dgreid.params import names as choices

CONFIGS = {
    "mobilenet_v2_x1_4": {"architecture": "mobilenet_v2", "width": 1.4},
    "mobilenet_v2_x1_0": {"architecture": "mobilenet_v2", "width": 1.0},
    "mobilenet_v2_x0_25": {"architecture": "mobilenet_v2", "width": 0.25},
    **{f"resnet{depth}": {"architecture": "resnet", "depth": depth} for depth in (18, 34, 50, 101, 152)},
    "resnet_tiny": {"architecture": "resnet_tiny", "last_stride": 2},
    "osnet_x0_25": {"architecture": "osnet", "width": 0.25},
    "osnet_ain_x0_25": {"architecture": "osnet", "width": 0.25, "variant": "ain"},
}


def config(name, **changes):
    return backbones.read({"name": name, **CONFIGS[name], **changes})


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


def test_mobilenet_v2_layers_end_where_the_resolution_changes():
    network = build(config("mobilenet_v2_x1_0"))
    assert network.stages == (
        ("layer1", 24),
        ("layer2", 32),
        ("layer3", 96),
        ("layer4", 320),
        ("head", 1280),
    )
    assert [len(getattr(network, f"layer{i}")) for i in (1, 2, 3, 4)] == [3, 3, 7, 4]


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
    with pytest.raises(UserError, match=r"unknown key .*ibn.*Known: architecture, last_stride"):
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
