"""What a method asks for and what it gets."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One batch on the training device."""

    images: Tensor  # (N, 3, H, W) float, normalised
    identities: Tensor  # (N,) long, label among the training identities of all sources
    domains: Tensor  # (N,) long, 0..D-1


class Sampler(NamedTuple):
    """A batch a method asks for; sizes come from the recipe.

    kind: `pk` draws identities from all sources pooled, `pk_per_domain` the same number from each domain,
    `across_cameras` too but with an identity's images from different cameras, `random` any images.
    Batches of the two per-domain kinds are laid out domain by domain.
    """

    kind: str
    identities_per_domain: int | None = None  # in place of the recipe's
