"""Make the streams of batches that a method asks for."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dgreid.errors import UserError
from dgreid.images.batch import Sampler
from dgreid.images.streams import (
    AtRandom,
    CameraStream,
    DomainStream,
    IdentityStream,
    InTurns,
    RandomStream,
    SideBySide,
    Stream,
    full_chunks,
    groups,
)

AnyStream = Stream | SideBySide | InTurns | AtRandom


class Labels(NamedTuple):
    """The labels of all training images, (n,) each."""

    identities: np.ndarray
    domains: np.ndarray
    cameras: np.ndarray

    @classmethod
    def of(cls, train: pd.DataFrame) -> "Labels":
        """Read the labels of a training set."""
        return cls(*(train[column].to_numpy() for column in ("identity", "domain", "camera")))


class Sizes(NamedTuple):
    """The recipe's sizes of a batch, which a sampler may override."""

    identities_per_domain: int
    images_per_identity: int
    batch_size: int | None = None  # images in a batch from all sources pooled; None: P x K x D


def make(sampler: Sampler, labels: Labels, sizes: Sizes, name: str, seed: int) -> AnyStream:
    """Make the stream of batches that a method asks for; `Sampler` explains the sizes of each kind.

    Raises:
        UserError: a batch needs more identities or images than there are, a size is below 1, or there is an
            order where none is taken.
    """
    _check(sampler, name)
    identities, domains, cameras = labels
    images_each = sampler.images_per_identity or sizes.images_per_identity
    own = sampler.identities or sizes.identities_per_domain
    parts = [  # for each domain: rows, name of its stream, name in errors
        (rows, f"{name}-{domain}", f"training domain {domain}") for domain, rows in enumerate(groups(domains))
    ]
    if sampler.identities:
        pooled = sampler.identities * images_each
    else:
        pooled = sizes.batch_size or own * images_each * len(parts)
    everything, whole = np.arange(len(identities)), "the training set"
    match sampler.kind:
        case "random":
            return RandomStream(everything, pooled, name, seed, whole)
        case "random_per_domain":
            size = own * images_each
            return SideBySide([RandomStream(rows, size, part, seed, what) for rows, part, what in parts])
        case "pk":
            per_batch = max(1, pooled // images_each)
            return IdentityStream(everything, identities, per_batch, images_each, name, seed)
        case "pk_per_domain":
            return DomainStream(identities, domains, own, images_each, name, seed)
        case "pk_one_domain":
            streams = [
                IdentityStream(rows, identities, own, images_each, part, seed, full_chunks, what)
                for rows, part, what in parts
            ]
            return _one_at_a_time(streams, sampler.order or "turns", name, seed)
        case "across_cameras":
            size = own * images_each
            return SideBySide(
                [
                    CameraStream(rows, identities, cameras, size, images_each, part, seed)
                    for rows, part, _ in parts
                ]
            )
    raise ValueError(
        f"no sampler '{sampler.kind}'; there are random, random_per_domain, pk, pk_per_domain, "
        "pk_one_domain, across_cameras"
    )


def _check(sampler: Sampler, name: str) -> None:
    for field in ("identities", "images_per_identity"):
        if (size := getattr(sampler, field)) is not None and size < 1:
            raise UserError(
                f"the method's sampler '{name}' asks for {field}={size}: ask for 1 or more, or for None "
                "to have the recipe's."
            )
    if sampler.order is not None and sampler.kind != "pk_one_domain":
        raise UserError(
            f"the method's sampler '{name}' has order={sampler.order}, which means nothing for batches of "
            f"kind {sampler.kind}: leave it out, or take pk_one_domain."
        )


def _one_at_a_time(streams: list[Stream], order: str, name: str, seed: int) -> InTurns | AtRandom:
    match order:
        case "turns":
            return InTurns(streams)
        case "uniform":
            return AtRandom(streams, name, seed)
    raise ValueError(f"no order '{order}'; there are turns, uniform")


def iterations_per_epoch(identities: np.ndarray, batch: int, images_per_identity: int) -> int:
    """Count the batches in one pass of the naive identity sampler, at least one.

    (S - S mod B - B) / B, with S the sum over identities of their image count rounded up to a multiple
    of K. The paper's sources give 1849 at B = 80 (MetaBIN, supplement: 9245 iterations are five epochs).
    With K = 1 images are chosen, not identities (QAConv, DualNorm): one pass without its incomplete batch.
    """
    if images_per_identity == 1:
        return max(1, len(identities) // batch)
    counts = np.unique(identities, return_counts=True)[1]
    total = int((-(-counts // images_per_identity) * images_per_identity).sum())
    return max(1, (total - total % batch - batch) // batch)
