"""SagNet against a second derivation, in float64, written from the fact sheet in plain operations."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods import sagnet
from dgreid.methods.base import Task
from dgreid.methods.sagnet import (
    SagNet,
    adversarial_loss,
    mix_styles,
    randomise_content,
    randomise_style,
    swap_contents,
)
from dgreid.networks.backbone import Backbone
from dgreid.networks.backbones import build, load_backbone
from dgreid.runs.config import load_run
from helpers import tiny

CLASSES = 4
PEOPLE = torch.arange(CLASSES).repeat_interleave(2)
WIDTHS = (3, 4, 5, 6)  # of the image, the stem and the two stages


class Stages(Backbone):
    """A stem and two stages, each a convolution, a batch norm and a ReLU."""

    channels = 6
    stages = (("first", 5), ("second", 6))

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d):
        super().__init__()
        for name, inputs, outputs in zip(("stem", "first", "second"), WIDTHS[:-1], WIDTHS[1:], strict=True):
            norms = norm if name != "second" else nn.BatchNorm2d
            layers = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), norms(outputs), nn.ReLU()
            self.add_module(name, nn.Sequential(*layers))

    def enter(self, images):
        return self.stem(images)


def make(backbone=None, recipe=None, **changes) -> SagNet:
    torch.manual_seed(0)
    options = tiny.options("sagnet", **{"style_stage": 2, **changes})
    task = Task(CLASSES, 2, 4, 2)
    return SagNet(options, backbone or Stages(), recipe or tiny.recipe(), task).double().train()


def batch(seed: int = 1) -> Batch:
    images = torch.randn(8, 3, 6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(images, PEOPLE, PEOPLE // 2)


def state(method) -> dict:
    return {name: value.clone() for name, value in method.state_dict().items()}


def moved(method, before) -> set[str]:
    return {name for name, value in state(method).items() if not torch.equal(value, before[name])}


def draws(seed: int, images: int = 8) -> tuple:
    """What the release draws, in its order: partners of contents, partners of styles, shares."""
    torch.manual_seed(seed)
    return torch.randperm(images), torch.randperm(images), torch.rand(images, 1, 1)


class Reference:
    """The same system as a dictionary of tensors and formulas, with three SGDs."""

    def __init__(self, method: SagNet, weight: float, clip: float):
        self.p, self.weight, self.clip = state(method), weight, clip
        self.momentum = {"style": {}, "adversarial": {}, "content": {}}
        learned = [k for k in self.p if "running" not in k and "num_" not in k and "neck.bias" not in k]
        early = ("network.backbone.stem.1", "network.backbone.first.1")
        self.sets = {
            "style": [k for k in learned if k.startswith("style.")],
            "adversarial": [k for k in learned if k.startswith(early)],
            "content": [k for k in learned if k.startswith("network.")],
        }

    def norm(self, x, name):
        axes = tuple(i for i in range(x.ndim) if i != 1)
        mean, var, n = x.mean(axes), x.var(axes, correction=0), x.numel() / x.shape[1]
        for what, value in (("mean", mean), ("var", var * n / (n - 1))):
            key = f"{name}.running_{what}"
            self.p[key] = 0.9 * self.p[key] + 0.1 * value.detach()
        mean, var, weight, bias = (
            v.reshape(-1, *[1] * (x.ndim - 2))
            for v in (mean, var, self.p[f"{name}.weight"], self.p[f"{name}.bias"])
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def stage(self, x, name):
        return self.norm(F.conv2d(x, self.p[f"{name}.0.weight"], padding=1), f"{name}.1").clamp(min=0)

    def head(self, f, name):
        return self.norm(f, f"{name}.neck") @ self.p[f"{name}.classifier.weight"].T

    def losses(self, images, other_content, other_style, alpha):
        z = self.stage(self.stage(images, "network.backbone.stem"), "network.backbone.first")
        n, c, h, w = z.shape
        flat = z.view(n, c, -1)
        mu = flat.sum(2, keepdim=True) / (h * w)
        var = ((flat - mu) ** 2).sum(2, keepdim=True) / (h * w - 1)
        plain = (flat - mu) / (var + 1e-5).sqrt()
        of_style = plain.detach()[other_content] * (var + 1e-5).sqrt() + mu
        mu_mix = alpha * mu + (1 - alpha) * mu[other_style]
        var_mix = alpha * var + (1 - alpha) * var[other_style]
        of_content = plain * (var_mix + 1e-5).sqrt() + mu_mix
        f = self.stage(of_content.view_as(z), "network.backbone.second").mean((2, 3))
        s = self.stage(of_style.view_as(z), "style.backbone.copy.second").mean((2, 3))
        content, style = self.head(f, "network"), self.head(s, "style")
        target = torch.full_like(content, 0.1 / (CLASSES - 1)).scatter(1, PEOPLE[:, None], 0.9)
        far = [[((a - b).square().sum() + 1e-30).sqrt() for b in f] for a in f]
        rows = range(len(f))
        hinges = [
            F.relu(
                max(far[i][j] for j in rows if PEOPLE[j] == PEOPLE[i] and j != i)
                - min(far[i][j] for j in rows if PEOPLE[j] != PEOPLE[i])
                + 0.3
            )
            for i in rows
        ]
        return {
            "cross_entropy": -(target * content.log_softmax(1)).sum(1).mean(),
            "triplet": torch.stack(hinges).mean(),
            "style": -style.log_softmax(1)[torch.arange(n), PEOPLE].mean(),
            "adversarial": self.weight * (-(style.softmax(1) + 1e-5).log().sum(1) / CLASSES).mean(),
        }

    def iteration(self, images, *drawn):
        for k in {k for keys in self.sets.values() for k in keys}:
            self.p[k] = self.p[k].detach().requires_grad_()
        losses = self.losses(images, *drawn)
        sums = {
            "style": losses["style"],
            "adversarial": losses["adversarial"],
            "content": losses["cross_entropy"] + losses["triplet"],
        }
        gradients = {
            name: torch.autograd.grad(sums[name], [self.p[k] for k in keys], retain_graph=True)
            for name, keys in self.sets.items()
        }
        length = torch.cat([g.flatten() for g in gradients["adversarial"]]).norm()
        if length > self.clip:
            shrink = self.clip / (length + 1e-6)
            gradients["adversarial"] = [g * shrink for g in gradients["adversarial"]]
        for name, keys in self.sets.items():  # the shared norms take two steps, each with its own momentum
            momentum = self.momentum[name]
            for k, g in zip(keys, gradients[name], strict=True):
                self.p[k] = self.p[k].detach()
                g = g + 5e-4 * self.p[k]
                momentum[k] = 0.9 * momentum[k] + g if k in momentum else g
                self.p[k] = self.p[k] - 0.01 * (2 if "bias" in k else 1) * momentum[k]
        return {name: loss.detach() for name, loss in losses.items()}, length


@pytest.mark.parametrize(("weight", "clip", "is_clipped"), [(0.1, 0.1, False), (3.0, 0.01, True)])
def test_iterations_equal_the_second_derivation(weight, clip, is_clipped):
    method = make(adversarial_weight=weight, adversarial_clip=clip)
    with torch.no_grad():  # classifiers that say something, two nets that differ
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    reference = Reference(method, weight, clip)
    for number in range(4):
        given, drawn = batch(number), draws(100 + number)
        torch.manual_seed(100 + number)
        logged = method.step({"base": [given]}, number)
        expected, length = reference.iteration(given.images, *drawn)
        assert (length > clip) == is_clipped
        assert logged.keys() == expected.keys()
        for name, loss in expected.items():
            torch.testing.assert_close(logged[name], loss)
    found = method.state_dict()
    assert found.keys() == reference.p.keys()
    for key, value in reference.p.items():
        if "num_batches" not in key:
            torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-11, msg=lambda m, k=key: k + m)


def maps(seed: int = 3) -> torch.Tensor:
    return torch.randn(8, 5, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_draws_are_those_of_the_release():
    torch.manual_seed(9)
    partners, shares = torch.randperm(8), torch.rand(8, 1, 1)
    torch.manual_seed(9)
    assert torch.equal(randomise_style(maps()), mix_styles(maps(), partners, shares))
    torch.manual_seed(9)
    assert torch.equal(randomise_content(maps()), swap_contents(maps(), partners))


def test_a_share_of_1_leaves_maps_as_they_are():
    partners = torch.randperm(8)
    torch.testing.assert_close(mix_styles(maps(), partners, torch.ones(8, 1, 1)), maps())
    torch.testing.assert_close(swap_contents(maps(), torch.arange(8)), maps())  # each its own partner


def test_styles_are_mixed_by_variance_and_contents_stay():
    z, partners, shares = maps(), torch.arange(8).roll(1), torch.linspace(0, 1, 8).view(8, 1, 1)
    z = z * torch.linspace(1, 5, 8).view(8, 1, 1, 1)
    mixed = mix_styles(z, partners, shares)
    for i in range(8):
        a, j = float(shares[i]), int(partners[i])
        for what in (torch.mean, torch.var):
            own, other = (what(z[k].flatten(1), 1) for k in (i, j))
            found = what(mixed[i].flatten(1), 1)
            torch.testing.assert_close(found, a * own + (1 - a) * other, atol=1e-4, rtol=1e-4)  # eps
        pairs = zip(z[i].flatten(1), mixed[i].flatten(1), strict=True)
        for own, new in pairs:
            assert torch.corrcoef(torch.stack([own, new]))[0, 1] == pytest.approx(1)


def test_contents_are_swapped_without_a_gradient_and_styles_with_one():
    z, partners = maps().requires_grad_(), torch.arange(8).roll(1)
    swapped = swap_contents(z, partners)
    (gradient,) = torch.autograd.grad(swapped[0].square().sum(), z)
    assert gradient[0].abs().sum() > 0  # its own style
    assert (gradient[1:] == 0).all()  # not the partner's content
    one = swapped[0].detach().flatten(1)
    torch.testing.assert_close(one.mean(1), z[0].detach().flatten(1).mean(1))


def test_the_adversarial_loss_is_least_if_the_style_says_nothing():
    equal = adversarial_loss(torch.zeros(6, 5, dtype=torch.float64))
    assert equal == pytest.approx(-torch.tensor(1 / 5 + 1e-5).double().log().item(), rel=1e-6)
    logits = torch.randn(6, 5, dtype=torch.float64)
    assert adversarial_loss(logits) > equal
    certain = adversarial_loss(torch.tensor([[1e3, 0.0]]))  # finite: the logarithm of 1e-5
    assert certain == pytest.approx(-torch.tensor([1 + 1e-5, 1e-5]).log().mean().item(), rel=1e-4)


def test_at_test_time_nothing_is_random_and_the_style_net_is_not_used():
    method, images = make(), batch().images
    method.step({"base": [batch()]}, 0)
    method.eval()
    features = method.embed(images)
    backbone = method.network.backbone
    plain = backbone.second(backbone.first(backbone.stem(images))).mean((2, 3))
    torch.testing.assert_close(features, method.network.neck(plain))
    with torch.no_grad():
        for parameter in method.style.parameters():
            parameter.zero_()
    assert torch.equal(method.embed(images), features)
    torch.testing.assert_close(method.embed(images[:1]), features[:1])


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("style", ("style.",)),
        ("adversarial", ("network.backbone.stem.1.", "network.backbone.first.1.")),
        ("main", ("network.",)),
    ],
)
def test_each_step_leaves_the_other_parameters_untouched(name, prefix):
    method = make()
    for other, optimiser in method.optimisers.items():
        if other != name:
            optimiser.step = lambda: None
    before = state(method)
    method.step({"base": [batch()]}, 0)
    found = {key for key in moved(method, before) if "running" not in key and "num_" not in key}
    assert found == {
        key for key, p in method.named_parameters() if key.startswith(prefix) and p.requires_grad
    }


def test_the_adversarial_step_is_no_longer_than_its_clip_and_goes_through_the_style_alone():
    method = make(
        adversarial_weight=1e6, adversarial_clip=0.1, recipe=tiny.recipe(weight_decay=0, bias_factor=1)
    )
    for name in ("style", "main"):
        method.optimisers[name].step = lambda: None
    before = {key: p.detach().clone() for key, p in method.named_parameters()}
    method.step({"base": [batch()]}, 0)
    step = torch.cat([(p.detach() - before[key]).flatten() for key, p in method.named_parameters()])
    assert step.norm() == pytest.approx(0.01 * 0.1, rel=1e-4)


def test_the_style_net_starts_as_a_copy_of_the_later_stages_and_is_nothing_else():
    method = make()
    backbone, copied = method.network.backbone, method.style.backbone
    assert torch.equal(copied.copy.second[0].weight, backbone.second[0].weight)
    assert copied.copy.second[0].weight is not backbone.second[0].weight
    assert {name.split(".")[2] for name, _ in copied.named_parameters(prefix="style.backbone")} == {"copy"}
    assert {name.split(".")[1] for name, _ in copied.named_parameters()} == {"second"}


@pytest.mark.parametrize(
    ("name", "adversarial", "first"),
    [
        ("resnet50", 48, "layer3"),  # bn1 and 23 more norms
        ("resnet18", 2 * (1 + 4 + 5), "layer3"),
        ("mobilenet_v2_x0_25", 2 * (1 + 3 * 3 + 3 * 3), "layer3"),
        ("osnet_x0_25", 2 * (1 + 2 * (13 + 12 + 1)), "conv4"),
        ("resnet_tiny", 2 * (1 + 2 * 3), "blocks"),
    ],
)
def test_what_the_adversarial_step_trains(root, name, adversarial, first):
    method = make(build(load_backbone(name)), style_stage=3)
    assert len(method.learned("adversarial")) == adversarial
    kept = [key for key, _ in method.style.backbone.copy.named_parameters()]
    assert kept[0].startswith(first)
    content = {key.removeprefix("network."): p for key, p in method.network.named_parameters()}
    style = {key.replace("backbone.copy.", "backbone."): p for key, p in method.style.named_parameters()}
    assert style.keys() < content.keys()  # the early stages are common
    assert all(content[key].shape == p.shape for key, p in style.items())


def test_layers_that_only_pool_belong_to_both_nets(root):
    method = make(build(load_backbone("osnet_x0_25")), style_stage=3)
    fc = method.style.backbone.copy.fc
    assert fc[0].weight is not method.network.backbone.fc[0].weight
    z = torch.rand(4, 96, 4, 2, dtype=torch.float64)  # conv3's output at this width
    assert method.style(z).shape == (4, 512)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"style_stage": 3}, r"Stages has 2 stages, and this method needs 3 or more"),
        ({"backbone": Stages(nn.InstanceNorm2d)}, r"this Stages has none there: choose another backbone"),
        ({"backbone": tiny.Backbone()}, r"Backbone has no stages"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        make(**changes)


def test_maps_of_one_position_are_refused_in_a_sentence():
    with pytest.raises(UserError, match=r"a map is 1x1: choose larger images or a lower method\.style_stage"):
        randomise_style(torch.zeros(4, 3, 1, 1))


def test_the_shipped_run_is_a_reconstruction_on_the_baselines_batches(root):
    run = load_run(["method=sagnet", "backbone=resnet50", "protocol=metabin_dg", "recipe=own", "image=own"])
    assert (run.recipe.name, run.image.name) == ("metabin", "256x128")
    assert run.method.provenance == "reconstruction"
    method = make(base_sampler="pk")
    assert method.samplers == {"base": Sampler("pk")}
    assert {type(each) for each in method.optimisers.values()} == {torch.optim.SGD}
    assert sagnet.METHOD is SagNet
