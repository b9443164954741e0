"""A classifier without parameters: one remembered centroid per identity (M3L, section 3.3)."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class IdentityMemory(nn.Module):
    """Keeps centroids M (classes, C); gives logits f M^T / temperature of unit features f (M3L, eq. 3).

    The buffer `centroids` holds the memories of all domains, one row per training identity: label spaces are
    disjoint, so a domain's own memory consists of the rows of its identities. It receives no gradient. If
    domains are cameras, all cameras that saw an identity share its row.

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
        """Compute logits, (N, C) of any length -> (N, classes)."""
        return F.normalize(features) @ self.centroids.T / self.temperature

    @torch.no_grad()
    def fill(self, features: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set every centroid to the mean direction of its identity's images, with length 1.

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

        `sequential`: for one sample after the other, M[y] <- m M[y] + (1 - m) f, then M[y] <- M[y] / |M[y]|,
        so that an identity's last image counts most. `mean`: once per identity with the mean of its f,
        without normalisation, as eq. 2 is written.

        Args:
            features: (N, C), of any length.
            identities: (N,).
        """
        features = F.normalize(features)
        if self.rule == "mean":
            present, place = identities.unique(return_inverse=True)
            sums = features.new_zeros(len(present), features.shape[1]).index_add_(0, place, features)
            self._move(present, sums / place.bincount()[:, None])
            return
        # identities have separate rows, so move by all first images at once, then by all second ones, ...
        turn = (identities[:, None] == identities).tril(-1).sum(1)  # (N,) earlier images of the same identity
        for now in range(int(turn.max()) + 1):
            present = identities[turn == now]
            self._move(present, features[turn == now])
            self.centroids[present] = F.normalize(self.centroids[present])

    def _move(self, identities: Tensor, towards: Tensor) -> None:
        self.centroids[identities] = (
            self.momentum * self.centroids[identities] + (1 - self.momentum) * towards
        )
