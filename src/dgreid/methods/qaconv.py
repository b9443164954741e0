"""QAConv (Liao and Shao, Interpretable and Generalizable Person Re-ID with Query-Adaptive Convolution, 2020).

Images have no feature vectors: two images are compared location by location. Every location of one feature
map is a 1x1 convolution kernel for the other map; the largest responses of all locations of both maps give
the score of the pair. In training, images are classified by their scores with a memory that holds the newest
feature map of each identity.

This is version 1.0 as released with the ECCV paper, without its temporal lifting and re-ranking. The network
takes pixels in [0, 1], so the pipeline's normalisation is undone first. Nothing is computed in mixed
precision.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.images.batch import Batch, Sampler
from dgreid.images.normalise import MEAN, STD
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbone import stages_of

CORRELATIONS = 2**26  # computed at a time when two sets are compared: 256 MiB
TEMPERATURE = 10.0  # of the score; it spreads scores that would crowd at 0 and 1, and changes no ranking


class Options(MethodOptions):
    """QAConv's options; defaults as released."""

    backbone_learning_rate: float = Field(
        0.001, gt=0, le=1000, description="base rate of the pretrained layers"
    )
    nesterov: bool = Field(True, description="use Nesterov momentum in SGD")
    channels: int = Field(128, gt=0, le=4096, description="channels of the compared maps")
    fc_tied: bool = Field(False, description="both directions share one weight per location (later versions)")
    memory_chunk: int = Field(
        16, gt=0, le=100_000, description="identities compared at a time; affects only the memory needed"
    )
    focus: float = Field(2.0, ge=0, le=100, description="gamma of the focal loss; 0: plain cross-entropy")


