"""MLDG on networks whose gradients reach everywhere, its splits, and gradients taken one by one."""

import torch
from torch import nn

from dgreid import losses
from dgreid.images.batch import Batch
from dgreid.methods.mldg import MLDG
from helpers import meta
from helpers.meta import DOMAINS


def make(name: str = "mldg", **changes) -> MLDG:
    """With gates between the bounds and a classifier that has something to say."""
    method = meta.make(name, activation=torch.tanh, **changes)
    with torch.no_grad():
        method.network.classifier.weight.mul_(300)  # else its logits say nothing about the features
        for gate in method.gates.values():
            gate.copy_(torch.linspace(0.2, 0.8, len(gate)))
    return method


def parts(given: Batch, seed: int) -> tuple[Batch, Batch]:
    """The split that a method draws after `torch.manual_seed(seed)`."""
    torch.manual_seed(seed)
    inside = torch.isin(given.domains, torch.randperm(DOMAINS)[:2])
    torch.manual_seed(seed)
    return given.select(inside), given.select(~inside)


def loss_of(network: nn.Module, given: Batch, names: dict) -> torch.Tensor:
    f = network(given.images)
    of = {
        "cross_entropy": lambda: losses.smoothed_cross_entropy(network.logits(f), given.identities, 0.1),
        "triplet": lambda: losses.batch_hard_triplet(f, given.identities, 0.3),
        "scatter": lambda: losses.intra_domain_scatter(f, given.domains),
        "shuffle": lambda: losses.inter_domain_shuffle(f, given.identities, given.domains),
    }
    return sum(weight * of[name]() for name, weight in names.items())


def gradients(network: nn.Module, given: Batch, names: dict) -> dict[str, torch.Tensor]:
    """By name, zero where the loss does not reach."""
    network.zero_grad(set_to_none=True)
    loss_of(network, given, names).backward()
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in learned.items()}
