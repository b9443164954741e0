"""torchreid's softmax recipe (Zhou et al., ICCV 2019), by which the OSNet family was trained.

Cross-entropy alone, on a linear classifier with a bias that takes the backbone's features as they are: OSNet
has its own feature layer and needs no neck. The classifier starts from random weights, the backbone from
ImageNet's: in the first epochs the classifier learns alone, and the backbone, in eval mode, stays as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.network import Network
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig


class Options(MethodOptions):
    """The recipe's options; defaults as released for OSNet."""

    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability spread over all classes")
    fixed_base_epochs: int = Field(
        10, ge=0, le=100_000, description="so many first epochs train the classifier alone"
    )
    distance: Literal["euclidean", "cosine"] = Field(
        "euclidean", description="between features, at test time"
    )


class Softmax(Method):
    """Backbone and classifier, one optimiser step per iteration."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        self.network = softmax_network(backbone, recipe, task.classes)
        self.optimisers = {"main": optimiser(self.named_parameters(), recipe, options.learning_rate)}
        self.samplers = {"base": Sampler("random")}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take one step down the cross-entropy, of the classifier alone in the first epochs."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        fixed = self.base_is_fixed(iteration)
        self.network.backbone.train(not fixed)
        batch = batches["base"][0]
        with torch.set_grad_enabled(not fixed):  # without gradients an optimiser passes the backbone over
            features = self.network(batch.images)  # (N, C)
        loss = F.cross_entropy(
            self.network.logits(features), batch.identities, label_smoothing=self.options.label_smoothing
        )
        descend(loss, *self.optimisers.values())
        return {"cross_entropy": loss.detach()}

    def base_is_fixed(self, iteration: int) -> bool:
        """Whether `iteration` belongs to the first epochs, in which the classifier learns alone."""
        return iteration < self.options.fixed_base_epochs * self.task.iterations_per_epoch

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Compare (Nq, d) with (Ng, d) -> (Nq, Ng): the cosine, or minus the squared Euclidean distance."""
        if self.options.distance == "cosine":
            return super().similarity(query, gallery)
        return 2 * query @ gallery.T - query.square().sum(1)[:, None] - gallery.square().sum(1)


def softmax_network(backbone: nn.Module, recipe: RecipeConfig, classes: int) -> Network:
    """Put torchreid's classifier on a backbone: linear with a bias, on the features as they are."""
    network = Network(backbone, "batch", recipe, classes)
    network.neck = nn.Identity()
    network.classifier = nn.Linear(backbone.channels, classes)
    nn.init.normal_(network.classifier.weight, std=0.01)
    nn.init.zeros_(network.classifier.bias)
    return network


METHOD = Softmax
