"""The network and losses of the strong baseline (Luo et al. 2019), on which most methods build."""

from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor, nn

from dgreid.errors import UserError
from dgreid.images.batch import Batch
from dgreid.losses import batch_hard_triplet, smoothed_cross_entropy
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbone import Backbone, average
from dgreid.networks.neck import BNNeck
from dgreid.networks.norms import convert


class Network(nn.Module):
    """Backbone, global average pooling, BNNeck, linear classifier without bias (Luo et al. 2019).

    On CUDA devices that support bfloat16 the backbone trains in mixed precision, unless the recipe says
    float32; pooled features and everything after them are float32. bfloat16 has float32's range, so no loss
    needs scaling.
    """

    def __init__(self, backbone: nn.Module, norm: str, recipe: RecipeConfig, classes: int):
        super().__init__()
        self.backbone = with_norm(backbone, norm)
        self.neck = BNNeck(backbone.channels)
        self.classifier = linear_classifier(backbone.channels, classes)
        self.mixed_precision = recipe.precision == "auto"
        # plain batch norm is 1.4 times faster with channels last (measured on a CPU); the others are slower
        self.memory_format = torch.channels_last if norm == "batch" else torch.contiguous_format
        self.backbone.to(memory_format=self.memory_format)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the pooled features before the neck, for metric losses: (N, 3, H, W) -> (N, C)."""
        return self.pool(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        """Compute the backbone's output, (N, 3, H, W) -> (N, C, h, w)."""
        mixed = (
            self.mixed_precision and self.training and images.is_cuda and torch.cuda.is_bf16_supported(False)
        )
        with torch.autocast(images.device.type, torch.bfloat16, enabled=mixed):
            return self.backbone(images.contiguous(memory_format=self.memory_format))

    def pool(self, maps: Tensor) -> Tensor:
        """Pool maps as the backbone does, (N, C, h, w) -> (N, C)."""
        return pooled(self.backbone, maps)

    def logits(self, features: Tensor) -> Tensor:
        """Classify pooled features, (N, C) -> (N, classes)."""
        return self.classifier(self.neck(features))

    def embed(self, images: Tensor) -> Tensor:
        """Compute the neck's output, which is compared at test time: (N, 3, H, W) -> (N, C)."""
        return self.neck(self(images))


def linear_classifier(channels: int, classes: int) -> nn.Linear:
    """Make a classifier without bias that starts near zero (Luo et al. 2019)."""
    classifier = nn.Linear(channels, classes, bias=False)
    nn.init.normal_(classifier.weight, std=0.001)
    return classifier


def pooled(backbone: nn.Module, maps: Tensor) -> Tensor:
    """Pool maps as the backbone does, or by averages if it is a plain module: (N, C, h, w) -> (N, C)."""
    return backbone.pool(maps) if isinstance(backbone, Backbone) else average(maps)


def with_norm(backbone: nn.Module, name: str) -> nn.Module:
    """Convert the batch norms of a backbone to the norm of this name in networks/norms.

    Raises:
        UserError: the name is unknown, or the backbone has no batch norms to convert.
    """
    if name != "batch":
        norm = convert.module(name)
        only = shallow(backbone) if getattr(norm, "SHALLOW", False) else None
        convert.convert_norms(backbone, norm.LAYER, only)
    return backbone


def shallow(backbone: nn.Module) -> Callable[[str], bool]:
    """Return a test of module names: whether one belongs to the stem or to a shallow stage.

    Raises:
        UserError: the backbone does not say which of its stages are shallow.
    """
    if not getattr(backbone, "shallow_stages", 0):
        raise UserError(
            f"{type(backbone).__name__} does not say which of its stages are shallow: choose another "
            "backbone or another method.norm."
        )
    deep = tuple(f"{name}." for name, _ in backbone.stages[backbone.shallow_stages :])
    return lambda name: not name.startswith(deep)


def unread_of(losses: Collection[str]) -> Iterator[tuple[str, str]]:
    """Name the options that only a loss reads which is not among `losses`; for `MethodOptions.unread`."""
    for loss, option in (("cross_entropy", "label_smoothing"), ("triplet", "margin")):
        if loss not in losses:
            yield option, f"without the loss {loss}"


def base_losses(network: Network, batch: Batch, smoothing: float, margin: float) -> dict[str, Tensor]:
    """Compute the cross-entropy with label smoothing and the triplet loss of the features before the neck."""
    features = network(batch.images)
    return {
        "cross_entropy": smoothed_cross_entropy(network.logits(features), batch.identities, smoothing),
        "triplet": batch_hard_triplet(features, batch.identities, margin),
    }
