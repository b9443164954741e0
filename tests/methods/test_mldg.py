"""MLDG against updates written by hand, in closed form and by finite differences."""

import copy

import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.methods.base import Task
from dgreid.methods.mldg import MLDG
from helpers import tiny
from helpers.meta import CLASSES, DOMAINS, STEPS, batch
from helpers.mldg import gradients, make, parts
from helpers.tiny import snapshot


def update(method: MLDG, given: Batch, seed: int, ratio: float) -> dict[str, torch.Tensor]:
    """One meta step; the gradients it left to the optimisers."""
    torch.manual_seed(seed)
    method.update(given, ratio)
    return {name.removeprefix("network."): p.grad.clone() for name, p in method.learned.items()}


class Quadratic(MLDG):
    """Losses w' A w / 2 of the classifier's weights alone, A by the batch's size: what is known by hand."""

    def forward(self, given, weights):
        w = self.network.classifier.weight.flatten()
        return w @ self.matrices[len(given.images)] @ w / 2


@pytest.mark.parametrize("order", ["first", "second"])
def test_the_update_of_a_quadratic_by_hand(order):
    torch.manual_seed(0)
    task = Task(2, DOMAINS, 100, STEPS)
    options = tiny.options("mldg", order=order, meta_test_weight=0.7, base_step="none")
    method = Quadratic(options, tiny.Backbone(torch.tanh), tiny.recipe(), task).double().train()
    w = method.network.classifier.weight.detach().clone().flatten()
    a, b = (x @ x.T for x in torch.randn(2, len(w), len(w), dtype=torch.float64))
    method.matrices = {8: a, 4: b}
    (weights, _) = method.optimisers["main"].param_groups
    step = 20 * weights["lr"]
    at = b @ (w - step * a @ w)  # dG / dtheta'
    expected = a @ w + 0.7 * (at if order == "first" else at - step * a @ at)
    found = update(method, batch(0), 1, ratio=20)["classifier.weight"].flatten()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    moved = method.network.classifier.weight.detach().flatten()
    torch.testing.assert_close(moved, w - weights["lr"] * (expected + 5e-4 * w), rtol=1e-10, atol=1e-12)


