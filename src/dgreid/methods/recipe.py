"""The schema of params/recipe."""

from typing import Literal

from pydantic import Field

from dgreid.schema import Strict


class RecipeConfig(Strict):
    """Budget and optimisation shared by the methods that are compared: the fair-comparison switch."""

    name: str
    epochs: int = Field(gt=0)
    iterations_per_epoch: int | None = Field(
        None, gt=0, description="null: one pass of the naive identity sampler"
    )
    optimiser: Literal["sgd", "adamw", "adam"] = Field(
        "sgd", description="adam: decay is part of the gradient"
    )
    learning_rate_factor: float = Field(1.0, gt=0, description="multiplies the method's learning_rate")
    momentum: float = 0.9
    nesterov: bool = Field(False, description="momentum of SGD looks ahead")
    amsgrad: bool = Field(False, description="of Adam and AdamW")
    weight_decay: float = 5e-4
    bias_decay: float | None = Field(None, ge=0, description="of biases; null: weight_decay")
    bias_factor: float = Field(2.0, description="learning rate of biases, relative")
    warmup_epochs: float = 10
    warmup_iterations: int | None = Field(None, ge=0, description="in place of warmup_epochs, if given")
    warmup_factor: float = Field(0.01, description="share of the rate at iteration 0")
    schedule: Literal["iteration", "epoch"] = Field(
        "iteration", description="when the rate moves: at every iteration, or only where an epoch begins"
    )
    decay: Literal["steps", "cosine", "exponential"] = Field("steps", description="after the warm-up")
    milestones: tuple[float, ...] = Field((40, 70), description="steps: epochs that divide the rate by ten")
    gamma: float = Field(0.99, gt=0, le=1, description="exponential: what each epoch multiplies the rate by")
    floor: float = Field(0.0, ge=0, le=1, description="cosine: share of the rate at the end")
    identities_per_domain: int = Field(4, gt=0)
    images_per_identity: int = Field(4, gt=0)
    batch_size: int | None = Field(
        None, gt=1, description="images of a batch from all sources pooled; null: as many as by domains"
    )
    weights: str = Field(
        "imagenet",
        description="none | imagenet | torchvision's name, such as IMAGENET1K_V2 | path of a weight file",
    )
    precision: Literal["auto", "float32"] = Field("auto", description="auto: mixed precision on CUDA")
    checkpoint_every: int = Field(200, gt=0, description="iterations")
