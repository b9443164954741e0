"""M3L against a second derivation, in float64, from the paper and the fact sheet, in plain operations."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dgreid.images.batch import Batch
from dgreid.methods.base import Task
from dgreid.methods.m3l import M3L
from helpers import tiny

STEPS, PEOPLE = 10, 3  # iterations per epoch, identities of a domain


def make(name: str = "m3l", domains: int = 3, recipe=None, **changes) -> M3L:
    torch.manual_seed(0)
    read = {**tiny.read("recipe", "m3l"), "name": "m3l", "iterations_per_epoch": STEPS, **(recipe or {})}
    membership = torch.eye(domains).bool().repeat_interleave(PEOPLE, 1)  # (domains, classes)
    task = Task(PEOPLE * domains, domains, 60 * STEPS, STEPS, membership)
    method = M3L(tiny.options(name, **changes), tiny.Backbone(), tiny.RecipeConfig(**read), task)
    return method.double().train()


def batch(seed: int, domains: int = 3) -> Batch:
    """Per domain five images of two identities; which ones, and who has three, differs."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(5 * domains, 3, 9, 7, generator=random, dtype=torch.float64)
    people = []
    for domain in range(domains):
        one, other = torch.randperm(PEOPLE, generator=random)[:2] + PEOPLE * domain
        people += torch.stack([one, other, one, other, one])[torch.randperm(5, generator=random)]
    return Batch(images, torch.stack(people), torch.arange(domains).repeat_interleave(5))


def train_a_while(method: M3L, first: int, domains: int) -> None:
    """Away from the initial weights and statistics, Adam's moments filled."""
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in method.named_buffers():
            if name.endswith("centroids"):
                buffer.copy_(F.normalize(torch.randn_like(buffer)))
    for number in range(first - 3, first):
        method.step({"base": [batch(number, domains)]}, number)


def literal_adam(gradient, weight, rate, epsilon_in_v):
    """One step from zero state of the inner Adam, as its update rules stand."""
    g = gradient + 5e-4 * weight
    m, v = (1 - 0.9) * g, (1 - 0.999) * g * g + epsilon_in_v
    return rate * (m / (1 - 0.9)) / (v.sqrt() / math.sqrt(1 - 0.999) + 1e-8)


