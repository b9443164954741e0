"""LDA on three domains of three people, in float64."""

import torch
from torch import nn
from torch.nn import functional as F

from dgreid.images.batch import Batch
from dgreid.methods.base import Task
from dgreid.methods.lda import LDA
from helpers import tiny

K, CLASSES, STEPS = 3, 9, 4  # domains, identities, iterations per epoch


class Backbone(nn.Module):
    """A stem and two stages of one norm each."""

    channels, stages = 6, (("one", 5), ("two", 6))

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
        self.one = nn.Sequential(nn.Conv2d(4, 5, 3, bias=False), nn.BatchNorm2d(5))
        self.two = nn.Sequential(nn.Conv2d(5, 6, 3, bias=False), nn.BatchNorm2d(6))

    def forward(self, x):
        return F.relu(self.two(F.relu(self.one(F.relu(self.stem(x))))))


def make(domains: int = K, name: str = "lda", backbone: nn.Module | None = None, **changes) -> LDA:
    torch.manual_seed(0)
    membership = torch.zeros(domains, CLASSES, dtype=torch.bool)
    membership[torch.arange(CLASSES) * domains // CLASSES, torch.arange(CLASSES)] = True
    recipe = tiny.recipe(iterations_per_epoch=STEPS, weight_decay=0, momentum=0, bias_factor=1)
    task = Task(CLASSES, domains, 2 * STEPS, STEPS, membership)
    made = tiny.options(name, **{"learning_rate": 0.05, "an_stages": 1, **changes})
    return LDA(made, backbone or Backbone(), recipe, task).double().train()


def batch(seed: int) -> Batch:
    """Two identities with two images of each domain; domains differ in colour."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(12, 3, 10, 9, generator=random, dtype=torch.float64)
    images += 2 * torch.arange(K).repeat_interleave(4)[:, None, None, None]
    people = torch.stack([torch.randperm(3, generator=random)[:2] + 3 * d for d in range(K)])
    return Batch(images, people.flatten().repeat_interleave(2), torch.arange(K).repeat_interleave(4))
