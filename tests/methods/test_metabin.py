"""What a step of MetaBIN touches, asks for and says; its numbers are in test_metabin_derivation.py."""

import math

import pytest
import torch

from dgreid.errors import UserError
from dgreid.methods.base import Task
from dgreid.methods.metabin import MetaBIN
from dgreid.networks import norms
from helpers import tiny
from helpers.meta import CLASSES, DOMAINS, batch, make
from helpers.tiny import snapshot


def test_meta_step_moves_gates_and_nothing_else():
    method = make("metabin")
    before = snapshot(method)
    method.update_gates(*method.split(batch(0)), inner_step=0.01)
    after = method.state_dict()
    for key, value in before.items():  # running statistics and the classifier among them
        assert torch.equal(value, after[key]) != key.endswith("balance"), key


def test_meta_step_asks_for_no_gradient_of_the_weights():
    """Neither backward may compute what is thrown away: the kernel of a convolution's weight gradient."""
    from torch.profiler import profile

    method = make("metabin")
    with profile() as seen:
        method.update_gates(*method.split(batch(0)), inner_step=0.01)
    convolutions = [e for e in seen.events() if e.name == "aten::convolution_backward"]
    assert len(convolutions) == 2  # one of two layers, in each backward: the first needs no gradient at all
    assert not any(weight.requires_grad or weight.grad is not None for weight in method.weights.values())


def test_a_meta_batch_may_hold_more_identities_than_a_base_batch():
    method, _, load = tiny.set_up(tiny.config("metabin", changes={"meta_identities_per_domain": 3}))
    base, meta = load([("base", 0), ("meta", 0)])
    assert (len(base.images), len(meta.images)) == (4 * 2 * 2, 4 * 3 * 2)
    assert meta.domains.tolist() == sorted(meta.domains.tolist())
    method.train().step({"base": [base], "meta": [meta]}, 1)


def test_base_step_leaves_the_gates_alone_and_follows_statistics():
    method = make("metabin")
    before = snapshot(method)
    method.update_base(batch(0))
    after = method.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items() if k.endswith("balance"))
    assert not any(torch.equal(v, after[k]) for k, v in before.items() if "running" in k)
    assert not torch.equal(before["network.classifier.weight"], after["network.classifier.weight"])


def test_saturated_gates_still_learn():
    """An inner step beyond the bound must not cut the gradient: straight through the clamp."""
    method = make("metabin")
    meta_train, meta_test = method.split(batch(0))
    method.update_gates(meta_train, meta_test, inner_step=1e6)  # every gate ends at 0 or 1
    assert all((gate.grad != 0).all() for gate in method.gates.values())
    assert any((gate < 1).any() for gate in method.gates.values())


def test_split_parts_the_domains():
    method, seen = make("metabin"), set()
    for _ in range(60):
        train, test = method.split(batch(0))
        inside, outside = set(train.domains.tolist()), set(test.domains.tolist())
        assert len(inside) == 2 and len(outside) == 1 and not inside & outside
        assert len(train.images) == 8 and len(test.images) == 4
        seen |= outside
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("domains", "expected"), [(2, 1), (4, 2), (5, 3), (6, 3), (8, 4)])
def test_half_of_the_domains_train_rounded_up(domains, expected):
    assert make("metabin", domains).meta_train_domains == expected


def test_inner_step_cycles_relative_to_the_gate_rate():
    method = make("metabin")
    method.task = Task(CLASSES, 5, 184900, 1849)
    first = 0.001 + 0.099 / 4622
    assert method.inner_step(0) == pytest.approx(0.1 * first)
    assert method.inner_step(4621) == pytest.approx(0.01)
    assert method.inner_step(9244) == pytest.approx(1e-4)
    method.options = tiny.options("metabin_paper")
    assert method.inner_step(0) == pytest.approx(first)
    assert method.inner_step(4621) == pytest.approx(0.1)


