"""MetaBIN against a second derivation, in float64, written from the fact sheet in plain tensor operations."""

import math

import pytest
import torch
from torch.nn import functional as F

import tiny
from dgreid.errors import UserError
from dgreid.methods.base import Batch, Training
from dgreid.methods.metabin import MetaBIN
from dgreid.networks import norms

DOMAINS, CLASSES, STEPS = 3, 9, 10  # iterations per epoch: 10


def make(domains: int = DOMAINS, method: str = "metabin", **changes) -> MetaBIN:
    torch.manual_seed(0)
    recipe = tiny.recipe(epochs=100, iterations_per_epoch=STEPS, warmup_epochs=10)
    training = Training(CLASSES, domains, 100 * STEPS, STEPS)
    return MetaBIN(tiny.options(method, **changes), tiny.Backbone(), recipe, training).double().train()


def batch(seed: int) -> Batch:
    """Three domains of two identities with two images; base and meta batches alike."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(12, 3, 9, 7, generator=random, dtype=torch.float64)
    people = torch.stack([torch.randperm(3, generator=random)[:2] + 3 * d for d in range(DOMAINS)])
    return Batch(images, people.flatten().repeat_interleave(2), torch.arange(DOMAINS).repeat_interleave(4))


class Reference:
    """The same system as a dictionary of tensors and formulas: loops over samples, its own SGD.

    Of the method it takes the state it starts from, nothing else.
    """

    def __init__(self, method: MetaBIN, gamma: float, relative: bool, meta_train: list, meta_test: list):
        self.state = {k.removeprefix("network."): v.clone() for k, v in method.state_dict().items()}
        named = {id(p): name.removeprefix("network.") for name, p in method.named_parameters()}
        kept = method.optimisers["main"].state
        self.momentum = {named[id(p)]: kept[p]["momentum_buffer"].clone() for p in kept}
        self.gamma, self.relative = gamma, relative
        self.meta_train, self.meta_test = meta_train, meta_test

    def affine(self, layer, branch, what):
        """A branch's own weight or bias, or the shared one."""
        own = f"{layer}.{branch}_{what}"
        return self.state[own if own in self.state else f"{layer}.{what}"][:, None, None]

    def bin(self, x, layer, rho, track):
        p = self.state
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        if track:
            n = x.numel() / x.shape[1]
            p[f"{layer}.running_mean"] = 0.9 * p[f"{layer}.running_mean"] + 0.1 * mean.detach()
            p[f"{layer}.running_var"] = 0.9 * p[f"{layer}.running_var"] + 0.1 * var.detach() * n / (n - 1)
        c = (None, slice(None), None, None)
        m, v = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        of = {"batch": (x - mean[c]) / (var[c] + 1e-5).sqrt(), "instance": (x - m) / (v + 1e-5).sqrt()}
        y = {k: n * self.affine(layer, k, "weight") + self.affine(layer, k, "bias") for k, n in of.items()}
        return rho[c] * y["batch"] + (1 - rho[c]) * y["instance"]

    def features(self, images, gates, track):
        x = images
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2")):
            x = F.conv2d(x, self.state[f"backbone.{conv}.weight"])
            x = self.bin(x, f"backbone.{norm}", gates[f"backbone.{norm}.balance"], track).clamp(min=0)
        return x.mean((2, 3))

    def cross_entropy(self, f, y, track):
        p = self.state
        mean, var = f.mean(0), f.var(0, correction=0)
        if track:
            p["neck.running_mean"] = 0.9 * p["neck.running_mean"] + 0.1 * mean.detach()
            unbiased = f.detach().var(0, correction=1)
            p["neck.running_var"] = 0.9 * p["neck.running_var"] + 0.1 * unbiased
        b = (f - mean) / (var + 1e-5).sqrt() * p["neck.weight"]
        logits = b @ p["classifier.weight"].T
        target = torch.full_like(logits, 0.1 / (CLASSES - 1)).scatter(1, y[:, None], 0.9)
        return -(target * logits.log_softmax(1)).sum(1).mean()

    def loss(self, name, f, y, d):
        if name == "cross_entropy":
            return self.cross_entropy(f, y, track=False)
        far = [[((a - b).square().sum() + 1e-30).sqrt() for b in f] for a in f]
        rows = range(len(f))
        if name == "triplet":
            return torch.stack(
                [
                    F.relu(
                        max(far[i][j] for j in rows if y[j] == y[i] and j != i)
                        - min(far[i][j] for j in rows if y[j] != y[i])
                        + 0.3
                    )
                    for i in rows
                ]
            ).mean()
        if name == "shuffle":
            return torch.stack(
                [
                    F.softplus(
                        max(far[i][j] for j in rows if d[j] != d[i])
                        - min(far[i][j] for j in rows if d[j] == d[i] and y[j] != y[i])
                    )
                    for i in rows
                ]
            ).mean()
        unit = f / f.norm(dim=1, keepdim=True)
        return torch.stack(
            [F.cosine_similarity(unit[d == k], unit[d == k].mean(0)[None]).mean() for k in d.unique()]
        ).mean()

    def iteration(self, number, base, meta, order):
        p = self.state
        rate = 0.01 * (0.01 * (1 - number / 100) + number / 100 if number < 100 else 1)  # 10 epochs up
        rate *= 0.1 ** ((number >= 400) + (number >= 700))  # epochs 40 and 70
        gates = {k: v for k, v in p.items() if k.endswith("balance")}
        learned = [k for k in p if not k.endswith("balance") and "running" not in k and "num_" not in k]
        learned.remove("neck.bias")
        for b in base:
            for k in learned:
                p[k] = p[k].detach().requires_grad_()
            f = self.features(b.images, gates, track=True)
            loss = self.cross_entropy(f, b.identities, track=True)
            loss = loss + self.loss("triplet", f, b.identities, b.domains)
            gradients = torch.autograd.grad(loss, [p[k] for k in learned])
            for k, g in zip(learned, gradients, strict=True):
                g = g + 5e-4 * p[k].detach()
                self.momentum[k] = 0.9 * self.momentum[k] + g if k in self.momentum else g
                p[k] = p[k].detach() - rate * (2 if "bias" in k else 1) * self.momentum[k]

        inside = torch.isin(meta.domains, order[:2])
        (xs, ys, ds), (xt, yt, dt) = ([part[chosen] for part in meta] for chosen in (inside, ~inside))
        gates = {k: v.detach().requires_grad_() for k, v in gates.items()}
        f = self.features(xs, gates, track=False)
        loss = sum(self.loss(name, f, ys, ds) for name in self.meta_train)
        gradients = torch.autograd.grad(loss, list(gates.values()))
        period = 5 * STEPS
        k = (number + 1) % period
        c = 0.001 + 0.099 * (k / 25 if k <= 25 else 1 - (k - 25) / 25)
        beta = self.gamma * c if self.relative else c
        moved = {
            k: (v - beta * g).detach().clamp(0, 1).requires_grad_()
            for (k, v), g in zip(gates.items(), gradients, strict=True)
        }
        f = self.features(xt, moved, track=False)
        loss = sum(self.loss(name, f, yt, dt) for name in self.meta_test)
        for (k, v), g in zip(gates.items(), torch.autograd.grad(loss, list(moved.values())), strict=True):
            p[k] = (v.detach() - self.gamma * g).clamp(0, 1)


