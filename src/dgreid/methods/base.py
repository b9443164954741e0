"""The contract between a method and the training loop. There is no trainer to inherit from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.images.batch import Batch, Sampler
from dgreid.schema import Strict


class MethodOptions(Strict):
    """What every method has; a method's own `Options` adds its switches."""

    name: str = Field(description="file stem in params/method, part of the run's name")
    code: str = Field(description="module in src/dgreid/methods")
    title: str = Field(description="row title in tables")
    provenance: Literal["baseline", "as released", "as written", "reconstruction"]
    learning_rate: float = Field(gt=0, description="base rate; the recipe multiplies it by its factor")
    recipe: str | None = Field(None, exclude=True, description="its own recipe, which `recipe=own` takes")
    image: str | None = Field(None, exclude=True, description="its own image size, which `image=own` takes")


class Training(NamedTuple):
    """What a method may know of its training set and budget."""

    classes: int  # training identities
    domains: int
    iterations: int
    iterations_per_epoch: int
    membership: Tensor | None = None  # (domains, classes) bool: which identities a domain shows; for buffers
    image: tuple[int, int] | None = None  # height and width, for layers as large as a map

    def given(self, field: str) -> Any:
        """`membership` or `image`, where a method cannot do without.

        Raises:
            ValueError: it was left out.
        """
        if getattr(self, field) is None:
            raise ValueError(f"this method needs Training.{field}: stages.train.plan gives it")
        return getattr(self, field)


class Method(nn.Module):
    """A system: its networks, its optimisation step, its similarity.

    A subclass is built as `METHOD(options, backbone, recipe, training)`, where `backbone` is a fresh
    feature extractor `(N, 3, H, W) -> (N, C, h, w)` with attribute `channels` (C). It sets
    `optimisers` (name -> optimiser; all are checkpointed) and `samplers` (name -> `Sampler`).
    """

    optimisers: dict[str, torch.optim.Optimizer]
    samplers: Mapping[str, Sampler]

    def draws(self, iteration: int) -> dict[str, int]:
        """How many batches of each sampler this iteration takes (0-based); one of each by default."""
        return {name: 1 for name in self.samplers}

    def start(self, survey: Callable[[], Iterator[Batch]]) -> None:
        """Look at the training set once before the first iteration, such as to fill a memory.

        Called when a training begins, not when one goes on: what it learns belongs into buffers. `survey()`
        gives every training image once, in the order of the rows, unaugmented.
        """

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """One training iteration with all its optimiser steps; returns scalars to log."""
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """Test-time representation, (N, 3, H, W) -> (N, d)."""
        raise NotImplementedError

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Nq, d), (Ng, d) -> (Nq, Ng), higher is closer. Cosine unless a method says otherwise."""
        return F.normalize(query) @ F.normalize(gallery).T
