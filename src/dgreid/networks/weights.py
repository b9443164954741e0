"""Load trained weights into a backbone: `none`, `imagenet`, a torchvision name, another word, or a path.

`imagenet` looks for data/weights/NAME_imagenet.{safetensors,pt,pth}, with the network's NAME, such as
mobilenet_v2_x1_0, or resnet50 with any strides and IBN variant; then it asks torchvision for IMAGENET1K_V1,
the weights that papers started from. That name, or another of torchvision's such as IMAGENET1K_V2, always
asks torchvision. Another word, such as msmt17, means data/weights/NAME_msmt17.* alone. A MobileNetV2 file may
use our own names, torchvision's or torchreid's; a file for an IBN-ResNet may use our own, those of a plain
ResNet or IBN-Net's; OSNet's names are torchreid's. Every tensor must fit.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dgreid.errors import UserError, unknown
from dgreid.networks.backbone import COUNTER, Backbone
from dgreid.paths import WEIGHTS

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pt", ".pth")
DEFAULT = "IMAGENET1K_V1"
WORD = re.compile(r"[\w-]+")  # the data that weights were trained on; a path has a suffix


def load(network: Backbone, weights: str, name: str) -> None:
    """Load `weights` into the backbone that params/ calls `name`, in place; "none" leaves it unchanged.

    Raises:
        UserError: the file is missing or unreadable, or its tensors do not fit the network.
    """
    if weights == "none":
        return
    if weights.startswith("IMAGENET1K_"):
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


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors, .pt or .pth file, by name.

    If the file is a checkpoint, its `state_dict` is read; the prefix `module.` (of DataParallel) is removed.

    Raises:
        UserError: there is no such file, it has another suffix, or it is not a mapping of names to tensors.
    """
    if not path.is_file():
        raise UserError(
            f"weights {path}: no such file; give none, imagenet, a torchvision name such as "
            f"{DEFAULT}, or the path of a weight file."
        )
    if path.suffix not in SUFFIXES:
        raise UserError(f"weights {path}: unknown suffix; known are {', '.join(SUFFIXES)}.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:  # weights_only: never executes code from the file
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise any error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"weights {path}: not a readable weight file ({reason}); get it again.") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"weights {path}: is not a plain mapping of names to tensors; save a state_dict.")
    return {name.removeprefix("module."): value for name, value in state.items()}


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
