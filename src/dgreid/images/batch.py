"""The batches that a method asks for (`Sampler`) and gets (`Batch`)."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One batch on the training device."""

    images: Tensor  # (N, 3, H, W) float, normalised; the first view
    identities: Tensor  # (N,) long, numbered over the training identities of all sources
    domains: Tensor  # (N,) long, 0..D-1
    views: tuple[Tensor, ...] = ()  # (N, 3, H, W) each: the sampler's views, in its order
    rows: Tensor | None = None  # (N,) long, numbers of the training images, from 0

    def select(self, chosen: Tensor) -> "Batch":
        """Select a part of the batch, by a mask (N,) bool or indices (n,) long, in every view."""
        images = self.images[chosen]
        return Batch(
            images,
            self.identities[chosen],
            self.domains[chosen],
            tuple(images if view is self.images else view[chosen] for view in self.views),
            None if self.rows is None else self.rows[chosen],
        )

    def of_domain(self, domain: int) -> "Batch":
        """Select the part of the batch that belongs to one domain."""
        return self.select(self.domains == domain)

    @property
    def size(self) -> int:
        """The number of images that a network gets: N of each view."""
        return len(self.images) * max(1, len(self.views))


class Sampler(NamedTuple):
    """The batches that a method asks for: which images, and in which views.

    Kinds, and the meaning of `identities` (P) and `images_per_identity` (K), with D domains:

    | kind              | a batch                                                   | if P is None          |
    |-------------------|-----------------------------------------------------------|-----------------------|
    | random            | P x K images from all sources pooled                      | recipe's P x K x D, * |
    | random_per_domain | P x K images of each domain                               | the recipe's          |
    | pk                | P identities from all sources pooled, K images of each    | recipe's P x D, *     |
    | pk_per_domain     | P identities of each domain, K images of each             | the recipe's          |
    | pk_one_domain     | P identities of one domain, K images of each              | the recipe's          |
    | across_cameras    | as pk_per_domain, an identity's images from other cameras | the recipe's          |

    * or as many as give `recipe.batch_size` images, if the recipe sets it. Batches with images of each domain
    are ordered domain by domain. If K is None, it is the recipe's.
    """

    kind: str
    identities: int | None = None
    images_per_identity: int | None = None
    order: str | None = None  # of pk_one_domain: turns (one domain after the other) or uniform; None: turns
    views: tuple[str, ...] = ("train",)  # names in the image configuration; all views show the same images
