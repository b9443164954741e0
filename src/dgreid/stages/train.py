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
from safetensors.torch import load_file, save_file

from dgreid import methods
from dgreid.config import RunConfig, threads
from dgreid.files import sha256, whole
from dgreid.images import samplers
from dgreid.images.loader import TrainingImages, batches
from dgreid.images.pack import Pack
from dgreid.methods.base import Method, Training
from dgreid.networks import backbones
from dgreid.protocols import read_protocol
from dgreid.training.checkpoint import Checkpoint, fingerprint
from dgreid.training.loop import fit

log = logging.getLogger(__name__)

PROTOCOLS, RUNS, CHECKPOINTS = Path("data/protocols"), Path("data/runs"), Path("data/checkpoints")


def train(config: RunConfig) -> Path:
    """Train one run and write its folder: model.safetensors, run.yaml, history.csv, cost.json.

    A killed run goes on from its last checkpoint, bit for bit as if it had not been killed.

    Raises:
        UserError: missing data, more domains or identities asked than there are, a loss that is not finite.
    """
    device = prepare(config.seed)
    path = PROTOCOLS / f"{config.protocol.name}.parquet"
    protocol = read_protocol(path)
    training = plan(protocol.train, config)
    method = build(config, training).to(device)

    images = training_images(protocol.train, config, method)
    checkpoint = Checkpoint(CHECKPOINTS / config.run / "last.pt", fingerprint(config, path, device))
    history, cost = fit(
        method,
        lambda keys: batches(images, keys, device),
        training,
        checkpoint,
        config.recipe.checkpoint_every,
        title=config.run,
    )

    with whole(RUNS / config.run) as folder:
        folder.mkdir()
        state = {name: tensor.cpu().contiguous() for name, tensor in method.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        history.to_csv(folder / "history.csv", index=False)
        facts = record(config, training, protocol.domains, protocol.metadata, path)
        (folder / "run.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))
        (folder / "cost.json").write_text(json.dumps(expenses(cost, method, device), indent=2) + "\n")
    checkpoint.remove()
    log.info("%s: %d iterations, %.1f s", config.run, training.iterations, cost["seconds"])
    return RUNS / config.run


def prepare(seed: int) -> torch.device:
    """Seed everything, ask for deterministic kernels, set the threads; the device to train on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on CUDA
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads())
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, hides nothing here
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return device


def plan(train: pd.DataFrame, config: RunConfig) -> Training:
    """Classes, domains and iterations of a training set under the run's recipe."""
    recipe = config.recipe
    classes, domains = int(train["identity"].max()) + 1, int(train["domain"].max()) + 1
    batch = domains * recipe.identities_per_domain * recipe.images_per_identity
    per_epoch = recipe.iterations_per_epoch or samplers.iterations_per_epoch(
        train["identity"].to_numpy(), batch, recipe.images_per_identity
    )
    return Training(classes, domains, recipe.epochs * per_epoch, per_epoch)


def build(config: RunConfig, training: Training, weights: str | None = None) -> Method:
    """The run's method as it is before training, on the CPU; `weights` replaces the recipe's."""
    backbone = backbones.build(config.backbone, config.recipe.weights if weights is None else weights)
    return methods.module(config.method.code).METHOD(config.method, backbone, config.recipe, training)


def restore(folder: Path) -> tuple[Method, dict[str, Any]]:
    """A trained method in eval mode, on the CPU, and the facts of its run.yaml."""
    facts = yaml.safe_load((folder / "run.yaml").read_text())
    node = facts["config"]
    options = methods.module(node["method"]["code"]).Options.model_validate(node["method"])
    config = RunConfig.model_validate({**node, "method": options})
    method = build(config, Training(**facts["training"]), weights="none")
    method.load_state_dict(load_file(folder / "model.safetensors"))
    return method.eval(), facts


def training_images(train: pd.DataFrame, config: RunConfig, method: Method) -> TrainingImages:
    """The packs of the sources and the streams of batches that `method` asks for."""
    packs = {name: Pack.open(name, config.image) for name in sorted(train["dataset"].unique())}
    streams = {
        name: samplers.make(
            sampler.kind,
            train["identity"].to_numpy(),
            train["domain"].to_numpy(),
            config.recipe.identities_per_domain,
            config.recipe.images_per_identity,
            name,
            config.seed,
        )
        for name, sampler in method.samplers.items()
    }
    return TrainingImages(train, packs, config.image, streams, config.seed)


def record(
    config: RunConfig,
    training: Training,
    domains: list[str],
    metadata: Mapping[str, Any],
    protocol: Path,
) -> dict[str, Any]:
    """What run.yaml says: all that decides the result, nothing that differs between repetitions."""
    node = config.model_dump(mode="json")
    return {
        "run": config.run,
        "config": node,
        "training": training._asdict(),
        "domains": list(domains),
        "data": {"protocol_sha256": sha256(protocol), **plain(metadata)},
        "config_sha256": hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest(),
        "versions": {name: version(name) for name in ("dgreid", "torch", "numpy", "pillow")}
        | {"python": platform.python_version()},
    }


def expenses(cost: Mapping[str, float], method: Method, device: torch.device) -> dict[str, Any]:
    """What cost.json says: time, speed, memory, size."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else kilobytes * 1024
    return {
        "seconds": round(cost["seconds"], 2),
        "images": int(cost["images"]),
        "images_per_second": round(cost["images"] / cost["seconds"], 2),
        "peak_memory_bytes": int(peak),
        "parameters": sum(parameter.numel() for parameter in method.parameters()),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


def plain(value: Any) -> Any:
    """Metadata in YAML's own types."""
    return json.loads(json.dumps(value, default=str))