class QAConv(Method):
    """A backbone without its last stage, a convolution to few channels, a matcher, and a memory.

    The memory, which only training uses, is a buffer (classes, C, h, w), 0.1 MB per identity at 384x128,
    saved with the model.
    """

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        cut(backbone)
        self.backbone = backbone
        self.neck = nn.Sequential(
            nn.Conv2d(backbone.channels, options.channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(options.channels),  # as released
        )
        height, width = map_size(backbone, task.given("image"))
        self.matcher = Matcher(height * width, options.fc_tied)
        self.register_buffer("memory", torch.zeros(task.classes, options.channels, height, width))
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(STD).view(3, 1, 1), persistent=False)
        new = [*self.neck.named_parameters(), *self.matcher.named_parameters()]
        trained = backbone.named_parameters()
        self.optimisers = {
            "new": optimiser(new, recipe, options.learning_rate, options.nesterov),
            "backbone": optimiser(trained, recipe, options.backbone_learning_rate, options.nesterov),
        }
        self.samplers = {"base": Sampler("random")}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Compare a batch with the memory of every identity, take a step, then remember the batch."""
        for each in self.optimisers.values():
            set_rate(each, self.recipe, self.task, iteration)
        batch = batches["base"][0]
        maps = self.embed(batch.images)  # (N, C, h, w)
        logits = self.matcher(self.recall(maps))  # (N, classes)
        loss = focal_loss(logits, batch.identities, self.options.focus)
        descend(loss, *self.optimisers.values())
        self.remember(maps.detach(), batch.identities)
        right = logits.argmax(1) == batch.identities
        return {"matching": loss.detach(), "accuracy": right.float().mean()}

    def recall(self, maps: Tensor) -> Tensor:
        """Find the best matches of a batch with the memory: (N, C, h, w) -> (N, classes, 2hw)."""
        return torch.cat(
            [best_matches(maps, some) for some in self.memory.split(self.options.memory_chunk)], 1
        )

    def remember(self, maps: Tensor, identities: Tensor) -> None:
        """Overwrite the memory of every identity in the batch with its last map; maps are (N, C, h, w)."""
        again = (identities[:, None] == identities).triu(1).any(1)  # (N,): its identity comes again
        self.memory[identities[~again]] = maps[~again]

    def embed(self, images: Tensor) -> Tensor:
        """Compute maps of unit length at every location, (N, 3, H, W) -> (N, C, h, w)."""
        return F.normalize(self.neck(self.backbone(images * self.deviation + self.mean)))

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Score pairs in blocks of bounded memory, in eval mode: (Nq, C, h, w), (Ng, C, h, w) -> (Nq, Ng)."""
        block = max(1, math.isqrt(CORRELATIONS // query.shape[-2:].numel() ** 2))  # images of each set
        rows = [
            torch.cat([self.matcher(best_matches(q, g)) for g in gallery.split(block)], 1)
            for q in query.split(block)
        ]
        return torch.sigmoid(torch.cat(rows) / TEMPERATURE)


class Matcher(nn.Module):
    """Scores a pair by the best matches of its locations: norm, weighted sum, norm."""

    def __init__(self, locations: int, tied: bool):
        super().__init__()
        self.locations = locations
        self.match_norm = nn.BatchNorm1d(1)
        self.weigh = nn.Linear(locations if tied else 2 * locations, 1)
        self.logit_norm = nn.BatchNorm1d(1)

    def forward(self, matches: Tensor) -> Tensor:
        """Compute logits, (Nq, Ng, 2L) -> (Nq, Ng); both norms use statistics of all pairs together."""
        pairs = self.match_norm(matches.reshape(-1, 1, 2 * self.locations))  # (Nq Ng, 1, 2L)
        if self.weigh.in_features == self.locations:
            pairs = pairs.unflatten(2, (2, self.locations)).sum(2)  # (Nq Ng, 1, L)
        return self.logit_norm(self.weigh(pairs[:, 0])).view(matches.shape[:2])


def best_matches(query: Tensor, gallery: Tensor) -> Tensor:
    """Find, for each location of a pair, the largest cosine with any location of the other map.

    (Nq, C, h, w), (Ng, C, h, w) of unit length -> (Nq, Ng, 2hw): first the gallery's locations, then the
    query's. The correlation is the paper's convolution of one map with the locations of the other.
    """
    (queries, channels), (images, locations) = query.shape[:2], (len(gallery), query.shape[-2:].numel())
    rows = query.flatten(2).transpose(1, 2).reshape(-1, channels)  # (Nq hw, C)
    columns = gallery.flatten(2).transpose(0, 1).reshape(channels, -1)  # (C, Ng hw)
    correlation = (rows @ columns).view(queries, locations, images, locations)
    # max, not amax, whose backward would keep all correlations
    of_gallery = correlation.max(1).values  # (Nq, Ng, hw)
    of_query = correlation.max(3).values.transpose(1, 2)  # (Nq, Ng, hw)
    return torch.cat([of_gallery, of_query], 2)


def focal_loss(logits: Tensor, identities: Tensor, focus: float = 2.0) -> Tensor:
    """Compute the focal loss of "is it this identity?", asked for every identity (Lin et al. 2017).

    Binary cross-entropy times (1 - p_t)^focus, so that hard cases count more; the gradient also flows through
    this weight. Summed over identities, averaged over the batch.

    Args:
        logits: (N, classes).
        identities: (N,) class indices.
        focus: gamma.
    """
    right = F.one_hot(identities, logits.shape[1]).to(logits.dtype)  # (N, classes)
    surprise = F.binary_cross_entropy_with_logits(logits, right, reduction="none")  # -log p_t
    return ((-torch.expm1(-surprise)) ** focus * surprise).sum(1).mean()  # 1 - p_t = -expm1(log p_t)


def cut(backbone: nn.Module) -> None:
    """Drop a backbone's last stage, in place: ResNet-50 then ends with layer3 (stride 16, 1024 channels)."""
    *kept, (last, _) = stages_of(backbone, least=2)
    backbone.set_submodule(last, nn.Identity())
    backbone.stages, (_, backbone.channels) = tuple(kept), kept[-1]
    for layer in getattr(backbone, "pool_layers", ()):  # maps are compared, never pooled
        backbone.set_submodule(layer, nn.Identity())


@torch.no_grad()
def map_size(backbone: nn.Module, image: tuple[int, int]) -> tuple[int, int]:
    """Find the height and width of an image's feature map by computing one."""
    mode = backbone.training
    shape = backbone.eval()(torch.zeros(1, 3, *image)).shape  # eval mode does not update running statistics
    backbone.train(mode)
    return tuple(shape[2:])


METHOD = QAConv
