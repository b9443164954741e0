"""Find the speed of training, from what runs recorded or from a short measurement.

A speed, in training images per second, holds for one method, backbone, image size, precision (float32 or
float64), device and number of threads. Runs record a CPU only as "cpu", so numbers in reports/metrics may
come from another machine; measurements stored in data/costs.json name their machine.
"""

import json
import logging
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from dgreid import params
from dgreid.device import computing_in, prepare, threads
from dgreid.documents import parse_json
from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.images.loader import TrainingImages, batches, survey
from dgreid.methods.base import Method
from dgreid.paths import COSTS, RUNS
from dgreid.runs import metrics as results
from dgreid.runs.config import RunConfig
from dgreid.runs.folder import read_cost, read_facts
from dgreid.runs.run import build
from dgreid.runs.training import streams, task_of, training_images
from dgreid.training.loop import keys
from dgreid.training.progress import Progress

log = logging.getLogger(__name__)

SECONDS_TIMED = 3.0  # timed after one iteration of warm-up, or longer if the next iteration takes longer
FEWEST_IDENTITIES = 8  # identities of a domain that a batch may take, whatever the recipe says
SMALL_BATCH = 2  # identities per domain, and images of each, in the batches of slow runs


class Speed(NamedTuple):
    """Training images per second, and the source of the number: measured, runs or reports."""

    images_per_second: float
    source: str


def machine() -> tuple[str, str]:
    """Return the device a run would train on, as cost.json names it, and the GPU's or processor's name."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return name, name
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return "cpu", processor


def speed(run: RunConfig) -> Speed | None:
    """Return a run's known speed on this device: the last measurement, else a median of runs or reports."""
    device, processor = machine()
    here = _kind(run) | {"device": device, "threads": threads()}
    measured = [entry for entry in _measured() if (here | {"machine": processor}).items() <= entry.items()]
    if measured:
        return Speed(measured[-1]["images_per_second"], "measured")
    for source, entries in (("runs", _of_runs()), ("reports", _of_reports())):
        found = [entry["images_per_second"] for entry in entries if here.items() <= entry.items()]
        if found:
            return Speed(median(found), source)
    return None


def measure(run: RunConfig, domains: int) -> Speed:
    """Time a few iterations of a run on random images, and store the result in data/costs.json.

    Everything is as in training (batches, augmentation, optimiser steps), except that the training set has
    few identities; their number affects only the cost of the classifier. If an iteration with full batches
    takes longer than `SECONDS_TIMED`, batches of `SMALL_BATCH` identities per domain, and as many images of
    each, are timed instead.
    """
    few = {"identities_per_domain": SMALL_BATCH, "images_per_identity": SMALL_BATCH, "batch_size": None}
    entry = _time(_with_recipe(run, few), domains)
    whole_batches = _with_recipe(run, {})
    images = _images_of_an_iteration(whole_batches, domains)
    if images / entry["images_per_second"] < SECONDS_TIMED:
        entry = _time(whole_batches, domains)
    device, processor = machine()
    entry |= _kind(run)
    entry |= {
        "device": device,
        "machine": processor,
        "threads": threads(),
        "load": round(os.getloadavg()[0], 1),
    }
    if device == "cpu" and entry["load"] > (os.cpu_count() or 1) + 0.5:
        log.warning(
            "the machine is busy (load %.1f): the measured speed is lower than on an idle one.", entry["load"]
        )
    with whole(COSTS) as part:
        part.write_text(json.dumps([*_measured(), entry], indent=1) + "\n", encoding="utf-8")
    return Speed(entry["images_per_second"], "measured")


def _kind(run: RunConfig) -> dict[str, str]:
    names = {"method": run.method.name, "backbone": run.backbone.name, "image": run.image.name}
    return names | _precision({"precision": run.recipe.precision})


