"""What several benchmarks share: the plain layer, batches of noise, timing, where results are written."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dgreid.images.batch import Batch
from dgreid.methods.base import Method

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


class PlainBatchInstanceNorm2d(nn.Module):
    """The layer as one writes it first: two norms and a mix."""

    def __init__(self, channels: int):
        super().__init__()
        self.batch = nn.BatchNorm2d(channels)
        self.instance = nn.InstanceNorm2d(channels, affine=True)
        self.balance = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        balance = self.balance[:, None, None]
        return balance * self.batch(x) + (1 - balance) * self.instance(x)


class Setting(NamedTuple):
    """What is trained: every domain gives `identities` with `images` each to a batch."""

    backbone: str
    height: int
    width: int
    domains: int
    identities: int
    images: int
    classes: int


def batches(method: Method, setting: Setting, iteration: int, device: torch.device) -> dict[str, list[Batch]]:
    """Noise for every batch that the iteration takes, laid out domain by domain."""
    random = torch.Generator().manual_seed(iteration)
    return {
        name: [noise(setting, random, device) for _ in range(count)]
        for name, count in method.draws(iteration).items()
    }


def noise(setting: Setting, random: torch.Generator, device: torch.device) -> Batch:
    """`identities` x `images` of every domain; each domain has its own share of the classes."""
    identities = setting.domains * setting.identities
    images = torch.randn(identities * setting.images, 3, setting.height, setting.width, generator=random)
    share = setting.classes // setting.domains
    own = [
        torch.randperm(share, generator=random)[: setting.identities] + share * d
        for d in range(setting.domains)
    ]
    labels = torch.cat(own).repeat_interleave(setting.images)
    domains = torch.arange(setting.domains).repeat_interleave(setting.identities * setting.images)
    return Batch(images.to(device), labels.to(device), domains.to(device))


def in_double(drawn: Mapping[str, list[Batch]]) -> dict[str, list[Batch]]:
    """The same batches with images in float64."""
    return {
        name: [each._replace(images=each.images.double()) for each in part] for name, part in drawn.items()
    }


def timed(method: Method, drawn: Mapping[str, list[Batch]], iteration: int, device: torch.device) -> float:
    """Seconds of one iteration; the domain split depends on its number alone."""
    torch.manual_seed(iteration)
    synchronise(device)
    start = time.perf_counter()
    method.step(drawn, iteration)
    synchronise(device)
    return time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that a clock sees what it has done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