def test_gate_rate_knows_neither_schedule_nor_factor():
    torch.manual_seed(0)
    recipe = tiny.recipe(optimiser="adamw", learning_rate_factor=0.2, warmup_epochs=1)
    method = MetaBIN(tiny.options("metabin"), tiny.Backbone(), recipe, Task(CLASSES, DOMAINS, 4, 2)).double()
    method.train().step({"base": [batch(0)], "meta": [batch(1)]}, 0)
    (gates,) = method.optimisers["gates"].param_groups
    assert (gates["lr"], gates["momentum"], gates["weight_decay"]) == (0.1, 0, 0)
    weights, biases = method.optimisers["main"].param_groups
    assert weights["lr"] == pytest.approx(0.01 * 0.2 * 0.01) and biases["lr"] == 2 * weights["lr"]


def test_what_does_not_fit_is_said_in_a_sentence():
    with pytest.raises(
        UserError, match=r"on 1 domains .* the protocol has 1: lower method.meta_train_domains"
    ):
        make("metabin", domains=1)
    with pytest.raises(UserError, match=r"on 3 domains .* the protocol has 3"):
        make("metabin", meta_train_domains=3)
    with pytest.raises(
        UserError, match=r"needs a norm with gates, but method\.norm=instance has none: choose bin"
    ):
        make("metabin", norm="instance")
    with pytest.raises(UserError, match=r"unknown method\.norm 'bim': did you mean 'bin'"):
        make("metabin", norm="bim")


def test_logged_balance():
    method = make("metabin")
    with torch.no_grad():
        for gate in method.gates.values():
            gate.copy_(torch.linspace(0, 1, len(gate)))
    logged = method.balance()
    assert math.isclose(logged["balance"], 0.5, rel_tol=1e-6) and logged["instance_share"] == 0.5


def test_measuring_gradients_leaves_no_trace(monkeypatch):
    """Weights, gates, statistics and random numbers are bit for bit those of a training that never looks."""

    def trained(every):
        monkeypatch.setattr("dgreid.methods.metabin.ITERATIONS_BETWEEN_GRADIENTS", every)
        method, _, load = tiny.set_up(tiny.config("metabin"))
        method.train()
        names = set()
        for number in range(1, 5):
            base, meta = load([("base", number), ("meta", number)])
            names |= set(method.step({"base": [base], "meta": [meta]}, number))
        return method.state_dict(), torch.get_rng_state(), names

    (state, drawn, names), (plain, plainly, fewer) = trained(1), trained(10**6)
    assert names - fewer == {
        f"gradient_{what}_{loss}" for what in ("mean", "norm") for loss in ("scatter", "shuffle", "triplet")
    }
    assert all(torch.equal(value, plain[key]) for key, value in state.items())
    assert torch.equal(drawn, plainly)


def test_gradients_by_loss_sum_to_the_inner_step():
    """By hand: each loss alone, forward and backward, for the gates of all layers together."""
    method = make("metabin")
    meta_train, meta_test = method.split(batch(0))
    found = method.gradients(meta_train)
    weights, whole = method.options.meta_train_losses, 0.0
    with norms.hold(method.network):
        for name, weight in weights.items():
            loss = method.meta_loss(method.network(meta_train.images), meta_train, {name: 1.0})
            gradient = torch.cat(torch.autograd.grad(loss, list(method.gates.values())))
            torch.testing.assert_close(found[f"gradient_mean_{name}"], gradient.mean())
            torch.testing.assert_close(found[f"gradient_norm_{name}"], gradient.norm())
            whole = whole + weight * gradient
    losses = method.update_gates(meta_train, meta_test, inner_step=0.01)
    torch.testing.assert_close(losses["inner_gradient"], whole.norm())
    parts = sum(weight * losses[f"meta_{name}"] for name, weight in weights.items())
    torch.testing.assert_close(losses["meta_train"], parts)
