"""CrossGrad against a second derivation, in float64, written from the fact sheet in plain operations."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Task
from dgreid.methods.crossgrad import CrossGrad
from dgreid.networks.backbones import build, load_backbone
from dgreid.runs.config import load_run
from helpers import tiny

CLASSES, DOMAINS, STEPS = 5, 3, 2  # iterations per epoch: 2


def make(backbone=None, domains=DOMAINS, recipe=None, **changes) -> CrossGrad:
    """CrossGrad as released: no fixed base, unless asked for."""
    torch.manual_seed(0)
    options = tiny.options("crossgrad", **{"fixed_base_epochs": 0, **changes})
    task = Task(CLASSES, domains, 6, STEPS)
    recipe = recipe or tiny.recipe(bias_factor=1)
    return CrossGrad(options, backbone or tiny.Backbone(), recipe, task).double().train()


def batch(seed: int = 1) -> Batch:
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(10, 3, 9, 7, generator=random, dtype=torch.float64)
    people = torch.arange(CLASSES).repeat_interleave(2)
    return Batch(images, people, torch.randint(DOMAINS, (10,), generator=random))


def state(method) -> dict:
    return {name: value.clone() for name, value in method.state_dict().items()}


class Net:
    """The tiny backbone and a linear classifier with bias as a dictionary of tensors; SGD with momentum."""

    def __init__(self, method: CrossGrad, prefix: str):
        self.p = {
            k.removeprefix(prefix): v.clone() for k, v in method.state_dict().items() if k.startswith(prefix)
        }
        self.momentum = {}

    def norm(self, x, name):
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        n = x.numel() / x.shape[1]
        for what, value in (("mean", mean), ("var", var * n / (n - 1))):
            key = f"{name}.running_{what}"
            self.p[key] = 0.9 * self.p[key] + 0.1 * value.detach()
        x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        return x * self.p[f"{name}.weight"][:, None, None] + self.p[f"{name}.bias"][:, None, None]

    def loss(self, x, labels, smoothing=0.0):
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2")):
            x = self.norm(F.conv2d(x, self.p[f"backbone.{conv}.weight"]), f"backbone.{norm}").clamp(min=0)
        logits = x.mean((2, 3)) @ self.p["classifier.weight"].T + self.p["classifier.bias"]
        shares = torch.full_like(logits, smoothing / logits.shape[1])
        shares[torch.arange(len(labels)), labels] += 1 - smoothing
        return -(shares * logits.log_softmax(1)).sum(1).mean()

    def direction(self, x, labels, smoothing=0.0):
        x = x.clone().requires_grad_()
        g = torch.autograd.grad(self.loss(x, labels, smoothing), x)[0]
        return torch.where(g.abs() > 0.1, 0.1 * g.sign(), g)

    def descend(self, plain, moved, alpha):
        learned = [k for k in self.p if "running" not in k and "num_" not in k]
        for k in learned:
            self.p[k] = self.p[k].detach().requires_grad_()
        loss = (1 - alpha) * plain() + alpha * moved()
        gradients = torch.autograd.grad(loss, [self.p[k] for k in learned])
        for k, g in zip(learned, gradients, strict=True):
            self.p[k] = self.p[k].detach()
            g = g + 5e-4 * self.p[k]
            self.momentum[k] = 0.9 * self.momentum[k] + g if k in self.momentum else g
            self.p[k] = self.p[k] - 0.001 * self.momentum[k]
        return loss.detach()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label_epsilon": 10.0, "domain_epsilon": 3.0, "label_alpha": 0.3, "domain_alpha": 0.8},
        {"label_smoothing": 0.1},
    ],
)
def test_iterations_equal_the_second_derivation(changes):
    method = make(**changes)
    with torch.no_grad():  # two unlike networks whose gradients by the images are partly clipped
        for name, parameter in method.named_parameters():
            parameter.add_((9 if "classifier.weight" in name else 0.3) * torch.randn_like(parameter))
    options = method.options
    names, places = (Net(method, prefix) for prefix in ("network.", "domain_network."))  # F and D
    a, b = options.label_alpha, options.domain_alpha
    smoothing = changes.get("label_smoothing", 0.0)
    clipped = []
    for number in range(4):
        x, y, d, *_ = batch(number)
        logged = method.step({"base": [batch(number)]}, number)
        moves = places.direction(x, d), names.direction(x, y, smoothing)
        x_d, x_l = x + options.label_epsilon * moves[0], x + options.domain_epsilon * moves[1]
        plain, moved = partial(names.loss, x, y, smoothing), partial(names.loss, x_d, y, smoothing)
        label_loss = names.descend(plain, moved, a)
        domain_loss = places.descend(partial(places.loss, x, d), partial(places.loss, x_l, d), b)
        torch.testing.assert_close(logged["cross_entropy"], label_loss)
        torch.testing.assert_close(logged["domain_cross_entropy"], domain_loss)
        clipped += [(move.abs() == 0.1).double().mean() for move in moves]
    assert all(0 < share < 1 for share in clipped)
    found = method.state_dict()
    for prefix, net in (("network.", names), ("domain_network.", places)):
        for key, value in net.p.items():
            if "num_batches" not in key:
                torch.testing.assert_close(found[prefix + key], value, rtol=1e-10, atol=1e-12)


def test_both_networks_start_with_the_backbones_weights_and_statistics_move_three_times():
    method = make()
    assert method.samplers == {"base": Sampler("random")}
    label, domain = method.network, method.domain_network
    for (name, a), b in zip(label.backbone.named_parameters(), domain.backbone.parameters(), strict=True):
        assert torch.equal(a, b) and a is not b, name
    assert (label.classifier.out_features, domain.classifier.out_features) == (CLASSES, DOMAINS)
    assert label.classifier.bias is not None and domain.classifier.bias is not None
    method.step({"base": [batch()]}, 0)
    assert all(norm.num_batches_tracked == 3 for norm in method.modules() if hasattr(norm, "running_mean"))


def test_with_epsilon_0_the_label_network_learns_by_plain_cross_entropy():
    method, given = make(label_epsilon=0), batch()
    logits = method.network.logits(method.network(given.images))
    expected = F.cross_entropy(logits, given.identities)
    gradients = torch.autograd.grad(expected, list(method.network.parameters()))
    before = [p.detach().clone() for p in method.network.parameters()]
    logged = method.step({"base": [given]}, 0)
    torch.testing.assert_close(logged["cross_entropy"], expected.detach())
    for old, new, g in zip(before, method.network.parameters(), gradients, strict=True):
        torch.testing.assert_close(new.detach(), old - 0.001 * (g + 5e-4 * old))


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_no_pixel_moves_further_than_a_tenth_of_epsilon(epsilon):
    method, given = make(label_epsilon=epsilon, domain_epsilon=epsilon), batch()
    with torch.no_grad():
        for network in (method.network, method.domain_network):
            network.classifier.weight.mul_(1e4)
    seen = {"network": [], "domain_network": []}
    for name, images in seen.items():
        backbone = method.get_submodule(name).backbone
        backbone.register_forward_pre_hook(lambda _, inputs, images=images: images.append(inputs[0].detach()))
    method.step({"base": [given]}, 0)
    for plain, again, moved in seen.values():
        assert torch.equal(plain, given.images) and torch.equal(again, given.images)
        distance = (moved - given.images).abs().max()
        assert distance == pytest.approx(0.1 * epsilon)  # so large a gradient is clipped


def test_each_loss_moves_its_own_network_alone():
    label, domain, plain = make(label_alpha=0.9), make(domain_alpha=0.9), make()
    for method in (label, domain, plain):
        method.step({"base": [batch()]}, 0)
    for method, changed in ((label, "network."), (domain, "domain_network.")):
        moved = {
            name
            for (name, value), other in zip(method.named_parameters(), plain.parameters(), strict=True)
            if not torch.equal(value, other)
        }
        assert moved == {name for name, _ in method.named_parameters() if name.startswith(changed)}


def test_test_time_uses_the_label_network_and_its_distance():
    method, images = make(), batch().images
    method.step({"base": [batch()]}, 0)
    method.eval()
    features = method.embed(images)
    with torch.no_grad():
        for value in method.domain_network.state_dict().values():
            value.zero_()
    assert torch.equal(method.embed(images), features)
    distances = torch.cdist(features, features[:3]).square()
    torch.testing.assert_close(method.similarity(features, features[:3]), -distances, atol=1e-9, rtol=1e-9)


def test_in_the_first_epochs_the_classifiers_learn_alone():
    method = make(fixed_base_epochs=1)
    classifiers = {n for n, _ in method.named_parameters() if ".classifier." in n}
    assert len(classifiers) == 4
    before = state(method)
    for iteration in range(STEPS):
        method.step({"base": [batch(iteration)]}, iteration)
    moved = {name for name, value in state(method).items() if not torch.equal(value, before[name])}
    assert moved == classifiers  # no running statistics either
    method.step({"base": [batch()]}, STEPS)
    moved = {name for name, value in state(method).items() if not torch.equal(value, before[name])}
    assert moved == set(before)


def test_in_the_first_epochs_images_still_move():
    """D's gradient passes through its fixed backbone: another domain classifier, another loss of F."""
    losses = []
    for scale in (1, 100):
        method = make(fixed_base_epochs=1)
        with torch.no_grad():
            method.domain_network.classifier.weight.mul_(scale)
        losses.append(method.step({"base": [batch()]}, 0)["cross_entropy"])
    assert losses[0] != losses[1]


