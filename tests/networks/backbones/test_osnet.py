"""OSNet: torchreid's counts and names, the forward pass written down from the text, weights, conversions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.networks import backbones
from dgreid.networks.backbone import map_channels
from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.backbones.osnet import OSNet
from dgreid.networks.norms import InstanceNorm2d, convert_norms
from dgreid.networks.norms.convert import module as norm_module
from dgreid.networks.norms.convert import names as norm_names
from dgreid.paths import WEIGHTS

NAMES = ["osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x1_0"]
VARIANTS = ["plain", "ibn", "ain"]
SMALLEST = backbones.read(dict(name="osnet_x0_25", architecture="osnet", width=0.25))


def drawn(variant="plain", width=0.25, seed=0):
    """A network in float64 none of whose norms is at its start."""
    torch.manual_seed(seed)
    network = OSNet(width, variant).double()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, InstanceNorm2d)):
            for name in ("weight", "bias", "running_mean", "running_var"):
                value = getattr(module, name)
                if value is not None:
                    value.data.uniform_(0.5, 1.5)
    nn.init.normal_(network.fc[0].weight)
    return network


# Counts -------------------------------------------------------------------------------------------


def counted(width: float) -> int:
    """Parameters of OSNet as the paper draws it, without a classifier."""
    stem, *widths = (int(c * width) for c in (64, 256, 384, 512))
    total, before = 3 * stem * 49 + 2 * stem, stem
    for outputs in (c for c in widths for _ in range(2)):
        inner = outputs // 4
        total += before * inner + 2 * inner  # reduce
        total += (1 + 2 + 3 + 4) * (inner * inner + 9 * inner + 2 * inner)  # light convolutions
        total += 2 * inner * (inner // 16) + inner // 16 + inner  # one gate for four streams
        total += inner * outputs + 2 * outputs  # expand
        total += before * outputs + 2 * outputs if before != outputs else 0  # skip
        before = outputs
    halving = sum(c * c + 2 * c for c in widths[:2])
    return total + halving + before * before + 2 * before + before * 512 + 512 + 2 * 512


@pytest.mark.parametrize(
    ("name", "count"),  # at ten classes, counted on torchreid's networks
    [("osnet_x1_0", 2_174_638), ("osnet_ibn_x1_0", 2_175_662), ("osnet_ain_x1_0", 2_174_638)],
)
def test_parameters_are_torchreids(root, name, count):
    with torch.device("meta"):
        network, classifier = build(load_backbone(name)), nn.Linear(512, 10)
    parameters = [*network.parameters(), *classifier.parameters()]
    assert sum(p.numel() for p in parameters) == count


@pytest.mark.parametrize("width", [1.0, 0.75, 0.5, 0.25])
def test_parameters_at_every_width(width):
    with torch.device("meta"):
        network = OSNet(width)
    total = sum(p.numel() for p in network.parameters())
    assert total == counted(width)
    assert f"{total:,}" in backbones.module("osnet").__doc__


def test_shipped_files_are_the_networks_they_are_named_for(root):
    for name in NAMES:
        with torch.device("meta"):
            network = build(load_backbone(name))
        assert network.weight_name == name and network.channels == 512
        assert network.get_submodule("conv5").conv.out_channels == map_channels(network)


# The forward pass, from the text ------------------------------------------------------------------


class Written:
    """OSNet written down as functions of torchreid's tensors, in the order of the papers' text."""

    def __init__(self, state, variant, training):
        self.state, self.variant, self.training = state, variant, training

    def conv(self, x, name, stride=1, padding=0, groups=1):
        bias = self.state.get(f"{name}.bias")
        return F.conv2d(x, self.state[f"{name}.weight"], bias, stride, padding, 1, groups)

    def bn(self, x, name):
        over = [d for d in range(x.ndim) if d != 1]
        mean, var = self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"]
        if self.training:
            mean, var = x.mean(over), x.var(over, correction=0)
        return self.affine(x, mean, var, name)

    def instance(self, x, name):
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        shape = (1, -1, 1, 1)
        weight, bias = (self.state[f"{name}.{part}"].view(shape) for part in ("weight", "bias"))
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def affine(self, x, mean, var, name):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt() * weight.view(shape) + bias.view(
            shape
        )

    def layer(self, x, name, **how):
        return self.bn(self.conv(x, f"{name}.conv", **how), f"{name}.bn").relu()

    def light(self, x, name):
        x = self.conv(self.conv(x, f"{name}.conv1"), f"{name}.conv2", padding=1, groups=x.shape[1])
        return self.bn(x, f"{name}.bn").relu()

    def stream(self, x, block, number):
        if self.variant == "ain":
            layers = [f"{block}.conv2.{number}.layers.{i}" for i in range(number + 1)]
        elif number == 0:
            layers = [f"{block}.conv2a"]
        else:
            layers = [f"{block}.conv2{'abcd'[number]}.{i}" for i in range(number + 1)]
        for name in layers:
            x = self.light(x, name)
        gate = self.conv(x.mean((2, 3), keepdim=True), f"{block}.gate.fc1").relu()
        return x * torch.sigmoid(self.conv(gate, f"{block}.gate.fc2"))

    def block(self, x, name):
        reduced = self.layer(x, f"{name}.conv1")
        y = self.conv(sum(self.stream(reduced, name, number) for number in range(4)), f"{name}.conv3.conv")
        inside = self.variant == "ain" and name in ("conv2.0", "conv2.1", "conv3.1", "conv4.0")
        y = self.instance(y, f"{name}.IN") if inside else self.bn(y, f"{name}.conv3.bn")
        skip = x
        if x.shape[1] != y.shape[1]:
            skip = self.bn(self.conv(x, f"{name}.downsample.conv"), f"{name}.downsample.bn")
        y = y + skip
        if self.variant == "ibn" and name.startswith("conv2."):
            y = self.instance(y, f"{name}.IN")
        return y.relu()

    def maps(self, x):
        x = self.conv(x, "conv1.conv", stride=2, padding=3)
        x = self.bn(x, "conv1.bn") if self.variant == "plain" else self.instance(x, "conv1.bn")
        x = F.max_pool2d(x.relu(), 3, 2, 1)
        for stage in ("conv2", "conv3", "conv4"):
            x = self.block(self.block(x, f"{stage}.0"), f"{stage}.1")
            if stage != "conv4":
                halving = stage.replace("conv", "pool") + ".0" if self.variant == "ain" else f"{stage}.2.0"
                x = F.avg_pool2d(self.layer(x, halving), 2, 2)
        return self.layer(x, "conv5")

    def feature(self, maps):
        x = F.linear(maps.mean((2, 3)), self.state["fc.0.weight"], self.state["fc.0.bias"])
        return self.bn(x, "fc.1").relu()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_forward_pass_is_the_written_one(variant, training):
    network = drawn(variant).train(training)
    written = Written(dict(network.state_dict()), variant, training)
    x = torch.randn(3, 3, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = written.maps(x)
        feature = written.feature(expected)
        maps = network(x)
        assert maps.shape == (3, map_channels(network), 4, 2)
        torch.testing.assert_close(maps, expected, rtol=1e-9, atol=1e-9)
        got = network.pool(maps)
    torch.testing.assert_close(got, feature, rtol=1e-8, atol=1e-8)
    assert got.shape == (3, 512) and got.min() == 0 and got.max() > 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns(variant):
    network = drawn(variant)
    network.pool(network(torch.randn(4, 3, 64, 32, dtype=torch.float64))).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_initial_weights_follow_torchreid():
    torch.manual_seed(0)
    network = OSNet(1.0)
    assert network.fc[0].weight.std().item() == pytest.approx(0.01, rel=0.01)
    fan_out = 512 * 1 * 1
    assert network.conv5.conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.01)
    biases = [m.bias for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert all((bias == 0).all() for bias in biases if bias is not None)


# Weight files -------------------------------------------------------------------------------------


def torchreid_file(network, path):
    """Save as torchreid does: a checkpoint of a network wrapped for several devices, with its classifier."""
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    state |= {"module.classifier.weight": torch.zeros(10, 512), "module.classifier.bias": torch.zeros(10)}
    torch.save({"state_dict": state}, path)
    return state


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_torchreid_checkpoint_loads_with_its_feature_layer(tmp_path, variant):
    theirs, options = drawn(variant).float(), SMALLEST.model_copy(update={"variant": variant})
    torchreid_file(theirs, tmp_path / "osnet.pth")
    ours = build(options, str(tmp_path / "osnet.pth"))
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in theirs.state_dict().items())


def test_weights_of_another_variant_or_without_the_feature_layer_are_refused(tmp_path):
    theirs = drawn("ibn").float()
    state = torchreid_file(theirs, tmp_path / "ibn.pth")
    with pytest.raises(UserError, match=r"conv2\.0\.IN\.weight unknown"):
        build(SMALLEST, str(tmp_path / "ibn.pth"))
    torch.save({k: v for k, v in state.items() if ".fc." not in k or "gate" in k}, tmp_path / "bare.pth")
    with pytest.raises(UserError, match=r"fc\.0\.weight missing"):
        build(SMALLEST.model_copy(update={"variant": "ibn"}), str(tmp_path / "bare.pth"))


def test_absent_weights_are_asked_for_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = SMALLEST.model_copy(update={"name": "mine", "variant": "ain"})
    asked = r"at data/weights/osnet_ain_x0_25_imagenet\.safetensors \(or \.pt, \.pth\); .*torchreid's"
    with pytest.raises(UserError, match=asked):
        build(options, "imagenet")
    with pytest.raises(UserError, match=r"there is no data/weights/osnet_ain_x0_25_msmt17\.safetensors"):
        build(options, "msmt17")
    theirs = drawn("ain").float()
    WEIGHTS.mkdir(parents=True)
    torchreid_file(theirs, WEIGHTS / "osnet_ain_x0_25_msmt17.pth")
    assert torch.equal(build(options, "msmt17").fc[0].weight, theirs.fc[0].weight)


def test_fresh_running_statistics_include_those_of_the_feature_layer(tmp_path):
    torchreid_file(drawn().float(), tmp_path / "osnet.pth")
    options = SMALLEST.model_copy(update={"running_statistics": "fresh"})
    network = build(options, str(tmp_path / "osnet.pth"))
    assert (network.fc[1].running_mean == 0).all() and (network.conv1.bn.running_var == 1).all()
    assert (network.fc[1].weight != 1).all()


# Conversions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("norm", [name for name in norm_names() if name != "batch"])
def test_batch_norms_of_maps_are_converted_and_nothing_else(variant, norm):
    network = OSNet(0.25, variant)
    kinds = {name: type(module) for name, module in network.named_modules()}
    convert_norms(network, norm_module(norm).LAYER)
    for name, kind in kinds.items():
        assert (type(network.get_submodule(name)) is kind) == (kind is not nn.BatchNorm2d), name
    features = network.pool(network(torch.randn(4, 3, 64, 32)))
    features.sum().backward()
    assert features.shape == (4, 512) and features.isfinite().all()


def test_ibn_and_ain_have_their_instance_norms_where_the_papers_say():
    places = {
        variant: [n for n, m in OSNet(0.25, variant).named_modules() if isinstance(m, InstanceNorm2d)]
        for variant in VARIANTS
    }
    blocks = ["conv2.0.IN", "conv2.1.IN"]
    assert places["plain"] == []
    assert places["ibn"] == ["conv1.bn", *blocks]
    assert places["ain"] == ["conv1.bn", *blocks, "conv3.1.IN", "conv4.0.IN"]


def test_widths_and_variants_that_do_not_exist():
    with pytest.raises(UserError, match=r"width: Input should be greater than or equal to 0\.25"):
        backbones.read(dict(name="x", architecture="osnet", width=0.1))
    with pytest.raises(UserError, match=r"variant: Input should be 'plain', 'ibn' or 'ain'"):
        backbones.read(dict(name="x", architecture="osnet", variant="jbn"))


# The published network ----------------------------------------------------------------------------