def reference_mlp(p: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a network of matrices, in plain operations."""
    h = torch.tanh(x @ p["backbone.0.weight"][:, :, 0, 0].T + p["backbone.0.bias"])
    f = h @ p["backbone.2.weight"][:, :, 0, 0].T + p["backbone.2.bias"]
    n = (f - f.mean(0)) / (f.var(0, correction=0) + 1e-5).sqrt() * p["neck.weight"]
    logits = n @ p["classifier.weight"].T
    target = torch.full_like(logits, 0.1 / (CLASSES - 1)).scatter(1, y[:, None], 0.9)
    return -(target * logits.log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize("order", ["first", "second"])
def test_the_update_of_a_perceptron_by_hand(order):
    torch.manual_seed(3)
    backbone = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Tanh(), nn.Conv2d(5, 6, 1))
    backbone.channels = 6
    options = tiny.options("mldg_ce", order=order, meta_test_weight=0.6)
    recipe = tiny.recipe(bias_factor=2.0)
    method = MLDG(options, backbone, recipe, Task(CLASSES, DOMAINS, 100, STEPS)).double().train()
    with torch.no_grad():
        method.network.classifier.weight.mul_(300)
    given = batch(4)
    given = given._replace(images=given.images[:, :, :1, :1])  # nothing to pool
    p = {k.removeprefix("network."): v.detach().clone().requires_grad_() for k, v in method.learned.items()}
    (xs, ys, *_), (xt, yt, *_) = parts(given, 5)
    own = torch.autograd.grad(reference_mlp(p, xs[:, :, 0, 0], ys), p.values(), create_graph=True)
    steps = {k: 30 * 0.01 * (2 if "bias" in k else 1) for k in p}
    if order == "first":
        own = [g.detach() for g in own]
    moved = {k: v - steps[k] * g for (k, v), g in zip(p.items(), own, strict=True)}
    judged = 0.6 * reference_mlp(moved, xt[:, :, 0, 0], yt)
    expected = {
        k: mine.detach() + theirs
        for k, mine, theirs in zip(p, own, torch.autograd.grad(judged, p.values()), strict=True)
    }
    found = update(method, given, 5, ratio=30)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-11, msg=key)


@pytest.mark.parametrize("norm", ["batch", "bin_shared", "bin"])
def test_the_orders_differ_by_the_hessian(norm):
    """Second minus first = -b * (d2F/dtheta2) a dG/dtheta', the Hessian by central differences of dF."""
    given, seed, ratio = batch(2), 9, 2.0
    method = make("mldg_ce", norm=norm, meta_test_weight=0.5)
    first = update(make("mldg_ce", norm=norm, meta_test_weight=0.5), given, seed, ratio)
    second = update(make("mldg_ce", norm=norm, meta_test_weight=0.5, order="second"), given, seed, ratio)
    meta_train, meta_test = parts(given, seed)
    names, network = {"cross_entropy": 1.0}, method.network
    here = gradients(network, meta_train, names)
    rates = {k: 0.1 if k.endswith("balance") else 0.02 if "bias" in k else 0.01 for k in here}
    steps = {k: ratio * rate for k, rate in rates.items()}
    start = snapshot(network)

    def shifted(by: dict) -> nn.Module:
        network.load_state_dict({k: v + by[k] if k in by else v for k, v in start.items()})
        return network

    there = gradients(shifted({k: -steps[k] * g for k, g in here.items()}), meta_test, names)
    small = 1e-5
    sides = [
        gradients(shifted({k: sign * small * steps[k] * g for k, g in there.items()}), meta_train, names)
        for sign in (1, -1)
    ]
    biggest = 0.0
    for key in first:
        hessian = (sides[0][key] - sides[1][key]) / (2 * small)
        torch.testing.assert_close(second[key] - first[key], -0.5 * hessian, rtol=1e-5, atol=1e-9, msg=key)
        biggest = max(biggest, hessian.abs().max().item())
    assert biggest > 1e-4


def test_without_weight_on_meta_test_it_is_an_ordinary_step_on_meta_train():
    for name in ("mldg", "mldg_bin"):
        method = make(name, meta_test_weight=0.0)
        meta_train, _ = parts(batch(0), 6)
        expected = gradients(copy.deepcopy(method.network), meta_train, method.options.base_losses)
        for key, value in update(method, batch(0), 6, ratio=0.5).items():
            torch.testing.assert_close(value, expected[key], rtol=1e-10, atol=1e-12, msg=key)


@pytest.mark.parametrize("order", ["first", "second"])
def test_without_an_inner_step_it_is_joint_training(order):
    for name in ("mldg", "mldg_bin"):
        method = make(name, order=order)
        network, names = copy.deepcopy(method.network), method.options.base_losses
        one, two = (gradients(network, part, names) for part in parts(batch(0), 6))
        for key, value in update(method, batch(0), 6, ratio=0.0).items():
            torch.testing.assert_close(value, one[key] + two[key], rtol=1e-9, atol=1e-11, msg=key)


def test_the_meta_step_leaves_statistics_alone_where_a_base_step_updates_them():
    for base_step in ("separate", "none", "joint"):
        method = make("mldg_bin", base_step=base_step)
        before = {k: v.clone() for k, v in method.network.state_dict().items() if "running" in k}
        update(method, batch(0), 6, ratio=0.05)
        after = method.network.state_dict()
        assert before and all(
            torch.equal(value, after[key]) == (base_step == "separate") for key, value in before.items()
        )


@pytest.mark.parametrize("order", ["first", "second"])
def test_gates_at_a_bound_still_learn_and_none_leaves_it(order):
    """The smallest inner step takes gates beyond the bound: the clamp must not cut gradients."""
    method = make("mldg_bin", order=order)
    with torch.no_grad():
        for gate in method.gates.values():
            gate.fill_(1.0)
    network, names = copy.deepcopy(method.network), method.options.base_losses
    one, two = (gradients(network, part, names) for part in parts(batch(0), 6))
    found = update(method, batch(0), 6, ratio=1e-6)
    gates = [key for key in found if key.endswith("balance")]
    assert any((one[key] < 0).any() for key in gates)  # those go beyond
    for key in gates:
        torch.testing.assert_close(found[key], one[key] + two[key], rtol=1e-3, atol=1e-6, msg=key)
    assert all(gate.min() >= 0 and gate.max() <= 1 for gate in method.gates.values())


def test_too_few_domains_is_one_sentence():
    with pytest.raises(UserError, match=r"trains on 1 domains and tests on others, but the protocol has 1"):
        make(domains=1)


def test_batch_norm_has_no_gates_and_one_optimiser():
    assert list(make("mldg").optimisers) == ["main"]
    assert list(make("mldg_bin").optimisers) == ["main", "gates"]
