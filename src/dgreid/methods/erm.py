"""The baseline that every method is compared with: empirical risk minimisation over all sources pooled.

The strong re-identification baseline (Luo et al. 2019) with the settings of MetaBIN's base model:
L = cross-entropy with label smoothing + batch-hard triplet. The gates of a norm
layer, if it has any (BIN), are trained jointly, at their own rate and clamped to [0, 1] (Nam and Kim 2018).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.network import Network, base_losses, unread_of
from dgreid.methods.parts.optimise import descend, gate_optimiser, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.config import Norm
from dgreid.networks.norms.convert import has_gates
from dgreid.networks.norms.gates import clamp_gates, gates_of


class Options(MethodOptions):
    """The baseline's options."""

    norm: Norm = Field("batch", description="norm layer of the backbone, a name in networks/norms")
    base_sampler: Literal["pk", "pk_per_domain", "across_cameras"] = Field(
        "pk_per_domain",
        description="pk_per_domain: the same number of identities from each source; pk: identities of all "
        "sources pooled; across_cameras: M3L's",
    )
    losses: tuple[Literal["cross_entropy", "triplet"], ...] = Field(
        ("cross_entropy", "triplet"), description="losses to sum", min_length=1
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability of all wrong classes")
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss")
    gate_learning_rate: float = Field(
        0.1, gt=0, le=1000, description="rate of the norm's gates, if it has any"
    )

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each option that has no effect beside the others, and why."""
        if not has_gates(self.norm):
            yield "gate_learning_rate", f"with {self.norm} norms, which have no gates"
        yield from unread_of(self.losses)


class ERM(Method):
    """Backbone, BNNeck and classifier, one optimiser step per iteration."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        self.network = Network(backbone, options.norm, recipe, task.classes)
        self.gates = gates_of(self.network)
        weights = [(name, p) for name, p in self.network.named_parameters() if name not in self.gates]
        self.optimisers = {"main": optimiser(weights, recipe, options.learning_rate)}
        if self.gates:
            self.optimisers["gates"] = gate_optimiser(self.gates, options.gate_learning_rate)
        self.samplers = {"base": Sampler(options.base_sampler)}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take one step down the base loss."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        losses = base_losses(
            self.network, batches["base"][0], self.options.label_smoothing, self.options.margin
        )
        losses = {name: losses[name] for name in self.options.losses}
        descend(sum(losses.values()), *self.optimisers.values())
        clamp_gates(self.gates)
        return {name: loss.detach() for name, loss in losses.items()}


METHOD = ERM
