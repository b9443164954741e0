"""Meta-learning steps small enough to derive twice: three domains of three people, in float64."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from dgreid import methods
from dgreid.images.batch import Batch
from dgreid.methods.base import Method, Task
from helpers import tiny

DOMAINS, CLASSES, STEPS = 3, 9, 10  # iterations per epoch: 10


def make(
    name: str,
    domains: int = DOMAINS,
    activation: Callable[[torch.Tensor], torch.Tensor] = F.relu,
    **changes,
) -> Method:
    """The method of that name on the tiny backbone; 100 epochs, ten of them warm-up."""
    torch.manual_seed(0)
    options = tiny.options(name, **changes)
    recipe = tiny.recipe(epochs=100, iterations_per_epoch=STEPS, warmup_epochs=10)
    task = Task(CLASSES, domains, 100 * STEPS, STEPS)
    made = methods.module(options.code).METHOD(options, tiny.Backbone(activation), recipe, task)
    return made.double().train()


def batch(seed: int) -> Batch:
    """Three domains of two identities with two images; base and meta batches alike."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(12, 3, 9, 7, generator=random, dtype=torch.float64)
    people = torch.stack([torch.randperm(3, generator=random)[:2] + 3 * d for d in range(DOMAINS)])
    return Batch(images, people.flatten().repeat_interleave(2), torch.arange(DOMAINS).repeat_interleave(4))
