"""Build a run from its configuration, record it, and restore it from its folder in data/runs."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from dgreid import methods
from dgreid.device import computing_in
from dgreid.errors import UserError, unknown
from dgreid.images.config import ImageConfig
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks import backbones
from dgreid.networks.config import BackboneOptions
from dgreid.paths import RUNS
from dgreid.runs.config import RunConfig
from dgreid.runs.folder import MODEL, check_trained, read_facts, read_model
from dgreid.schema import deciding
from dgreid.trouble import short_of_memory

OTHER_VERSION = "damaged or from another version: train the run again"


class Misfit(Exception):
    """The facts of a run are not those of a run of this version."""


def find(run: str) -> Path:
    """Find the folder of a run in data/runs.

    Raises:
        UserError: no run has that name; the sentence lists the trained runs.
    """
    if not (RUNS / run).is_dir():
        raise unknown("run", run, (path.parent.name for path in RUNS.glob("*/model.safetensors")))
    return RUNS / run


def build(
    options: MethodOptions,
    backbone: BackboneOptions,
    recipe: RecipeConfig,
    task: Task,
    weights: str | None = None,
) -> Method:
    """Build an untrained method on the CPU; `weights`, if given, replaces `recipe.weights`.

    Random weights are generated in the recipe's precision, because rounding them to float32 would differ from
    processor to processor.
    """
    with computing_in(recipe.dtype):
        network = backbones.build(backbone, recipe.weights if weights is None else weights, task.image)
        method = methods.module(options.code).METHOD(options, network, recipe, task)
    method.dtype = recipe.dtype
    return method


def restore(folder: Path) -> tuple[Method, dict[str, Any]]:
    """Load a trained method, in eval mode on the CPU, and the contents of its run.yaml.

    Raises:
        UserError: the folder holds no trained run, or one that is damaged.
    """
    check_trained(folder)
    facts = read_facts(folder)
    try:
        method = rebuilt(facts)
        method.load_state_dict(read_model(folder, facts))
    except Misfit as error:
        raise UserError(f"{folder}: its run.yaml is {error}.") from error
    except RuntimeError as error:  # the tensors do not fit
        if short_of_memory(error):
            raise
        raise UserError(f"{folder}: its {MODEL} is {OTHER_VERSION}.") from error
    return method.eval(), facts


def rebuilt(facts: Mapping[str, Any]) -> Method:
    """Build the method that run.yaml describes, untrained, on the CPU.

    Raises:
        Misfit: the facts are not such that this version can build it.
    """
    try:
        node, task = facts["config"], Task(**facts["training"])
        image = ImageConfig.model_validate(node["image"])
        task = task._replace(
            membership=_from_ranges(task.membership, task.classes),
            domain_names=tuple(task.domain_names),
            image=(image.height, image.width),
        )
        options, backbone = methods.read(node["method"]), backbones.read(node["backbone"])
        recipe = RecipeConfig.model_validate(node["recipe"])
    except (LookupError, TypeError, ValueError, UserError) as error:
        raise Misfit(OTHER_VERSION) from error
    return build(options, backbone, recipe, task, weights="none")


def record(config: RunConfig, task: Task, data: Mapping[str, Any]) -> dict[str, Any]:
    """Make the contents of run.yaml: all that decides the result, nothing that differs between repetitions.

    The protocol is recorded only as far as training reads it: its targets may change without a new training.
    """
    return {
        "run": config.run,
        "config": chosen(config),
        "training": {  # the image size is part of the configuration
            key: list(value) if isinstance(value, tuple) else value
            for key, value in task._asdict().items()
            if key != "image"
        }
        | {"membership": _ranges(task.membership)},
        "data": dict(data),
        "config_sha256": configuration_hash(config),
        "versions": {name: version(name) for name in ("dgreid", "torch", "numpy", "pillow")}
        | {"python": platform.python_version()},
    }


def configuration_hash(config: RunConfig) -> str:
    """Compute the SHA-256 of the settings that decide a run's result, in hexadecimal."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()


def chosen(config: RunConfig) -> dict[str, Any]:
    """Return the resolved configuration of a run, with its protocol by name."""
    return config.model_dump(mode="json") | {"protocol": config.protocol.name}


def decisive(config: RunConfig, recorded: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings of a run, or those in its run.yaml, that decide its result: no title, say."""
    return deciding(config, chosen(config) if recorded is None else recorded)


def _ranges(membership: torch.Tensor | None) -> list[str]:
    """Write each domain's identities as a line such as `0-89, 95`, from a mask (domains, classes) bool."""
    lines = []
    edge = torch.zeros(1, dtype=torch.int)
    for row in () if membership is None else membership.cpu():
        edges = torch.diff(row.int(), prepend=edge, append=edge)  # (classes + 1,)
        starts, stops = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
        pairs = zip(starts, stops, strict=True)
        lines.append(", ".join(f"{a}-{b - 1}" if b - a > 1 else str(a) for a, b in pairs))
    return lines


def _from_ranges(lines: Sequence[str], classes: int) -> torch.Tensor:
    """Read the lines of `_ranges` back into a mask (domains, classes) bool."""
    membership = torch.zeros(len(lines), classes, dtype=torch.bool)
    for row, line in zip(membership, lines, strict=True):
        for part in filter(None, line.split(", ")):
            first, _, last = part.partition("-")
            row[int(first) : int(last or first) + 1] = True
    return membership
