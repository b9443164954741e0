"""Check before a training that the trained run could be stored, loaded and used to embed images.

The checks use a second network, built from run.yaml as a later stage would build it. The network that will be
trained, its statistics and the random numbers do not change.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from dgreid.device import computing_in
from dgreid.errors import UserError
from dgreid.files import check_room
from dgreid.methods.base import Method
from dgreid.runs.run import Misfit, rebuilt
from dgreid.trouble import short_of_memory

SLOTS = {"SGD": 1, "Adam": 2, "AdamW": 2}  # numbers that an optimiser keeps for each weight


def rehearse(method: Method, facts: Mapping[str, Any], images: Tensor) -> None:
    """Load the untrained weights as `restore` will load the trained ones, and embed a few images with them.

    Args:
        method: that will be trained.
        facts: that run.yaml will hold.
        images: (N, 3, H, W), normalised, on the method's device, N of at least 2.

    Raises:
        UserError: the run could not be loaded, or its embeddings not be compared.
    """
    run = facts["run"]
    with undisturbed():
        try:
            copy = rebuilt(yaml.safe_load(yaml.safe_dump(dict(facts), sort_keys=False)))
            copy.load_state_dict(method.state_dict())
        except (Misfit, RuntimeError, yaml.YAMLError) as error:  # RuntimeError: the tensors do not fit
            if short_of_memory(error):
                raise
            first = str(error.__cause__ if isinstance(error, Misfit) else error).strip().splitlines()
            why = " ".join(line.strip() for line in first[:2]).rstrip(".")
            raise UserError(
                f"{run} could not be loaded after its training, because a network built from its run.yaml "
                f"differs ({why}): let the method size its layers by what Task holds."
            ) from error
        check_embeddings(copy.to(images.device).eval(), images, run)


@torch.inference_mode()
def embedded(method: Method, images: Tensor, run: str) -> Tensor:
    """Embed some images, (N, 3, H, W) -> (N, ...).

    Raises:
        UserError: there is not one embedding per image.
    """
    with computing_in(method.dtype):
        found = method.embed(images)
    if not isinstance(found, Tensor) or found.dim() < 2 or len(found) != len(images):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(
            f"run {run}: its method embeds a batch, not image by image ({shape} for {len(images)} images): "
            "embeddings cannot be stored; its `embed` has to return one tensor (images, ...)."
        )
    return found


@torch.inference_mode()
def check_embeddings(method: Method, images: Tensor, run: str) -> None:
    """Embed some images with an untrained method, in eval mode, and compare them.

    Raises:
        UserError: there is not one finite embedding per image, or their similarities are no table of numbers.
    """
    found = embedded(method, images, run)
    if type(method).similarity is Method.similarity and found.dim() != 2:
        raise UserError(
            f"run {run}: its embeddings have {found.dim() - 1} axes, {tuple(found.shape[1:])}, and a cosine "
            "compares vectors: let `embed` return (images, d), or give the method a `similarity` of its own."
        )
    if not bool(found.isfinite().all()):
        raise UserError(
            f"run {run}: before any training its embeddings are not finite: look at its weights "
            "(recipe.weights) and at its `embed`."
        )
    found = found.to(method.dtype)
    with computing_in(method.dtype):
        scores, wanted = method.similarity(found[:2], found), (2, len(found))
    if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted or not bool(scores.isfinite().all()):
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(
            f"run {run}: its `similarity` of 2 and {len(found)} embeddings is {shape} or not finite; it must "
            f"be finite and {wanted}."
        )


def check_disk(method: Method, checkpoint: Path, folder: Path, saves: bool) -> None:
    """Refuse a training whose checkpoints or model would not find room.

    Args:
        checkpoint: the file that they are written to, one beside the last.
        folder: of the finished run.
        saves: whether there will be checkpoints.

    Raises:
        UserError: the disk is too full.
    """
    model = _bytes(method.state_dict().values())
    held = sum(
        SLOTS.get(type(each).__name__, 1)
        * _bytes(weight for group in each.param_groups for weight in group["params"])
        for each in method.optimisers.values()
    )
    if saves:  # the last one stays until the next is whole; a model, written beside one, is never larger
        count = 1 if checkpoint.is_file() else 2
        check_room(checkpoint, count * (model + held), "this training, for its checkpoints,")
    check_room(folder, model, "this training, for its model,")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Give the global generators of Python, NumPy and torch back as they were."""
    state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(state[0])
            np.random.set_state(state[1])


def _bytes(tensors) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)
