"""DualNorm: where its norms stand, its loss and its feature; and what MetaBIN calls by that name."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Task
from dgreid.methods.dualnorm import DualNorm, normalise_style
from dgreid.methods.parts.network import Network
from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.norms import InstanceNorm2d
from helpers import tiny


def names(network, kind):
    return [name for name, module in network.named_modules() if type(module) is kind]


def make(root, backbone="resnet_tiny", recipe=None, classes=4, **changes):
    torch.manual_seed(0)
    options = tiny.options("dualnorm", **changes)
    task = Task(classes, 2, 4, 2)
    return DualNorm(options, build(load_backbone(backbone)), recipe or tiny.recipe(), task).train()


def batch():
    images = torch.randn(8, 3, 32, 16, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(4).repeat_interleave(2), torch.arange(2).repeat_interleave(4))


def test_mobilenet_v2_has_one_in_its_stem_and_one_after_each_shallow_block(root):
    network = build(load_backbone("mobilenet_v2_x1_0_last2"))
    stem = network.stem.conv.weight.clone()
    normalise_style(network)
    assert torch.equal(network.stem.conv.weight, stem) and (network.stem.conv.bias == 0).all()
    blocks = {1: (16, 24, 24), 2: (32,) * 3, 3: (64,) * 4 + (96,) * 3}
    expected = {f"layer{i}.{j}.output_norm": c for i, widths in blocks.items() for j, c in enumerate(widths)}
    instance = names(network, InstanceNorm2d)
    assert instance == ["stem.bn", *expected]
    assert [network.get_submodule(name).num_features for name in instance] == [32, *expected.values()]
    assert len(names(network, nn.BatchNorm2d)) == 52  # all but the stem's


def test_mobilenet_v2_normalises_after_the_addition(root):
    network = build(load_backbone("mobilenet_v2_x0_25"))
    normalise_style(network)
    block = network.layer1[2].eval()
    assert block.skip
    x = torch.randn(2, 6, 8, 4)
    with torch.no_grad():
        added = x + block.project(block.depthwise(block.expand(x)))
        torch.testing.assert_close(block(x), F.instance_norm(added))


@pytest.mark.parametrize(
    ("backbone", "places"),
    [
        ("resnet50_last2", {"layer1.2": 256, "layer2.3": 512, "layer3.5": 1024}),
        ("resnet18", {"layer1.1": 64, "layer2.1": 128, "layer3.1": 256}),
        ("resnet_tiny", {"blocks.0": 32, "blocks.1": 64}),
    ],
)
def test_resnets_have_one_in_the_last_block_of_shallow_layers(root, backbone, places):
    network = build(load_backbone(backbone))
    batch_norms = names(network, nn.BatchNorm2d)
    normalise_style(network)
    found = {n.removesuffix(".output_norm"): n for n in names(network, InstanceNorm2d)}
    assert {block: network.get_submodule(name).num_features for block, name in found.items()} == places
    assert names(network, nn.BatchNorm2d) == batch_norms  # nothing is taken away


def test_the_published_size(root):
    method = make(root, "mobilenet_v2_x1_0_last2", classes=10)
    parameters = sum(parameter.numel() for parameter in method.parameters())
    assert round(parameters / 1e6, 2) == 2.24  # of the released network at ten classes
    assert method.eval().embed(torch.randn(1, 3, 64, 32)).shape == (1, 1280)


def test_other_backbones_are_refused():
    with pytest.raises(UserError, match="not for Sequential"):
        normalise_style(nn.Sequential())


def test_a_norm_of_the_backbones_own_is_not_replaced(root):
    with (
        torch.device("meta"),
        pytest.raises(UserError, match=r"at layer1\.2\.output_norm, where this ResNet"),
    ):
        normalise_style(build(load_backbone("ibn_net50_b")))


def test_the_loss_is_cross_entropy_alone_smoothed_over_all_classes(root):
    method, given = make(root), batch()
    assert method.samplers == {"base": Sampler("random")}
    logits = method.network.logits(method.network(given.images))
    logged = make(root).step({"base": [given]}, 0)
    assert logged.keys() == {"cross_entropy"}
    shares = torch.full_like(logits, 0.1 / logits.shape[1])  # epsilon over all classes, the right one too
    shares[torch.arange(len(logits)), given.identities] += 0.9
    expected = -(shares * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(logged["cross_entropy"], expected.detach())


def test_the_feature_is_that_of_an_image_plus_that_of_its_mirror_image(root):
    method = make(root)
    method.step({"base": [batch()]}, 0)
    method.eval()
    images = batch().images
    with torch.no_grad():
        feature = method.embed(images)
        torch.testing.assert_close(feature, method.embed(images.flip(3)))
        one = method.network.embed(images)
        torch.testing.assert_close(feature - one, method.network.embed(images.flip(3)), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(feature, 2 * one, atol=1e-2)


def test_the_necks_bias_stays_zero(root):
    method = make(root)
    for iteration in range(3):
        method.step({"base": [batch()]}, iteration)
    assert (method.network.neck.bias == 0).all() and (method.network.neck.weight != 1).any()


def test_the_head_may_learn_faster(root):
    method = make(root, head_rate=10, recipe=tiny.recipe(bias_factor=1, milestones=(1,)))  # two iterations
    learned = {
        part: sum(len(group["params"]) for group in optimiser.param_groups)
        for part, optimiser in method.optimisers.items()
    }
    everything = sum(parameter.requires_grad for parameter in method.parameters())
    assert learned == {"backbone": everything - 2, "head": 2}  # the neck's weight and the classifier's
    assert all(group["nesterov"] for o in method.optimisers.values() for group in o.param_groups)
    for iteration, rate in ((0, 0.01), (1, 0.01), (2, 0.001)):
        method.step({"base": [batch()]}, iteration)
        rates = {part: o.param_groups[0]["lr"] for part, o in method.optimisers.items()}
        assert rates == pytest.approx({"backbone": rate, "head": 10 * rate})


def test_nesterov_and_rates_give_the_step_of_the_definition(root):
    """w - r (g + m v) with v = m v + g and decay in g; at the first step v = g."""
    method = make(root, recipe=tiny.recipe(weight_decay=0.1), head_rate=10, nesterov=True)
    weight = method.network.classifier.weight
    before = weight.detach().clone()
    method.step({"base": [batch()]}, 0)
    gradient = weight.grad + 0.1 * before
    torch.testing.assert_close(weight.detach(), before - 0.1 * (gradient + 0.9 * gradient))


@pytest.mark.parametrize(
    ("backbone", "instance", "batch_norms"),
    [
        ("mobilenet_v2_x1_0", 40, 13),  # 3 for each of 13 blocks and the stem; 4 deep blocks and the head
        ("resnet_tiny", 7, 3),
    ],
)
def test_metabins_variant_replaces_all_shallow_norms_and_no_other(root, backbone, instance, batch_norms):
    options = tiny.options("dualnorm_metabin")
    assert options.code == "erm"
    network = build(load_backbone(backbone))
    last = network.stages[network.shallow_stages][0]
    order = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    network = Network(network, options.norm, tiny.recipe(), 4).backbone
    assert len(names(network, InstanceNorm2d)) == instance
    assert len(names(network, nn.BatchNorm2d)) == batch_norms
    replaced = [type(network.get_submodule(name)) is InstanceNorm2d for name in order]
    assert replaced == sorted(replaced, reverse=True)  # in forward order: first these, then those
    assert order[replaced.index(False)].startswith(last)


def test_the_two_forms_of_switchable_norm():
    for name, components in (("switchable", ("in", "ln", "bn")), ("switchable_2way", ("in", "bn"))):
        config = tiny.config(name, "resnet_tiny")
        method, *_ = tiny.set_up(config)
        assert {m.components for m in method.modules() if hasattr(m, "components")} == {components}
        assert config.method.code == "erm"
