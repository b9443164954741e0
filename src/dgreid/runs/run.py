"""A run: built from its configuration, recorded, and restored from its folder in data/runs."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file

from dgreid import methods
from dgreid.errors import UserError, unknown
from dgreid.images import samplers
from dgreid.images.config import ImageConfig
from dgreid.images.loader import TrainingImages
from dgreid.images.pack import Pack
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks import backbones
from dgreid.networks.config import BackboneOptions
from dgreid.paths import RUNS
from dgreid.runs.config import RunConfig


def find(run: str) -> Path:
    """The folder of a run in data/runs.

    Raises:
        UserError: there is none of that name; it names those whose training has ended.
    """
    if not (RUNS / run).is_dir():
        raise unknown("run", run, (path.parent.name for path in RUNS.glob("*/model.safetensors")))
    return RUNS / run


def task_of(train: pd.DataFrame, config: RunConfig, domain_names: Sequence[str] = ()) -> Task:
    """Classes, domains and iterations of training rows under the run's recipe."""
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


def build(
    options: MethodOptions,
    backbone: BackboneOptions,
    recipe: RecipeConfig,
    task: Task,
    weights: str | None = None,
) -> Method:
    """A method as it is before training, on the CPU; `weights` replaces the recipe's."""
    network = backbones.build(backbone, recipe.weights if weights is None else weights, task.image)
    return methods.module(options.code).METHOD(options, network, recipe, task)


def restore(folder: Path) -> tuple[Method, dict[str, Any]]:
    """A trained method in eval mode, on the CPU, and the facts of its run.yaml.

    Raises:
        UserError: the folder holds no run, or a damaged one.
    """
    if not (folder / "model.safetensors").is_file():
        raise UserError(
            f"{folder} holds no trained model: train the run first, or fetch it with `dvc checkout`."
        )
    damaged = "damaged or of another version: train the run again."
    try:
        facts = yaml.safe_load((folder / "run.yaml").read_text())
        node, task = facts["config"], Task(**facts["training"])
        image = ImageConfig.model_validate(node["image"])
        task = task._replace(  # membership: what it was is in the model's buffers
            membership=torch.zeros(task.domains, task.classes, dtype=torch.bool),
            domain_names=tuple(task.domain_names),
            image=(image.height, image.width),
        )
        options = methods.module(node["method"]["code"]).Options.model_validate(node["method"])
        backbone = backbones.module(node["backbone"]["architecture"]).Options.model_validate(node["backbone"])
        recipe = RecipeConfig.model_validate(node["recipe"])
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, UserError) as error:
        raise UserError(f"{folder}: its run.yaml is missing, {damaged}") from error
    method = build(options, backbone, recipe, task, weights="none")
    try:
        method.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: other tensors than asked for
        raise UserError(f"{folder}: its model.safetensors is {damaged}") from error
    return method.eval(), facts


def training_images(
    train: pd.DataFrame, config: RunConfig, method: Method, packs: Mapping[str, Pack] | None = None
) -> TrainingImages:
    """The pixels of the sources and the streams of batches that `method` asks for.

    Args:
        packs: by data set; None: they are opened, and built if there are none.
    """
    if packs is None:
        packs = {name: Pack.open(name, config.image) for name in sorted(train["dataset"].unique())}
    views = {name: sampler.views for name, sampler in method.samplers.items()}
    return TrainingImages(train, packs, config.image, streams(train, config, method), config.seed, views)


def streams(train: pd.DataFrame, config: RunConfig, method: Method) -> dict[str, samplers.AnyStream]:
    """The batches that `method` asks for, as rows of `train`, by sampler."""
    labels, recipe = samplers.Labels.of(train), config.recipe
    sizes = samplers.Sizes(recipe.identities_per_domain, recipe.images_per_identity, recipe.batch_size)
    return {
        name: samplers.make(sampler, labels, sizes, name, config.seed)
        for name, sampler in method.samplers.items()
    }


def record(config: RunConfig, task: Task, data: Mapping[str, Any]) -> dict[str, Any]:
    """What run.yaml says: all that decides the result, nothing that differs between repetitions.

    Of the protocol only what concerns training: targets may change without a new training.
    """
    node = chosen(config)
    return {
        "run": config.run,
        "config": node,
        "training": {  # the image size stands in the configuration
            key: list(value) if isinstance(value, tuple) else value
            for key, value in task._asdict().items()
            if key not in ("membership", "image")
        },
        "data": dict(data),
        "config_sha256": hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest(),
        "versions": {name: version(name) for name in ("dgreid", "torch", "numpy", "pillow")}
        | {"python": platform.python_version()},
    }


def chosen(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration of a run, its protocol by name."""
    return config.model_dump(mode="json") | {"protocol": config.protocol.name}
