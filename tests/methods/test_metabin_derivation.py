"""MetaBIN against a second derivation, in float64, written from the fact sheet in plain tensor operations."""

import pytest
import torch
from torch.nn import functional as F

from dgreid.methods.metabin import MetaBIN
from helpers.meta import CLASSES, DOMAINS, STEPS, batch, make


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
        (xs, ys, ds), (xt, yt, dt) = (meta.select(chosen)[:3] for chosen in (inside, ~inside))
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
    method = make(name)
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
