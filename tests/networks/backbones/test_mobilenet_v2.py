from torch import nn

from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.backbones.mobilenet_v2 import MobileNetV2
from helpers.networks import config


def norm_widths(network):
    return [m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def test_mobilenet_v2_x1_4_norm_widths_and_parameters():
    network = MobileNetV2(1.4)
    expected = [44, 44, 44, 22, 132, 132, 33, 198, 198, 33]
    expected += [198, 198, 44] + [264, 264, 44] * 2 + [264, 264, 89] + [534, 534, 89] * 3
    expected += [534, 534, 134] + [804, 804, 134] * 2 + [804, 804, 224] + [1344, 1344, 224] * 2
    assert norm_widths(network) == [*expected, 1344, 1344, 448, 1792]
    # the paper's 4.34 M: backbone with the instance affine maps (two more vectors per norm), without gates
    assert sum(p.numel() for p in network.parameters()) + 2 * 23_822 == 4_339_248


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


def test_torchvisions_layout_has_52_norms_and_its_number_of_parameters(root):
    network = build(load_backbone("mobilenet_v2_x1_0_torchvision"))
    assert network.layer1[0].skip is False
    assert norm_widths(network)[:4] == [32, 32, 16, 96]  # stem, depthwise, project; the next block expands
    assert len(norm_widths(network)) == 52
    # torchvision's 3,504,872 without its classifier of 1,280 x 1,000 weights and 1,000 biases
    assert sum(p.numel() for p in network.parameters()) == 3_504_872 - 1_281_000 == 2_223_872
    other = build(load_backbone("mobilenet_v2_x1_0_last2"))
    assert len(norm_widths(other)) == 53
    # less an expansion of 32 x 32 weights and a norm of 32
    assert sum(p.numel() for p in other.parameters()) == 2_223_872 + 32 * 32 + 2 * 32
    assert network.weight_name == other.weight_name and network.stages == other.stages
