"""The contract between a method and the training loop. There is no trainer to inherit from."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.neck import BNNeck
from dgreid.networks.norms.gates import gate_table, gate_trace
from dgreid.schema import Module, Name, NoEffect, Strict, Title


class MethodOptions(Strict):
    """The options that every method has; a method's own `Options` adds more."""

    name: Name = Field(description="name of the file in params/method, part of the run's name")
    code: Annotated[str, Module("dgreid.methods")] = Field(description="module in src/dgreid/methods")
    title: Annotated[Title, NoEffect] = Field(description="row title in tables")
    provenance: Annotated[Literal["baseline", "as released", "as written", "reconstruction"], NoEffect] = (
        Field(description="what the file follows: the released code, the paper, or a partly guessed method")
    )
    learning_rate: float = Field(
        gt=0, le=1e6, description="base rate; the recipe multiplies it by its factor"
    )
    recipe: Name | None = Field(None, exclude=True, description="recipe that `recipe=own` takes")
    image: Name | None = Field(None, exclude=True, description="image configuration that `image=own` takes")

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each option that has no effect beside the others, and why; a run that sets one is refused."""
        yield from ()


class Task(NamedTuple):
    """What a method may know of its training set and budget."""

    classes: int  # training identities
    domains: int
    iterations: int
    iterations_per_epoch: int
    membership: Tensor | None = None  # (domains, classes) bool: each domain's identities
    image: tuple[int, int] | None = None  # height and width, for layers whose size depends on them
    domain_names: tuple[str, ...] = ()
    images: int = 0  # of the training set; every number in `Batch.rows` is smaller

    def given(self, field: str) -> Any:
        """Return `membership`, `image` or another field that a method cannot do without.

        Raises:
            ValueError: the field was left out.
        """
        value = getattr(self, field)
        if value is None or (not isinstance(value, Tensor) and not value):
            raise ValueError(
                f"this method needs Task.{field}: make the task with dgreid.runs.training.task_of"
            )
        return value


ADD_SOURCES = "add sources (domain_by: camera makes every camera a domain)"


def require_domains(domains: int, least: int, needs: str, remedy: str = ADD_SOURCES) -> None:
    """Refuse a protocol with too few training domains.

    Args:
        needs: what the method does with them, to begin the sentence, such as "M3L trains on all but one".
        remedy: what to do, if more sources are not the only way out.

    Raises:
        UserError: there are fewer than `least` domains.
    """
    if domains < least:
        raise UserError(f"{needs}, but the protocol has {domains}: {remedy}.")


Training = Task  # the former name, which callers outside this project may still use


class Method(nn.Module):
    """A method: its networks, its optimisation step, its similarity.

    A subclass is built as `METHOD(options, backbone, recipe, task)`, where `backbone` is a fresh feature
    extractor (see `dgreid.networks.backbone`), and first calls `super().__init__(options, recipe, task)`. It
    sets `optimisers` (name -> optimiser; all are checkpointed) and `samplers` (name -> `Sampler`).

    A method that reads a target's images before embedding them, for example to compute statistics of its
    cameras, defines `adapt(images)`: it gets the batches (N, 3, H, W) of one camera, then that camera's
    images are embedded. Every table marks such a run as one that sees the target.
    """

    optimisers: dict[str, torch.optim.Optimizer]
    samplers: Mapping[str, Sampler]
    adapt: Callable[[Iterable[Tensor]], None] | None = None
    dtype = torch.float32  # of weights, images and embeddings; `runs.run.build` sets the recipe's

    def __init__(self, options: MethodOptions, recipe: RecipeConfig, task: Task):
        super().__init__()
        self.options, self.recipe, self.task = options, recipe, task

    def draws(self, iteration: int) -> dict[str, int]:
        """Return how many batches of each sampler `iteration` (0-based) takes; by default one of each."""
        return {name: 1 for name in self.samplers}

    def start(self, survey: Callable[[], Iterator[Batch]]) -> None:
        """Read the training set once before the first iteration, for example to fill a memory.

        Called when training starts, not when it resumes; store what you compute in buffers so that it is
        checkpointed. `survey()` gives every training image once, in the order of the rows, unaugmented.
        """

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Train for one iteration, with all its optimiser steps; return scalars to log."""
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """Represent images at test time, (N, 3, H, W) -> (N, d); by default by the neck's output."""
        return self.network.embed(images)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Compare (Nq, d) with (Ng, d) -> (Nq, Ng), higher is closer; by default by the cosine."""
        return F.normalize(query) @ F.normalize(gallery).T

    def trace(self) -> dict[str, float]:
        """Return what a row of the history records beside the losses; by default every layer's gates."""
        return gate_trace(self)

    def portrait(self) -> dict[str, list]:
        """Return tables of the trained network for its metrics, as rows; by default every layer's gates."""
        return {"balance": gate_table(self)}

    def frozen(self) -> set[str]:
        """Name the parameters that training must not change; by default the biases of BNNecks."""
        return {f"{name}.bias" for name, part in self.named_modules() if isinstance(part, BNNeck)}
