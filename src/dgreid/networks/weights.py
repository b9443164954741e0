"""Load trained weights into a backbone: `none`, `drawn`, `imagenet`, a torchvision name, a word, or a path.

`drawn` means data/start/NAME.safetensors, which stage pretrain trains on drawn things.

`imagenet` looks for data/weights/NAME_imagenet.{safetensors,pt,pth}, with the network's NAME, such as
mobilenet_v2_x1_0, or resnet50 with any strides and IBN variant; then it asks torchvision for IMAGENET1K_V1,
the weights that papers started from. That name, or another of torchvision's such as IMAGENET1K_V2, always
asks torchvision. Another word, such as msmt17, means data/weights/NAME_msmt17.* alone. A MobileNetV2 file may
use our own names, torchvision's or torchreid's; a file for an IBN-ResNet may use our own, those of a plain
ResNet or IBN-Net's; OSNet's names are torchreid's. Every tensor must fit.
"""

import logging
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dgreid import sealed
from dgreid.errors import UserError, unknown
from dgreid.networks.backbone import COUNTER, Backbone
from dgreid.paths import NO_START, START, WEIGHTS

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pt", ".pth")
CORES = ("core", "_core")
DEFAULT = "IMAGENET1K_V1"
DRAWN = "drawn"
WORD = re.compile(r"[\w-]+")  # the data that weights were trained on; a path has a suffix
WITHIN = ("state_dict", "model")  # where checkpoints of torchreid and fast-reid have them
PREFIX = re.compile(r"^(module\.|_orig_mod\.)+")  # of DataParallel and of compiled networks
FOREIGN = re.compile(r"GLOBAL ([\w.]+)")  # in torch's refusal of a pickled object
NUMBERS = [  # of NumPy, such as a score beside the weights; pickles name functions by their old or new place
    np.dtype,
    np.ndarray,
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd"),
    *((np.dtype(float).type(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in CORES),
    *((np.zeros(1).__reduce__()[0], f"numpy.{core}.multiarray._reconstruct") for core in CORES),
]


def load(network: Backbone, weights: str, name: str) -> None:
    """Load `weights` into the backbone that params/ calls `name`, in place; "none" leaves it unchanged.

    Raises:
        UserError: the file is missing or unreadable, or its tensors do not fit the network.
    """
    if weights == "none":
        return
    if weights == DRAWN:
        state, source = _drawn(name), str(start_of(name))
    elif weights.startswith("IMAGENET1K_"):
        state, source = _download(network, name, weights), f"torchvision's {weights}"
    elif not WORD.fullmatch(weights):
        state, source = read(Path(weights)), weights
    elif local := next((path for path in _candidates(network, name, weights) if path.exists()), None):
        state, source = read(local), str(local)
    elif weights == "imagenet":
        state, source = _download(network, name, DEFAULT), f"torchvision's {DEFAULT}"
    else:
        raise UserError(
            f"weights {weights}: there is no {_candidates(network, name, weights)[0]} (or .pt, .pth); put it "
            f"there, or give none, imagenet, a torchvision name such as {DEFAULT}, or the path of a file."
        )
    fit(network, state, source)


def start_of(backbone: str, weights: str = DRAWN) -> Path:
    """Return the file that a run of this backbone in params/ begins with, as far as a stage makes it."""
    return START / f"{backbone}.safetensors" if weights == DRAWN else NO_START


def _drawn(backbone: str) -> dict[str, Tensor]:
    """Read the weights of a backbone that were trained on drawn things."""
    path, make = start_of(backbone), f"make it with `dgreid pretrain backbone={backbone}`"
    with sealed.reading(path, make):
        sealed.check(path)
        return read(path) if path.is_file() else {}


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors, .pt or .pth file, by name.

    If the file is a checkpoint, its `state_dict` is read; or its `model`; the prefixes of DataParallel
    and of compiled networks are removed.

    Raises:
        UserError: there is no such file, it has another suffix, cannot be read, holds more than plain values,
            is not a mapping of names to tensors, or has numbers that are not finite.
    """
    if not path.is_file():
        raise UserError(
            f"weights {path}: no such file; give none, imagenet, a torchvision name such as "
            f"{DEFAULT}, or the path of a weight file."
        )
    if not path.name.endswith((*SUFFIXES, ".pth.tar")):
        raise UserError(f"weights {path}: unknown suffix; known are {', '.join(SUFFIXES)}.")
    state = _load(path)
    for key in WITHIN:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
            break
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"weights {path}: is not a plain mapping of names to tensors; save a state_dict.")
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(f"weights {path}: {name} holds NaN or infinite numbers; take another file.")
    return {PREFIX.sub("", name): value for name, value in state.items()}


def _load(path: Path) -> Any:
    """What a weight file holds; never executes code from it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMBERS):
            warnings.simplefilter("ignore")  # of numbers made by an earlier NumPy
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise any error
        if isinstance(error, OSError) and error.errno:
            raise UserError(
                f"weights {path}: cannot be read ({os.strerror(error.errno)}); fix that and run it again."
            ) from error
        if found := FOREIGN.search(str(error)):
            raise UserError(
                f"weights {path}: not a readable weight file, it holds objects of {found[1]}, which would "
                "execute code; load it with its own program and save its state_dict alone."
            ) from error
        reason = (str(error) or type(error).__name__).split(". ")[0].splitlines()[0]
        if isinstance(error, UnpicklingError):  # whose text gives advice that executes code
            with open(path, "rb") as file:
                reason = f"it begins with {file.read(24)!r}"
        raise UserError(f"weights {path}: not a readable weight file ({reason}); get it again.") from error


def fit(network: Backbone, state: Mapping[str, Tensor], source: str) -> None:
    """Load the tensors of `state`, translated to the network's names, without classifiers.

    Raises:
        UserError: tensors are missing, unknown or of another shape; it names the first three.
    """
    state = {
        name: value
        for name, value in state.items()
        if not name.startswith(network.classifiers) and not name.endswith(COUNTER)
    }
    state = network.translate(state)
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
    problems = [f"{name} missing" for name in wanted if name not in state]
    problems += [f"{name} unknown" for name in state if name not in wanted]
    problems += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(
            f"weights {source} do not fit {type(network).__name__}: {'; '.join(problems[:3])}{more}; "
            f"choose the backbone they were trained with."
        )
    network.load_state_dict(state, strict=False)
    log.info("%d tensors of %s loaded into %s", len(state), source, type(network).__name__)


def _candidates(network: Backbone, name: str, word: str = "imagenet") -> list[Path]:
    return [WEIGHTS / f"{network.weight_name or name}_{word}{suffix}" for suffix in SUFFIXES]


def _download(network: Backbone, name: str, weights: str) -> dict[str, Tensor]:
    """Download torchvision's ImageNet weights of this name."""
    where = f"{_candidates(network, name)[0]} (or .pt, .pth)"
    theirs = network.torchvision_name
    if theirs is None:
        hint = f"; {network.weight_hint}" if network.weight_hint else ""
        raise UserError(f"no ImageNet weights of {name} to download: put the file at {where}{hint}.")
    from dgreid.networks.vision import models  # late: slow to import

    known = models.get_model_weights(theirs)
    if weights not in known.__members__:
        raise unknown("weights", weights, known.__members__)
    try:
        state = known[weights].get_state_dict(progress=False, check_hash=True)
    except OSError as error:  # URLError is one
        raise UserError(f"could not download {theirs} ({error}): put the file at {where}.") from error
    return dict(state)