def test_one_domain_is_refused_in_a_sentence():
    with pytest.raises(UserError, match=r"tell domains apart, but the protocol has 1: add sources .*camera"):
        make(domains=1)


def test_the_shipped_run_is_a_reconstruction_on_cameras(root):
    words = ["method=crossgrad", "backbone=osnet_ibn_x1_0", "protocol=metabin_m2d", "recipe=own", "image=own"]
    run = load_run(words)
    assert run.method.provenance == "reconstruction"
    assert all(source.domain_by == "camera" for source in run.protocol.sources)
    assert (run.recipe.name, run.image.name) == ("crossgrad", "256x128_osnet")
    assert run.recipe.batch_size == 32 and run.recipe.epochs == 150
    network = build(load_backbone("osnet_x0_25"))
    method = CrossGrad(run.method, network, run.recipe, Task(CLASSES, DOMAINS, 300, 2)).train()
    given = Batch(torch.randn(6, 3, 32, 16), torch.arange(6) % CLASSES, torch.arange(6) % DOMAINS)
    rates = []
    for epoch in (0, 59, 60, 119, 120):
        method.step({"base": [given]}, 2 * epoch)
        rates.append([each.param_groups[0]["lr"] for each in method.optimisers.values()])
    assert rates == [pytest.approx([rate] * 2) for rate in (1e-3, 1e-3, 1e-4, 1e-4, 1e-5)]
    assert all(type(each) is torch.optim.Adam for each in method.optimisers.values())
