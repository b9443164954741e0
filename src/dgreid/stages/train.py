"""Stage train: one run, from its protocol to data/runs/<run>/, complete or absent."""

import hashlib
import json
import logging
import os
import platform
import random
import resource
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dgreid import methods, provenance
from dgreid.config import BackboneConfig, MethodOptions, RecipeConfig, RunConfig, threads
from dgreid.device import claim
from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.images import samplers
from dgreid.images.loader import TrainingImages, batches, survey
from dgreid.images.pack import Pack
from dgreid.methods.base import Method, Training
from dgreid.networks import backbones
from dgreid.protocols import read_training
from dgreid.training.checkpoint import Checkpoint, fingerprint, state_hash
from dgreid.training.loop import fit

log = logging.getLogger(__name__)

PROTOCOLS, RUNS, CHECKPOINTS = Path("data/protocols"), Path("data/runs"), Path("data/checkpoints")


def train(config: RunConfig) -> Path:
    """Train one run and write its folder: model.safetensors, run.yaml, history.csv, cost.json.

    A killed run goes on from its last checkpoint, bit for bit as if it had not been killed.

    Raises:
        UserError: missing data, more domains or identities asked than there are, a loss that is not finite.
    """
    device, commit = prepare(config.seed), provenance.commit()  # of the code that was just loaded
    rows, data = read_training(PROTOCOLS / config.protocol.name)
    data["sha256"] = sha256(PROTOCOLS / config.protocol.name / "train.parquet")
    training = plan(rows, config)
    method = build(config.method, config.backbone, config.recipe, training).to(device)

    images = training_images(rows, config, method)
    start = state_hash(method)  # random, or the weight file that was found
    mark = fingerprint(chosen(config), data["sha256"], method, device)
    checkpoint = Checkpoint(CHECKPOINTS / config.run / "last.pt", mark)
    history, cost = fit(
        method,
        lambda keys: batches(images, keys, device),
        training,
        checkpoint,
        config.recipe.checkpoint_every,
        title=config.run,
        survey=lambda: survey(images, device),
    )

    state = {name: tensor.cpu().contiguous() for name, tensor in method.state_dict().items()}
    check_finite(state, config.run)
    with whole(RUNS / config.run) as folder:
        folder.mkdir()
        save_file(state, folder / "model.safetensors")
        history[columns(history)].to_csv(folder / "history.csv", index=False)
        facts = record(config, training, data | {"initial_weights": start})
        (folder / "run.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))
        made = {"commit": commit, "date": provenance.now()}  # here, as run.yaml is the same every time
        (folder / "cost.json").write_text(json.dumps(expenses(cost, method, device) | made, indent=2) + "\n")
    checkpoint.remove()
    log.info("%s: %d iterations, %.1f s", config.run, training.iterations, cost["seconds"])
    return RUNS / config.run


def columns(history: pd.DataFrame) -> list[str]:
    """The history's columns with the first scalar the method logs, its loss, last: `dvc plots` draws that."""
    named = list(history.columns)
    place = named.index("learning_rate") + 1
    return [*named[:place], *named[place + 1 :], named[place]]


def check_finite(state: Mapping[str, torch.Tensor], run: str) -> None:
    """Refuse to save a network that the last update broke: its losses were never seen."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"{run}: after training {name} is not finite; lower recipe.learning_rate_factor or "
                "method.learning_rate."
            )


def prepare(seed: int) -> torch.device:
    """Seed everything, ask for deterministic kernels, set the threads; the device to train on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on CUDA
    device = claim()
    torch.set_num_threads(threads())
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32; mixed precision is bfloat16
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, hides nothing here
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return device


def plan(train: pd.DataFrame, config: RunConfig) -> Training:
    """Classes, domains and iterations of a training set under the run's recipe."""
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
    return Training(classes, domains, iterations, per_epoch, torch.from_numpy(membership), size)


def build(
    options: MethodOptions,
    backbone: BackboneConfig,
    recipe: RecipeConfig,
    training: Training,
    weights: str | None = None,
) -> Method:
    """A method as it is before training, on the CPU; `weights` replaces the recipe's."""
    network = backbones.build(backbone, recipe.weights if weights is None else weights)
    return methods.module(options.code).METHOD(options, network, recipe, training)


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
        node, training = facts["config"], Training(**facts["training"])
        training = training._replace(  # membership: what it was is in the model's buffers
            membership=torch.zeros(training.domains, training.classes, dtype=torch.bool),
            image=(node["image"]["height"], node["image"]["width"]),
        )
        options = methods.module(node["method"]["code"]).Options.model_validate(node["method"])
        backbone = BackboneConfig.model_validate(node["backbone"])
        recipe = RecipeConfig.model_validate(node["recipe"])
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: its run.yaml is missing, {damaged}") from error
    method = build(options, backbone, recipe, training, weights="none")
    try:
        method.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: other tensors than asked for
        raise UserError(f"{folder}: its model.safetensors is {damaged}") from error
    return method.eval(), facts


def training_images(train: pd.DataFrame, config: RunConfig, method: Method) -> TrainingImages:
    """The packs of the sources and the streams of batches that `method` asks for."""
    packs = {name: Pack.open(name, config.image) for name in sorted(train["dataset"].unique())}
    return TrainingImages(train, packs, config.image, streams(train, config, method), config.seed)


def streams(train: pd.DataFrame, config: RunConfig, method: Method) -> dict[str, samplers.Stream]:
    """The batches that `method` asks for, as rows of `train`, by sampler."""
    return {
        name: samplers.make(
            sampler.kind,
            train["identity"].to_numpy(),
            train["domain"].to_numpy(),
            train["camera"].to_numpy(),
            sampler.identities_per_domain or config.recipe.identities_per_domain,
            config.recipe.images_per_identity,
            name,
            config.seed,
            config.recipe.batch_size,
        )
        for name, sampler in method.samplers.items()
    }


def record(config: RunConfig, training: Training, data: Mapping[str, Any]) -> dict[str, Any]:
    """What run.yaml says: all that decides the result, nothing that differs between repetitions.

    Of the protocol only what concerns training: targets may change without a new training.
    """
    node = chosen(config)
    return {
        "run": config.run,
        "config": node,
        "training": {  # the image size stands in the configuration
            key: value for key, value in training._asdict().items() if key not in ("membership", "image")
        },
        "data": dict(data),
        "config_sha256": hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest(),
        "versions": {name: version(name) for name in ("dgreid", "torch", "numpy", "pillow")}
        | {"python": platform.python_version()},
    }


def chosen(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration of a run, its protocol by name."""
    return config.model_dump(mode="json") | {"protocol": config.protocol.name}


def expenses(cost: Mapping[str, float], method: Method, device: torch.device) -> dict[str, Any]:
    """What cost.json says: time, speed, memory, size."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else kilobytes * 1024
    return {
        "seconds": round(cost["seconds"], 2),
        "images": int(cost["images"]),
        "images_per_second": round(cost["images"] / cost["seconds"], 2),
        "peak_memory_bytes": int(peak),
        "parameters": sum(parameter.numel() for parameter in method.parameters()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }
