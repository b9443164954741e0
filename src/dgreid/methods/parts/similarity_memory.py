"""DDAN's memory of identities: the mean features of each, and which of them are nearest to an image."""

import torch
from torch import Tensor, nn


class SimilarityMemory(nn.Module):
    """Keeps M (classes, C): each identity's mean over this epoch of a M' + (1 - a) t, M' its M at the start.

    This equals a M' + (1 - a) x the running mean of the features t, as released, with two matrices instead of
    three. An identity that has not appeared in the epoch keeps M'; one that never appeared has 0.
    """

    def __init__(self, classes: int, channels: int):
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, channels))  # M
        self.register_buffer("last", torch.zeros(classes, channels))  # M'
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.long))  # images in this epoch

    @torch.no_grad()
    def begin_epoch(self) -> None:
        """Keep the means as those of the last epoch, and begin to count anew."""
        self.last.copy_(self.means)
        self.counts.zero_()

    @torch.no_grad()
    def update(self, features: Tensor, identities: Tensor, share: float) -> None:
        """Take features (N, C) of identities (N,) into their means; `share` is a, 0 in the first epoch."""
        present, place, new = identities.unique(return_inverse=True, return_counts=True)  # (n,), (N,), (n,)
        blends = share * self.last[identities] + (1 - share) * features  # (N, C)
        old = self.counts[present]  # (n,)
        sums = old[:, None] * self.means[present]  # (n, C)
        sums.index_add_(0, place, blends.to(sums.dtype))
        self.means[present] = sums / (old + new)[:, None]
        self.counts[present] += new

    @torch.no_grad()
    def nearest(self, features: Tensor, comparable: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Find the `count` identities with the greatest t . M / |M| for each image.

        The release multiplies similarities by the mask, so that others could be found if none were above 0;
        features after a ReLU have none below.

        Args:
            features: t, (N, C).
            comparable: (N, classes) bool, the identities that an image may be compared with.

        Returns:
            Identities (N, k), k = min(count, classes), nearest first; and (N, k) bool: which of them are
            comparable and have appeared, because there may be fewer than k.
        """
        lengths = self.means.norm(dim=1)  # (classes,)
        allowed = comparable & (lengths > 0)  # (N, classes)
        similarity = (features @ self.means.T / lengths).masked_fill(~allowed, -torch.inf)
        values, identities = similarity.topk(min(count, similarity.shape[1]), dim=1)
        return identities, values > -torch.inf
