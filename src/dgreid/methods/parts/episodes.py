"""Episodes of meta-learning over domains: how domains are split, the inner step's length, the losses."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from dgreid.images.batch import Batch
from dgreid.losses import (
    batch_hard_triplet,
    inter_domain_shuffle,
    intra_domain_scatter,
    smoothed_cross_entropy,
)
from dgreid.methods.base import ADD_SOURCES, Task, require_domains
from dgreid.methods.parts.network import Network
from dgreid.methods.schedules import triangular

Loss = Literal["cross_entropy", "triplet", "scatter", "shuffle"]


def meta_train_share(asked: int | None, domains: int) -> int:
    """Return how many domains meta-train takes: as many as asked, or half of them, rounded up.

    Raises:
        UserError: no domain would be left for meta-test.
    """
    share = asked or math.ceil(domains / 2)
    needs = f"meta-learning trains on {share} domains and tests on others"
    require_domains(domains, share + 1, needs, f"lower method.meta_train_domains or {ADD_SOURCES}")
    return share


def split_domains(batch: Batch, meta_train_domains: int, domains: int) -> tuple[Batch, Batch]:
    """Split a batch by domains: random ones for meta-train, the others for meta-test."""
    order = torch.randperm(domains)
    chosen = torch.isin(batch.domains, order[:meta_train_domains].to(batch.domains.device))  # (N,)
    return batch.select(chosen), batch.select(~chosen)


def unread_of_cycle(low: float, high: float) -> Iterator[tuple[str, str]]:
    """Name the option that a fixed inner step does not read; for `MethodOptions.unread`."""
    if low == high:
        yield "cycle_epochs", "with a fixed step (method.cycle_low = method.cycle_high)"


def cyclic(iteration: int, low: float, high: float, epochs: float, task: Task) -> float:
    """Return c; as released, the cycle advances before it is read, so that it does not begin at `low`."""
    return triangular(iteration + 1, low, high, int(epochs * task.iterations_per_epoch))


def weighted_loss(
    network: Network,
    features: Tensor,
    batch: Batch,
    weights: Mapping[Loss, float],
    smoothing: float,
    margin: float,
) -> Tensor:
    """Compute the weighted sum of the named losses of pooled features (N, C); a scalar."""
    return weighted_sum(named_losses(network, features, batch, weights, smoothing, margin), weights)


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum the losses, each times its weight, in their order; a scalar."""
    return sum(weights[name] * loss for name, loss in losses.items())


def named_losses(
    network: Network, features: Tensor, batch: Batch, names: Iterable[Loss], smoothing: float, margin: float
) -> dict[str, Tensor]:
    """Compute the named losses of pooled features (N, C), scalars."""
    losses = {
        "scatter": lambda: intra_domain_scatter(features, batch.domains),
        "shuffle": lambda: inter_domain_shuffle(features, batch.identities, batch.domains),
        "triplet": lambda: batch_hard_triplet(features, batch.identities, margin),
        "cross_entropy": lambda: smoothed_cross_entropy(
            network.logits(features), batch.identities, smoothing
        ),
    }
    return {name: losses[name]() for name in names}