def _precision(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return float64 or, for all else that a recipe may say, float32."""
    return {"precision": "float64" if recipe.get("precision") == "float64" else "float32"}


def crowd(run: RunConfig, domains: int, least: int = FEWEST_IDENTITIES) -> pd.DataFrame:
    """Make training rows of few identities that every sampler can use, each identity seen by two cameras.

    Args:
        least: identities that a batch may take of a domain, whatever the recipe says.
    """
    recipe = run.recipe
    pooled = -(-(recipe.batch_size or 0) // (domains * recipe.images_per_identity))
    identities = 2 * max(recipe.identities_per_domain, pooled, least)
    identity = np.repeat(np.arange(domains * identities), 2 * recipe.images_per_identity)
    rows = {"dataset": "random", "row": np.arange(len(identity)), "identity": identity}
    return pd.DataFrame({**rows, "domain": identity // identities, "camera": np.arange(len(identity)) % 2})


def _on_a_crowd(run: RunConfig, domains: int) -> tuple[pd.DataFrame, Method]:
    """Make training rows of few identities, and build the run's method for them."""
    rows = crowd(run, domains)
    method = build(run.method, run.backbone, run.recipe, task_of(rows, run))
    most = max((sampler.identities or 0 for sampler in method.samplers.values()), default=0)
    if most > FEWEST_IDENTITIES:  # only the method knows what its samplers ask for
        rows = crowd(run, domains, most)
        method = build(run.method, run.backbone, run.recipe, task_of(rows, run))
    return rows, method


def _with_recipe(run: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """Return the run with a changed recipe, without pretrained weights, in one practically endless epoch."""
    recipe = run.recipe.model_copy(update={"weights": "none", "iterations_per_epoch": 10**6, **changes})
    return run.model_copy(update={"recipe": recipe})


def _images_of_an_iteration(run: RunConfig, domains: int) -> int:
    rows, method = _on_a_crowd(run, domains)
    return sum(batch_sizes(rows, run, method)[name] * count for name, count in method.draws(1).items())


def batch_sizes(rows: pd.DataFrame, run: RunConfig, method) -> dict[str, int]:
    """Count the images of a batch that the network processes, by sampler; each view counts."""
    return {
        name: len(stream.batch(0)) * len(method.samplers[name].views)
        for name, stream in streams(rows, run, method).items()
    }


def _time(run: RunConfig, domains: int) -> dict[str, Any]:
    """Measure images per second from iteration 1 on; in some methods iteration 0 does more work."""
    device = _device()
    rows, method = _on_a_crowd(run, domains)
    method = method.to(device)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(rows), run.image.height, run.image.width, 3), np.uint8)
    images = training_images(rows, run, method, {"random": pixels})
    with computing_in(method.dtype):
        return _time_steps(method, images, device)


def _time_steps(method: Method, images: TrainingImages, device: torch.device) -> dict[str, Any]:
    method.start(lambda: survey(images, device))
    method.train()
    upcoming, progress = range(1, 1000), Progress(method.samplers)
    source = batches(images, keys(method, upcoming, progress.taken), device)
    for iteration in upcoming:
        method.step(progress.take(source, method.draws(iteration)), iteration)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if iteration == 1:
            progress = Progress(method.samplers)  # the first iteration warms up and is not counted
        elif progress.seconds > SECONDS_TIMED:
            break
    rate = progress.images / progress.seconds
    source.close()  # also ends the processes that load ahead
    return {"images_per_second": round(rate, 2), "iterations": iteration - 1}


@cache
def _device() -> torch.device:
    return prepare(seed=0)  # a GPU is claimed once


def _measured() -> list[dict[str, Any]]:
    if not COSTS.is_file():
        return []
    try:
        entries = parse_json(COSTS.read_bytes())
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(_has_speed(entry) for entry in entries):
        raise UserError(f"{COSTS} is damaged: delete it, and measure again with `dgreid plan --measure`.")
    return entries


def _has_speed(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("images_per_second"), int | float)


def _of_runs() -> list[dict[str, Any]]:
    entries = []
    for path in sorted(RUNS.glob("*/cost.json")):
        try:
            config = read_facts(path.parent)["config"]
            names = {group: config[group]["name"] for group in ("method", "backbone", "image")}
            entry = names | _precision(config["recipe"]) | read_cost(path.parent)
        except (UserError, LookupError, TypeError) as error:
            log.debug("%s", error)
            entry = None
        if _has_speed(entry):
            entries.append(entry)
        else:
            log.warning("%s is damaged, so its speed is ignored; train the run again.", path.parent)
    return entries


def _of_reports() -> list[dict[str, Any]]:
    runs = results.every()
    names = ("method", "backbone", "image")
    return [{key: run[key] for key in names} | _precision(_recipe(run)) | run["cost"] for run in runs]


def _recipe(run: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's file as it is now, with the run's overrides; empty if it is gone."""
    name = run["recipe"]
    words = [word for word in run.get("changes", ()) if word.startswith("recipe.")]
    changed = dict(word.removeprefix("recipe.").split("=", 1) for word in words)
    return (params.read("recipe", name) if name in params.names("recipe") else {}) | changed
