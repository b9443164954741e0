"""The schema of the files in params/recipe."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator

from dgreid.schema import Name, NoEffect, Strict

MOST_IMAGES = 4096  # of one domain in a batch; no memory holds the activations of more


class RecipeConfig(Strict):
    """Budget and optimisation that all compared methods share, so that the comparison is fair.

    The defaults are the values of params/recipe/_base.yaml; a test holds the two equal.
    """

    name: Annotated[Name, NoEffect] = Field(description="name of the file in params/recipe")
    epochs: int = Field(gt=0, le=100_000, description="length of training")
    iterations_per_epoch: int | None = Field(
        None, gt=0, le=10**7, description="length of an epoch; null: one pass of the naive identity sampler"
    )
    optimiser: Literal["sgd", "adamw", "adam"] = Field(
        "sgd", description="adam: adds weight decay to the gradient; adamw does not"
    )
    learning_rate_factor: float = Field(
        1.0, gt=0, le=1e6, description="multiplies the method's learning_rate"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    nesterov: bool = Field(False, description="use Nesterov momentum in SGD")
    amsgrad: bool = Field(False, description="use the AMSGrad variant of Adam and AdamW")
    weight_decay: float = Field(5e-4, ge=0, le=10, description="of all parameters except gates")
    bias_decay: float | None = Field(
        None, ge=0, le=10, description="weight decay of biases; null: weight_decay"
    )
    bias_factor: float = Field(
        2.0, ge=0, le=1000, description="learning rate of biases, relative to that of weights"
    )
    warmup_epochs: float = Field(
        10, ge=0, le=100_000, description="the rate rises linearly for so many epochs"
    )
    warmup_iterations: int | None = Field(
        None,
        ge=0,
        le=10**9,
        description="replaces warmup_epochs, if given; the rate then rises at every iteration",
    )
    warmup_schedule: Literal["iteration", "epoch"] | None = Field(
        None, description="when the rate changes in the warm-up; null: as schedule"
    )
    warmup_factor: float = Field(0.01, ge=0, le=1, description="share of the full rate at iteration 0")
    schedule: Literal["iteration", "epoch"] = Field(
        "iteration", description="when the rate changes: at every iteration or at the start of an epoch"
    )
    decay: Literal["steps", "cosine", "exponential"] = Field(
        "steps", description="how the rate falls after the warm-up"
    )
    milestones: tuple[Annotated[float, Field(ge=0, le=100_000)], ...] = Field(
        (40, 70), description="steps: epochs after which the rate is divided by ten"
    )
    gamma: float = Field(0.99, gt=0, le=1, description="exponential: each epoch multiplies the rate by this")
    floor: float = Field(0.0, ge=0, le=1, description="cosine: share of the full rate at the end")
    identities_per_domain: int = Field(4, gt=0, le=1024, description="P of a batch, for each domain")
    images_per_identity: int = Field(4, gt=0, le=1024, description="K of a batch")
    batch_size: int | None = Field(
        None, gt=1, le=65_536, description="images in a batch from all sources pooled; null: P x K x domains"
    )
    weights: str = Field(
        "imagenet",
        description="initial weights: none, drawn (see stage pretrain), imagenet, a torchvision name such as "
        "IMAGENET1K_V2, a file, or a word such as msmt17, which means data/weights/BACKBONE_msmt17.*",
    )
    precision: Literal["auto", "float32", "float64"] = Field(
        "auto",
        description="auto: mixed precision (bfloat16) on CUDA, else float32; float64: slow, for benchmarks "
        "on a CPU, because scores are then equal on unlike processors",
    )
    checkpoint_every: Annotated[int, NoEffect] = Field(
        1000, gt=0, le=10**9, description="iterations between checkpoints"
    )

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights, images and embeddings; mixed precision keeps them in float32.

        Processors differ in the last bit of a sum. In float32 such differences grow into another network
        within some hundred iterations; in float64, which begins 2^29 times smaller, they do not reach the
        scores.
        """
        return torch.float64 if self.precision == "float64" else torch.float32

    @model_validator(mode="after")
    def _a_batch_has_a_size(self) -> Self:
        size = self.identities_per_domain * self.images_per_identity
        if size > MOST_IMAGES:
            raise ValueError(
                f"identities_per_domain x images_per_identity is {size:,} images of each domain in a batch, "
                f"and {MOST_IMAGES:,} are the most: lower one of the two"
            )
        return self

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each setting that has no effect beside the others, and why; see `MethodOptions.unread`."""
        owners = {"milestones": "steps", "gamma": "exponential", "floor": "cosine"}
        for name, decay in owners.items():
            if self.decay != decay:
                yield name, f"with recipe.decay={self.decay}"
        for name in ("amsgrad",) if self.optimiser == "sgd" else ("momentum", "nesterov"):
            yield name, f"with recipe.optimiser={self.optimiser}"
        if self.warmup_iterations is not None:
            for name in ("warmup_epochs", "warmup_schedule"):
                yield name, "beside recipe.warmup_iterations"