SCATTER = ["scatter", "shuffle", "triplet"]
ENTROPY, PLAIN = ["cross_entropy", *SCATTER], (SCATTER, ["triplet"])
CASES = {  # method, first iteration, gamma, beta relative to it, losses of meta-train and meta-test
    "as released, from the start": ("metabin", 0, 0.1, True, *PLAIN),
    "as released, warming up": ("metabin", 57, 0.1, True, *PLAIN),
    "as released, cycle falling, after a step of the rate": ("metabin", 427, 0.1, True, *PLAIN),
    "as released, over the bottom of the cycle, at the second step of the rate": (
        "metabin",
        698,
        0.1,
        True,
        *PLAIN,
    ),
    "as written, from the start": ("metabin_paper", 0, 0.1, False, *PLAIN),
    "as written, warming up": ("metabin_paper", 98, 0.1, False, *PLAIN),
    "one source": ("metabin_m2d", 120, 0.2, True, ENTROPY, ["cross_entropy", "triplet"]),
    "one affine map": ("metabin_bin", 57, 0.1, True, *PLAIN),
}


@pytest.mark.parametrize("case", CASES)
def test_iterations_equal_the_second_derivation(case):
    name, first, *settings = CASES[case]
    method = make(method=name)
    if first:  # momentum gathered, statistics moved, gates apart and some at the bounds
        for number in range(first - 3, first):
            method.step({"base": [batch(number)], "meta": [batch(1 + number)]}, number)
        with torch.no_grad():
            for gate in method.gates.values():
                gate.copy_(torch.linspace(-0.3, 1.3, len(gate)).clamp(0, 1))
    reference = Reference(method, *settings)
    assert bool(reference.momentum) == bool(first)
    met = set()  # domains that meta-train took
    for number in range(first, first + 3):
        draws = method.draws(number)
        assert draws == {"base": 10 if number == 0 and name == "metabin" else 1, "meta": 1}
        base = [batch(1000 * number + i) for i in range(draws["base"])]
        meta = batch(7 + number)
        torch.manual_seed(100 + number)
        order = torch.randperm(DOMAINS)
        torch.manual_seed(100 + number)
        method.step({"base": base, "meta": [meta]}, number)
        reference.iteration(number, base, meta, order)
        met.add(tuple(sorted(order[:2].tolist())))

    ours = {k.removeprefix("network."): v for k, v in method.state_dict().items()}
    for key, value in reference.state.items():
        if "num_batches" not in key:
            assert (ours[key] - value).abs().max() < 1e-10, key
    named = {id(p): name.removeprefix("network.") for name, p in method.named_parameters()}
    for parameter, kept in method.optimisers["main"].state.items():
        difference = kept["momentum_buffer"] - reference.momentum[named[id(parameter)]]
        assert difference.abs().max() < 1e-10, named[id(parameter)]
    gates = torch.cat([v for k, v in ours.items() if k.endswith("balance")])
    assert (gates != 1).any() and len(met) > 1


