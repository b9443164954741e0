"""Make what a run trains on: its task, its images, its streams of batches."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from dgreid.images import samplers
from dgreid.images.loader import TrainingImages
from dgreid.images.pack import Pack
from dgreid.methods.base import Method, Task
from dgreid.runs.config import RunConfig


def task_of(train: pd.DataFrame, config: RunConfig, domain_names: Sequence[str] = ()) -> Task:
    """Count classes, domains and iterations for these training rows and the run's recipe."""
    recipe = config.recipe
    classes, domains = int(train["identity"].max()) + 1, int(train["domain"].max()) + 1
    batch = recipe.batch_size or domains * recipe.identities_per_domain * recipe.images_per_identity
    per_epoch = recipe.iterations_per_epoch or samplers.iterations_per_epoch(
        train["identity"].to_numpy(), batch, recipe.images_per_identity
    )
    membership = np.zeros((domains, classes), bool)
    membership[train["domain"], train["identity"]] = True
    iterations = recipe.epochs * per_epoch
    size = config.image.height, config.image.width
    return Task(
        classes,
        domains,
        iterations,
        per_epoch,
        torch.from_numpy(membership),
        size,
        tuple(domain_names),
        len(train),
    )


def training_images(
    train: pd.DataFrame, config: RunConfig, method: Method, packs: Mapping[str, Pack] | None = None
) -> TrainingImages:
    """Open the pixels of the sources and make the batches that `method` asks for.

    Args:
        packs: by data set; None: open them, and build the missing ones.
    """
    if packs is None:
        packs = {name: Pack.open(name, config.image) for name in sorted(train["dataset"].unique())}
    views = {name: sampler.views for name, sampler in method.samplers.items()}
    rows = streams(train, config, method)
    return TrainingImages(train, packs, config.image, rows, config.seed, views, config.recipe.dtype)


def streams(train: pd.DataFrame, config: RunConfig, method: Method) -> dict[str, samplers.AnyStream]:
    """Make the streams of batches that `method` asks for, as rows of `train`, by sampler name."""
    labels, recipe = samplers.Labels.of(train), config.recipe
    sizes = samplers.Sizes(recipe.identities_per_domain, recipe.images_per_identity, recipe.batch_size)
    return {
        name: samplers.make(sampler, labels, sizes, name, config.seed)
        for name, sampler in method.samplers.items()
    }
