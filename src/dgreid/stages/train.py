"""Stage train: train one run on its protocol -> data/runs/<run>/, complete or absent."""

import logging
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from dgreid import provenance
from dgreid.device import computing_in, prepare
from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.images.loader import batches, survey
from dgreid.methods.base import Method
from dgreid.paths import CHECKPOINTS, PROTOCOLS, RUNS, TRAIN
from dgreid.protocols import read_training
from dgreid.runs.config import RunConfig
from dgreid.runs.folder import write
from dgreid.runs.rehearsal import check_disk, rehearse
from dgreid.runs.run import build, decisive, record
from dgreid.runs.training import task_of, training_images
from dgreid.selection.code import digest, executed
from dgreid.training.checkpoint import Checkpoint, fingerprint, state_hash
from dgreid.training.loop import fit

log = logging.getLogger(__name__)

REHEARSED = 4  # images that the untrained method embeds, to show that the trained one can


def train(config: RunConfig) -> Path:
    """Train one run and write its folder: model.safetensors, run.yaml, history.csv, cost.json.

    A killed run resumes from its last checkpoint, with the same bits as if it had not been killed.

    Raises:
        UserError: data are missing, the run needs more domains or identities than there are, or a loss is not
            finite; or the trained run could not be stored, loaded or evaluated.
    """
    device, commit = prepare(config.seed), provenance.commit()  # now: the commit of the loaded code
    rows, data = read_training(PROTOCOLS / config.protocol.name)
    data["sha256"] = sha256(PROTOCOLS / config.protocol.name / TRAIN)
    task = task_of(rows, config, data["domains"])
    method = build(config.method, config.backbone, config.recipe, task).to(device)

    images = training_images(rows, config, method)
    start = state_hash(method)  # random weights, or those of the weight file
    facts = record(config, task, data | {"initial_weights": start})
    facts["code_sha256"] = digest("train", config)
    rehearse(method, facts, next(survey(images, device)).images[:REHEARSED])
    mark = fingerprint(decisive(config), executed("train", config), data["sha256"], method, device)
    checkpoint = Checkpoint(CHECKPOINTS / config.run / "last.pt", mark)
    saves = config.recipe.checkpoint_every < task.iterations
    check_disk(method, checkpoint.path, RUNS / config.run, saves)
    with computing_in(method.dtype):
        history, cost = fit(
            method,
            lambda keys: batches(images, keys, device),
            task,
            checkpoint,
            config.recipe.checkpoint_every,
            title=config.run,
            survey=lambda: survey(images, device),
        )

    state = {name: tensor.cpu().contiguous() for name, tensor in method.state_dict().items()}
    check_finite(state, config.run)
    with whole(RUNS / config.run) as folder:
        # not in run.yaml, which is the same in every repetition
        made = {"commit": commit, "date": provenance.now()}
        write(folder, state, facts, history[columns(history)], expenses(cost, method, device) | made)
    checkpoint.remove()
    log.info("%s: %d iterations, %.1f s", config.run, task.iterations, cost["seconds"])
    return RUNS / config.run


def columns(history: pd.DataFrame) -> list[str]:
    """Put the method's first scalar, its loss, last: `dvc plots` draws the history's last column."""
    named = list(history.columns)
    place = named.index("learning_rate") + 1
    return [*named[:place], *named[place + 1 :], named[place]]


def check_finite(state: Mapping[str, torch.Tensor], run: str) -> None:
    """Refuse to save non-finite weights: the loss after the last update is never computed."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(
                f"{run}: after training {name} is not finite; lower recipe.learning_rate_factor or "
                "method.learning_rate."
            )


def expenses(cost: Mapping[str, float], method: Method, device: torch.device) -> dict[str, Any]:
    """Make the contents of cost.json: time, speed, memory, size."""
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
        "precision": str(method.dtype).removeprefix("torch."),
    }