def test_meta_step_moves_gates_and_nothing_else():
    method = make()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    method.update_gates(*method.split(batch(0)), inner_step=0.01)
    after = method.state_dict()
    for key, value in before.items():  # running statistics and the classifier among them
        assert torch.equal(value, after[key]) != key.endswith("balance"), key


def test_meta_step_asks_for_no_gradient_of_the_weights():
    """Neither backward may compute what is thrown away: the kernel of a convolution's weight gradient."""
    from torch.profiler import profile

    method = make()
    with profile() as seen:
        method.update_gates(*method.split(batch(0)), inner_step=0.01)
    convolutions = [e for e in seen.events() if e.name == "aten::convolution_backward"]
    assert len(convolutions) == 2  # one of two layers, in each backward: the first needs no gradient at all
    assert not any(weight.requires_grad or weight.grad is not None for weight in method.weights.values())


def test_a_meta_batch_may_hold_more_people_than_a_base_batch():
    method, _, load = tiny.set_up(tiny.config("metabin", changes={"meta_identities_per_domain": 3}))
    base, meta = load([("base", 0), ("meta", 0)])
    assert (len(base.images), len(meta.images)) == (4 * 2 * 2, 4 * 3 * 2)
    assert meta.domains.tolist() == sorted(meta.domains.tolist())
    method.train().step({"base": [base], "meta": [meta]}, 1)


def test_base_step_leaves_the_gates_alone_and_follows_statistics():
    method = make()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    method.update_base(batch(0))
    after = method.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items() if k.endswith("balance"))
    assert not any(torch.equal(v, after[k]) for k, v in before.items() if "running" in k)
    assert not torch.equal(before["network.classifier.weight"], after["network.classifier.weight"])


def test_saturated_gates_still_learn():
    """An inner step beyond the bound must not cut the gradient: straight through the clamp."""
    method = make()
    meta_train, meta_test = method.split(batch(0))
    method.update_gates(meta_train, meta_test, inner_step=1e6)  # every gate ends at 0 or 1
    assert all((gate.grad != 0).all() for gate in method.gates.values())
    assert any((gate < 1).any() for gate in method.gates.values())


def test_split_parts_the_domains():
    method, seen = make(), set()
    for _ in range(60):
        train, test = method.split(batch(0))
        inside, outside = set(train.domains.tolist()), set(test.domains.tolist())
        assert len(inside) == 2 and len(outside) == 1 and not inside & outside
        assert len(train.images) == 8 and len(test.images) == 4
        seen |= outside
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("domains", "expected"), [(2, 1), (4, 2), (5, 3), (6, 3), (8, 4)])
def test_half_of_the_domains_train_rounded_up(domains, expected):
    assert make(domains).meta_train_domains == expected


def test_inner_step_cycles_relative_to_the_gate_rate():
    method = make()
    method.training_set = Training(CLASSES, 5, 184900, 1849)
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
    method = MetaBIN(
        tiny.options("metabin"), tiny.Backbone(), recipe, Training(CLASSES, DOMAINS, 4, 2)
    ).double()
    method.train().step({"base": [batch(0)], "meta": [batch(1)]}, 0)
    (gates,) = method.optimisers["gates"].param_groups
    assert (gates["lr"], gates["momentum"], gates["weight_decay"]) == (0.1, 0, 0)
    weights, biases = method.optimisers["main"].param_groups
    assert weights["lr"] == pytest.approx(0.01 * 0.2 * 0.01) and biases["lr"] == 2 * weights["lr"]


def test_what_does_not_fit_is_said_in_a_sentence():
    with pytest.raises(
        UserError, match=r"on 1 domains .* the protocol has 1: lower method.meta_train_domains"
    ):
        make(domains=1)
    with pytest.raises(UserError, match=r"on 3 domains .* the protocol has 3"):
        make(meta_train_domains=3)
    with pytest.raises(UserError, match=r"needs a norm with a balance, method\.norm=instance has none"):
        make(norm="instance")
    with pytest.raises(UserError, match=r"unknown method\.norm 'bim': did you mean 'bin'"):
        make(norm="bim")


def test_logged_balance():
    method = make()
    with torch.no_grad():
        for gate in method.gates.values():
            gate.copy_(torch.linspace(0, 1, len(gate)))
    logged = method.balance()
    assert math.isclose(logged["balance"], 0.5, rel_tol=1e-6) and logged["instance_share"] == 0.5


def test_measuring_gradients_leaves_no_trace(monkeypatch):
    """Weights, gates, statistics and random numbers are bit for bit those of a training that never looks."""

    def trained(every):
        monkeypatch.setattr("dgreid.methods.metabin.MEASURE", every)
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
    method = make()
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
