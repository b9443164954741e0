"""What must hold of M3L whatever the weights: relations of its gradients, counters, rates, sizes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.methods import m3l
from dgreid.methods.base import Task
from dgreid.methods.parts import optimise
from dgreid.networks import backbones
from dgreid.networks.backbones import build
from dgreid.networks.norms import convert
from helpers import tiny


class Backbone(nn.Sequential):
    """Two convolutions with norms of an even width, smooth so that finite differences mean something."""

    channels, shallow_stages, stages = 6, 1, (("0", 4), ("3", 6))

    def __init__(self):
        first = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Tanh()
        super().__init__(*first, nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.Tanh())


def make(name: str = "m3l", domains: int = 3, recipe: dict | None = None, **changes) -> m3l.M3L:
    torch.manual_seed(0)
    read = {**tiny.read("recipe", "m3l"), "iterations_per_epoch": 10, **(recipe or {})}
    membership = torch.eye(domains).bool().repeat_interleave(2, 1)
    task = Task(2 * domains, domains, 600, 10, membership)
    method = m3l.M3L(tiny.options(name, **changes), Backbone(), tiny.RecipeConfig(**read), task)
    if method.options.identification == "memory":
        method.network.classifier.centroids.copy_(F.normalize(torch.randn(2 * domains, 6)))
    return method.double().train()


def batch(domains: int = 3, seed: int = 1) -> Batch:
    """Two identities of two images for each domain."""
    images = torch.randn(
        4 * domains, 3, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    people = torch.arange(2 * domains).repeat_interleave(2)
    return Batch(images, people, torch.arange(domains).repeat_interleave(4))


def parts(given: Batch) -> list[Batch]:
    return [given.of_domain(k) for k in given.domains.unique()]


def at_full_rate(method: m3l.M3L) -> m3l.M3L:
    for group in method.optimisers["main"].param_groups:
        group["lr"] = 3.5e-4
    return method


def test_gradient(meta_grad: str, **changes) -> dict[str, torch.Tensor]:
    """dL_mte/dTheta of one iteration, by name, random numbers as in every other call."""
    method = at_full_rate(make(meta_grad=meta_grad, **changes))
    torch.manual_seed(3)
    np.random.seed(3)
    loss = method.meta_losses(parts(batch()), left_out=1)["meta_test"]
    weights = dict(method.network.named_parameters())
    gradients = torch.autograd.grad(loss, weights.values(), materialize_grads=True)
    return dict(zip(weights, gradients, strict=True))


test_gradient.__test__ = False


def gradient_at_the_copy() -> dict[str, torch.Tensor]:
    """dL_mte/dTheta' on a network of its own that holds Theta'."""
    method = at_full_rate(make())
    domains = parts(batch())
    torch.manual_seed(3)
    np.random.seed(3)
    others = [domains[0], domains[2]]
    outputs = [method.network(each.images) for each in others]
    loss = sum(method.loss(output, each) for output, each in zip(outputs, others, strict=True)) / 2
    adapted = {name: weight.detach() for name, weight in method.inner_update(loss).items()}
    moved = copy.deepcopy(method.network)
    moved.load_state_dict(adapted, strict=False)
    mixture = method.mixture([output.pooled for output in outputs], 4)
    loss = method.loss(moved(domains[1].images, *mixture), domains[1])
    weights = dict(moved.named_parameters())
    return dict(zip(weights, torch.autograd.grad(loss, weights.values()), strict=True))


def test_maml_is_second_order_plus_identity():
    identity, second, maml, first = (
        gradient_at_the_copy(),
        *map(test_gradient, ("second_only", "maml", "first_order")),
    )
    for name, gradient in identity.items():
        torch.testing.assert_close(maml[name] - second[name], gradient, atol=1e-12, rtol=1e-9)
        torch.testing.assert_close(first[name], gradient, atol=1e-12, rtol=1e-9)
        assert second[name].abs().max() > 0, name


def test_through_a_detached_step_nothing_comes_back(monkeypatch):
    step = m3l.inner_step
    monkeypatch.setattr(m3l, "inner_step", lambda gradient, *rest: step(gradient.detach(), *rest))
    losses = make().meta_losses(parts(batch()), left_out=0)
    assert losses["meta_train"].requires_grad and not losses["meta_test"].requires_grad


@pytest.mark.parametrize("norm", convert.names())
def test_every_norm_passes_second_order_gradients(norm):
    """As many as finite differences of L_mte(Theta - step(Theta + e u)) say, Theta and the draws fixed."""
    recipe = {"weight_decay": 0.0}
    gradients = test_gradient("second_only", norm=norm, triplet=False, recipe=recipe)
    torch.manual_seed(5)
    direction = {name: torch.randn_like(gradient) for name, gradient in gradients.items()}
    method = at_full_rate(make(norm=norm, triplet=False, recipe=recipe))
    first, test, third = parts(batch())
    origin = {name: weight.detach().clone() for name, weight in method.network.named_parameters()}
    mixture = []

    def loss(shift: float) -> float:
        shifted = {name: (origin[name] + shift * direction[name]).requires_grad_() for name in origin}
        outputs = [functional_call(method.network, shifted, (each.images,)) for each in (first, third)]
        train_loss = (method.loss(outputs[0], first) + method.loss(outputs[1], third)) / 2
        steps = torch.autograd.grad(train_loss, shifted.values())
        moved = {
            name: weight - m3l.inner_step(step, weight, 3.5e-4, 0.0)
            for (name, weight), step in zip(origin.items(), steps, strict=True)
        }
        if not mixture:
            torch.manual_seed(3)
            np.random.seed(3)
            mixture.extend(method.mixture([output.pooled for output in outputs], 4))
        return float(method.loss(functional_call(method.network, moved, (test.images, *mixture)), test))

    loss(0.0)  # fixes the draws
    expected = (loss(1e-7) - loss(-1e-7)) / 2e-7
    ours = float(sum((gradients[name] * direction[name]).sum() for name in gradients))
    assert abs(expected) > 1e-4
    assert ours == pytest.approx(expected, rel=1e-4)


def test_a_step_builds_no_network(monkeypatch):
    method = make()
    monkeypatch.setattr(nn.Module, "__init__", None)
    monkeypatch.setattr(copy, "deepcopy", None)
    method.step({"base": [batch()]}, 0)


@pytest.mark.parametrize(
    ("name", "backbone", "neck"),
    [
        # two meta-train forwards, one meta-test, three of the memory; the mixed one counts without a move
        ("m3l", 6, 6),
        ("m3l_paper", 6, 6),
        ("m3l_no_metabn", 6, 6),
        ("m3l_baseline", 6, 6),
        ("m3l_parallel_fc", 3, 3),  # no memory to update
        ("m3l_triplet_only", 3, 3),
    ],
)
def test_how_often_norms_count_a_batch(name, backbone, neck):
    method = make(name)
    method.step({"base": [batch()]}, 0)
    moved = {k: int(v) for k, v in method.network.state_dict().items() if k.endswith("num_batches_tracked")}
    assert list(moved.values()) == [backbone, backbone, neck]


def test_the_mixed_forward_leaves_the_necks_statistics_alone():
    method = make()
    before = method.network.neck.running_mean.clone()
    draws = [torch.randn(4, 6, dtype=torch.float64)] * 2
    method.network(parts(batch())[0].images, draws, 0.5)
    assert torch.equal(method.network.neck.running_mean, before)
    assert (method.network.backbone[1].running_mean != 0).all()  # while the backbone's move


def rates(recipe: str) -> list[float]:
    method, seen = make("m3l_baseline", recipe=tiny.read("recipe", recipe) | {"iterations_per_epoch": 10}), []
    for epoch in range(60):
        for iteration in (10 * epoch, 10 * epoch + 9):  # the same from the first iteration to the last
            optimise.set_rate(method.optimisers["main"], method.recipe, method.task, iteration)
            seen.append({group["lr"] for group in method.optimisers["main"].param_groups})
        assert seen[-1] == seen[-2] and len(seen[-1]) == 1
    return [rate for (rate,) in seen[::2]]


def test_the_rate_by_epoch():
    released = rates("m3l")
    assert released[:3] == pytest.approx([3.5e-6, 3.815e-5, 7.28e-5], rel=1e-12)
    assert released[9] == pytest.approx(3.1535e-4, rel=1e-12)
    assert [released[e] for e in (10, 29, 30, 49, 50, 59)] == pytest.approx(
        [3.5e-4, 3.5e-4, 3.5e-5, 3.5e-5, 3.5e-6, 3.5e-6], rel=1e-12
    )
    written = rates("m3l_paper")
    assert written[:2] == pytest.approx([3.5e-5, 6.65e-5], rel=1e-12) and written[10:] == released[10:]


@pytest.mark.parametrize(("iteration", "rate"), [(0, 3.5e-6), (100, 3.5e-4), (305, 3.5e-5)])
def test_the_inner_step_goes_at_the_outer_rate(monkeypatch, iteration, rate):
    method, used, step = make(), set(), m3l.inner_step

    def noted(gradient, weight, rate, decay):
        used.add((rate, decay))
        return step(gradient, weight, rate, decay)

    monkeypatch.setattr(m3l, "inner_step", noted)
    method.step({"base": [batch()]}, iteration)
    assert list(used) == [(pytest.approx(rate), 5e-4)]


def test_the_inner_step_is_released_adam_not_textbook_adam():
    g = torch.tensor([1e-5, -1e-3, 0.5], dtype=torch.float64)
    step = m3l.inner_step(g, torch.zeros(3), 3.5e-4, 5e-4)
    assert step[0] == pytest.approx(316.2 * 3.5e-4 * 1e-5, rel=1e-3)  # a gradient step for small ones
    assert step[2] == pytest.approx(3.5e-4, rel=1e-4)  # the rate for large ones
    decayed = m3l.inner_step(g * 0, torch.ones(3, dtype=torch.float64), 1.0, 5e-4)
    torch.testing.assert_close(decayed, torch.full_like(decayed, 5e-4 / ((25e-8 + 1e-5) ** 0.5 + 1e-8)))


@pytest.mark.parametrize(("backbone", "tensors"), [("resnet50_m3l", 161), ("ibn_net50_m3l", 187)])
def test_sizes_of_the_released_networks(backbone, tensors):
    config = backbones.read(tiny.read("backbone", backbone))
    network = m3l.Network(build(config), tiny.options("m3l"), 3110)
    weights = list(network.parameters())
    assert (len(weights), sum(w.numel() for w in weights)) == (tensors, 23_512_128)
    assert network.neck.bias.requires_grad and network.classifier.centroids.shape == (3110, 2048)
    assert network.embed(torch.randn(2, 3, 32, 32)).double().norm(dim=1).tolist() == pytest.approx([1, 1])


def test_each_domain_is_told_apart_among_its_own_identities():
    """The masked softmax of one classifier is that of a classifier for each domain."""
    method, given = make("m3l_parallel_fc"), parts(batch())[1]
    features = torch.randn(4, 6, dtype=torch.float64)
    own = F.linear(features, method.network.classifier.weight[2:4])  # the rows of people 2 and 3
    ours = method.identification(method.network.classifier(features), given)
    torch.testing.assert_close(ours, F.cross_entropy(own, given.identities - 2))
    everyone = make("m3l_global_fc").identification(method.network.classifier(features), given)
    assert not torch.allclose(ours, everyone)


def test_the_memory_starts_with_every_images_feature_in_evaluation_mode():
    method, given = make(), batch(seed=3)
    method.eval()
    unit = F.normalize(method.network.neck(method.network.pool(given.images)).detach())
    method.train()
    before = {name: value.clone() for name, value in method.state_dict().items() if "centroids" not in name}
    survey = [given.select(places) for places in torch.arange(len(given.images)).tensor_split([5])]
    method.start(lambda: iter(survey))
    expected = torch.stack([F.normalize(unit[given.identities == who].mean(0), dim=0) for who in range(6)])
    torch.testing.assert_close(method.network.classifier.centroids, expected)
    assert method.training and all(torch.equal(method.state_dict()[name], v) for name, v in before.items())


def test_meta_test_is_any_domain_as_numpy_chooses(monkeypatch):
    method, seen = make(), []
    monkeypatch.setattr(
        method, "meta_losses", lambda domains, left_out: seen.append(left_out) or dummy(method)
    )
    np.random.seed(0)
    for _ in range(30):
        method.step({"base": [batch()]}, 0)
    np.random.seed(0)
    assert seen == [np.random.choice(3) for _ in range(30)] and set(seen) == {0, 1, 2}


def dummy(method: m3l.M3L) -> dict[str, torch.Tensor]:
    return {"loss": sum(weight.square().sum() for weight in method.parameters())}


@pytest.mark.parametrize("name", ["m3l", "m3l_paper"])
def test_dead_channels_do_not_stop_the_training(name):
    method = make(name)
    with torch.no_grad():
        method.network.backbone[4].weight.zero_()  # every feature a constant: no variance anywhere
        method.network.backbone[4].bias.copy_(torch.linspace(-1, 1, 6))
    for iteration in range(2):
        losses = method.step({"base": [batch()]}, iteration)
    assert all(loss.isfinite() for loss in losses.values())
    assert all(value.isfinite().all() for value in method.state_dict().values())


def test_what_does_not_fit_is_said_in_a_sentence():
    with pytest.raises(UserError, match=r"the protocol has 1: add sources .* or set method\.meta=false"):
        make(domains=1)
    make("m3l_baseline", domains=1)  # no meta-test: one domain is enough
    with pytest.raises(UserError, match="without any loss"):
        make(identification="none", triplet=False)
    with pytest.raises(UserError, match=r"unknown method\.norm 'bim'"):
        make(norm="bim")