class Reference:
    """The same system as dictionaries of tensors."""

    def __init__(self, method: M3L, domains: int):
        self.o, self.domains = method.options, domains
        named = dict(method.network.named_parameters())
        self.p = {name: weight.detach().clone() for name, weight in named.items()}
        self.r = {name: buffer.clone() for name, buffer in method.network.named_buffers()}
        state = method.optimisers["main"].state
        self.m = {name: state[weight]["exp_avg"].clone() for name, weight in named.items()}
        self.v = {name: state[weight]["exp_avg_sq"].clone() for name, weight in named.items()}
        self.t = {int(state[weight]["step"]) for weight in named.values()}.pop()

    def norm(self, x, layer, p):
        shape = (1, -1, *[1] * (x.dim() - 2))
        axes = tuple(i for i in range(x.dim()) if i != 1)
        mean, var, n = x.mean(axes), x.var(axes, correction=0), x.numel() / x.shape[1]
        for name, new in (("mean", mean), ("var", var * n / (n - 1))):
            key = f"{layer}.running_{name}"
            self.r[key] = 0.9 * self.r[key] + 0.1 * new.detach()
        x = (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
        return self.affine(x, layer, p, shape)

    def affine(self, x, layer, p, shape):
        if f"{layer}.weight" not in p:
            return x
        return x * p[f"{layer}.weight"].view(shape) + p[f"{layer}.bias"].view(shape)

    def pooled(self, images, p):
        x = F.conv2d(images, p["backbone.conv1.weight"])
        x = F.conv2d(self.norm(x, "backbone.bn1", p).clamp(min=0), p["backbone.conv2.weight"])
        return self.norm(x, "backbone.bn2", p).clamp(min=0).mean((2, 3))

    def identification(self, features, y, domain, p):
        if self.o.identification == "none":
            return 0
        everyone = range(PEOPLE * self.domains)
        own = range(PEOPLE * domain, PEOPLE * (domain + 1))
        candidates = list(everyone if self.o.identification == "global_fc" else own)
        total = 0
        for f, who in zip(features, y.tolist(), strict=True):
            if self.o.identification == "memory":
                unit = f / f.square().sum().sqrt()
                scores = {k: (unit * self.r["classifier.centroids"][k]).sum() / 0.05 for k in candidates}
            else:
                scores = {k: (f * p["classifier.weight"][k]).sum() for k in candidates}
            total = total - scores[who] + torch.stack(list(scores.values())).exp().sum().log()
        return total / len(y)

    def triplet(self, f, y):
        if not self.o.triplet:
            return 0
        rows, hinges = range(len(f)), []
        far = [[(a - b).square().sum() for b in f] for a in f]
        for i in rows:
            positive = max((far[i][j] for j in rows if y[j] == y[i] and j != i), default=far[i][i])
            negative = min(far[i][j] for j in rows if y[j] != y[i])
            hinges.append((positive.sqrt() - negative.sqrt() + 0.3).clamp(min=0))
        return torch.stack(hinges).mean()

    def domain_loss(self, images, y, domain, p):
        pooled = self.pooled(images, p)
        neck = self.norm(pooled, "neck", p)
        return self.triplet(pooled, y) + self.identification(neck, y, domain, p), pooled.detach()

    def test_loss(self, images, y, domain, p, others):
        """Eq. 10, random numbers drawn as the fact sheet orders them."""
        if not self.o.meta_bn:
            return self.domain_loss(images, y, domain, p)[0]
        pooled = self.pooled(images, p)
        draws = []
        for features in others:
            mean, var = features.mean(0), features.var(0, correction=0)
            std = var if self.o.std == "variance" else (var + 1e-5).sqrt()
            draws.append(torch.normal(mean.expand_as(pooled), std.expand_as(pooled)))
        a = self.o.lambda_concentration
        weight = np.random.beta(a, a)
        total = 0
        for z in draws:
            mixed = (
                weight * z + (1 - weight) * pooled
                if self.o.lambda_on == "draw"
                else weight * pooled + (1 - weight) * z
            )
            unit = (mixed - mixed.mean(0)) / (mixed.var(0, correction=0) + 1e-5).sqrt()
            total = total + self.identification(self.affine(unit, "neck", p, (1, -1)), y, domain, p)
        return self.triplet(pooled, y) + total / len(draws)

    def gradients(self, parts, rate):
        """dL/dTheta by name: the chain through the inner step written out."""
        names = list(self.p)
        p = {name: self.p[name].clone().requires_grad_() for name in names}
        if not self.o.meta:
            losses = [self.domain_loss(x, y, k, p)[0] for k, (x, y) in enumerate(parts)]
            return dict(zip(names, torch.autograd.grad(sum(losses) / len(losses), p.values()), strict=True))
        left_out = int(np.random.choice(self.domains))
        rest = [k for k in range(self.domains) if k != left_out]
        results = [self.domain_loss(*parts[k], k, p) for k in rest]
        train = sum(loss for loss, _ in results) / len(rest)
        g = torch.autograd.grad(train, p.values(), create_graph=True)
        steps = [literal_adam(gi, self.p[name], rate, 1e-8) for name, gi in zip(names, g, strict=True)]
        moved = {
            name: (self.p[name] - step).detach().requires_grad_()
            for name, step in zip(names, steps, strict=True)
        }
        test = self.test_loss(*parts[left_out], left_out, moved, [pooled for _, pooled in results])
        identity = torch.autograd.grad(test, moved.values())  # dL_mte/dTheta'
        through = torch.autograd.grad(steps, p.values(), [-v for v in identity], retain_graph=True)
        share = {"second_only": (1, 0), "maml": (1, 1), "first_order": (0, 1)}[self.o.meta_grad]
        return {
            name: direct.detach() + share[0] * second + share[1] * first
            for name, direct, second, first in zip(names, g, through, identity, strict=True)
        }

    def iteration(self, number, given):
        epoch = number // STEPS
        rate = 3.5e-4 * (0.01 * (1 - epoch / 10) + epoch / 10 if epoch < 10 else 1)
        rate *= 0.1 ** ((epoch >= 30) + (epoch >= 50))
        parts = []
        for k in range(self.domains):
            parts.append((given.images[given.domains == k], given.identities[given.domains == k]))
        self.t += 1
        for name, g in self.gradients(parts, rate).items():
            g = g + 5e-4 * self.p[name]
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g * g
            root = (self.v[name] / (1 - 0.999**self.t)).sqrt() + 1e-8
            self.p[name] = self.p[name] - rate * self.m[name] / (1 - 0.9**self.t) / root
        if self.o.identification == "memory":
            for images, y in parts:
                self.remember(self.norm(self.pooled(images, self.p), "neck", self.p), y)

    def remember(self, features, y):
        memory = self.r["classifier.centroids"]
        unit = [f / f.square().sum().sqrt() for f in features]
        if self.o.memory_update == "mean":
            for who in set(y.tolist()):
                mine = [u for u, other in zip(unit, y.tolist(), strict=True) if other == who]
                memory[who] = 0.2 * memory[who] + 0.8 * sum(mine) / len(mine)
            return
        for u, who in zip(unit, y.tolist(), strict=True):
            memory[who] = 0.2 * memory[who] + 0.8 * u
            memory[who] = memory[who] / memory[who].square().sum().sqrt()


def seed(number: int) -> None:
    torch.manual_seed(number)
    np.random.seed(number)


CASES = {
    "as released, in the warm-up": ("m3l", 3, 34, {}),
    "as released, at the full rate": ("m3l", 3, 155, {}),
    "as released, after both milestones": ("m3l", 3, 505, {}),
    "as written": ("m3l_paper", 3, 155, {}),
    "as written, lambda not uniform": ("m3l_paper", 3, 155, {"lambda_concentration": 0.3}),
    "first order": ("m3l", 3, 155, {"meta_grad": "first_order"}),
    "two sources": ("m3l", 2, 155, {}),
    "four sources": ("m3l", 4, 155, {}),
    "without MetaBN": ("m3l_no_metabn", 3, 155, {}),
    "memory loss alone": ("m3l_memory_only", 3, 155, {}),
    "triplet alone": ("m3l_triplet_only", 3, 155, {}),
    "global classifier": ("m3l_global_fc", 3, 155, {}),
    "parallel classifiers": ("m3l_parallel_fc", 3, 155, {}),
    "baseline": ("m3l_baseline", 3, 155, {}),
    "baseline, global classifier": ("m3l_global_fc_baseline", 3, 155, {}),
    "baseline, parallel classifiers": ("m3l_parallel_fc_baseline", 3, 155, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_iterations_equal_the_second_derivation(case):
    name, domains, first, changes = CASES[case]
    method = make(name, domains, **changes)
    train_a_while(method, first, domains)
    reference = Reference(method, domains)
    before = {name: weight.clone() for name, weight in reference.p.items()}
    for number in range(first, first + 3):
        given = batch(7000 + number, domains)
        seed(number)
        method.step({"base": [given]}, number)
        seed(number)
        reference.iteration(number, given)

    for key, weight in method.network.named_parameters():
        assert (weight - reference.p[key]).abs().max() < 1e-9, key
        assert (weight - before[key]).abs().max() > 1e-7, key  # and the iterations moved it
    for key, buffer in method.network.named_buffers():
        if "num_batches" not in key:
            assert (buffer - reference.r[key]).abs().max() < 1e-9, key
