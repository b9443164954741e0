"""A classifier without parameters: one remembered centroid per identity (M3L, section 3.3)."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class IdentityMemory(nn.Module):
    """Centroids M (classes, C) and the logits f M^T / temperature of unit features f (M3L, eq. 3).

    The buffer `centroids` holds the memories of all domains, a row per training identity: label spaces are
    disjoint, so a domain's own memory is the rows of its identities. No gradient reaches it. Where domains
    are cameras, a person's one row is shared by the cameras that saw them.

    Args:
        classes: training identities of all domains.
        channels: C.
        temperature: tau.
        momentum: m, the share of a centroid that an update keeps.
        update: `sequential` (as released) or `mean` (eq. 2), see `update`.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        temperature: float = 0.05,
        momentum: float = 0.2,
        update: Literal["sequential", "mean"] = "sequential",
    ):
        super().__init__()
        self.temperature, self.momentum, self.rule = temperature, momentum, update
        self.register_buffer("centroids", torch.zeros(classes, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C) of any length -> logits (N, classes)."""
        return F.normalize(features) @ self.centroids.T / self.temperature

    @torch.no_grad()
    def fill(self, features: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Every centroid becomes the mean direction of its identity's images, of length 1.

        Args:
            features: parts of the training set, each ((N, C) features, (N,) identities).
        """
        sums = torch.zeros_like(self.centroids)
        for part, identities in features:
            sums.index_add_(0, identities, F.normalize(part))
        self.centroids.copy_(F.normalize(sums))  # the mean's direction is the sum's

    @torch.no_grad()
    def update(self, features: Tensor, identities: Tensor) -> None:
        """Move the centroids of the identities in a batch towards their features f, of unit length.

        `sequential`: for one sample after the other, M[y] <- m M[y] + (1 - m) f, then M[y] <- M[y] / |M[y]|;
        so an identity's last image counts most. `mean`: once per identity with the mean of its f, and no
        normalisation, as eq. 2 is written.

        Args:
            features: (N, C), of any length.
            identities: (N,).
        """
        features = F.normalize(features)
        if self.rule == "mean":
            people, place = identities.unique(return_inverse=True)
            sums = features.new_zeros(len(people), features.shape[1]).index_add_(0, place, features)
            self._move(people, sums / place.bincount()[:, None])
            return
        # identities do not touch each other's rows: all first images at once, then all second ones, ...
        turn = (identities[:, None] == identities).tril(-1).sum(1)  # (N,) earlier images of the same identity
        for now in range(int(turn.max()) + 1):
            people = identities[turn == now]
            self._move(people, features[turn == now])
            self.centroids[people] = F.normalize(self.centroids[people])

    def _move(self, people: Tensor, towards: Tensor) -> None:
        self.centroids[people] = self.momentum * self.centroids[people] + (1 - self.momentum) * towards
