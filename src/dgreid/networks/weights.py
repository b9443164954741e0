"""Trained weights into a backbone: `none`, `imagenet`, torchvision's name, or the path of a file.

`imagenet` looks for data/weights/NAME_imagenet.{safetensors,pt,pth}, NAME being the network's, such as
mobilenet_v2_x1_0 or resnet50 whatever its strides and IBN variant, then asks torchvision for IMAGENET1K_V1,
the recipe papers started from. That name, or another of torchvision's such as IMAGENET1K_V2, always asks
torchvision. A MobileNetV2 file may use our own names, torchvision's or torchreid's; a file for an IBN-ResNet
our own, those of a plain ResNet or IBN-Net's. Everything has to fit.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dgreid.errors import UserError, unknown
from dgreid.networks.backbones.mobilenet_v2 import LAYERS, STAGES, MobileNetV2
from dgreid.networks.config import BackboneConfig
from dgreid.networks.norms import IBN, InstanceNorm2d
from dgreid.paths import WEIGHTS

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pt", ".pth")
DEFAULT = "IMAGENET1K_V1"
CLASSIFIERS = ("fc.", "classifier.")  # of ImageNet's classes: never used
COUNTER = "num_batches_tracked"  # read by no norm with a fixed momentum
NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


def load(network: nn.Module, config: BackboneConfig, weights: str) -> None:
    """Load `weights` into `network`, in place; "none" leaves it as drawn.

    Raises:
        UserError: the file is missing or unreadable, or its tensors do not fit the network.
    """
    if weights == "none":
        return
    if weights.startswith("IMAGENET1K_"):
        state, source = _download(config, weights), f"torchvision's {weights}"
    elif weights != "imagenet":
        state, source = read(Path(weights)), weights
    elif local := next((path for path in _candidates(config) if path.exists()), None):
        state, source = read(local), str(local)
    else:
        state, source = _download(config, DEFAULT), f"torchvision's {DEFAULT}"
    fit(network, state, source, config.ibn_weights)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pt or .pth file, by name.

    A checkpoint's `state_dict` is looked into, and `module.` (of DataParallel) dropped.

    Raises:
        UserError: no such file, another suffix, or not a mapping of names to tensors.
    """
    if not path.is_file():
        raise UserError(
            f"weights {path}: no such file; give none, imagenet, a name of torchvision's such as "
            f"{DEFAULT}, or the path of a weight file."
        )
    if path.suffix not in SUFFIXES:
        raise UserError(f"weights {path}: unknown suffix; known are {', '.join(SUFFIXES)}.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:  # never executes code from the file
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything at all
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"weights {path}: not a readable weight file ({reason}); get it again.") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"weights {path}: holds no plain mapping of names to tensors; save a state_dict.")
    return {name.removeprefix("module."): value for name, value in state.items()}


def fit(network: nn.Module, state: Mapping[str, Tensor], source: str, ibn_weights: str = "sliced") -> None:
    """Give `network` the tensors of `state`, renamed where needed; classifiers are left out.

    `ibn_weights` says what the norms of IBN blocks get where the file has plain batch norms: "sliced", the
    affine map of their channels (and the batch halves the running statistics), or "fresh", nothing.

    Raises:
        UserError: missing, surplus or wrongly shaped tensors, the first of them named.
    """
    state = {
        name: value
        for name, value in state.items()
        if not name.startswith(CLASSIFIERS) and not name.endswith(COUNTER)
    }
    if isinstance(network, MobileNetV2):
        state = _mobilenet_v2_names(network, state)
    state = _ibn_norms(network, state, ibn_weights)
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


def _ibn_norms(network: nn.Module, state: dict[str, Tensor], ibn_weights: str) -> dict[str, Tensor]:
    """The state with what the IBN and instance norms of `network` are to get in place of plain batch norms.

    Norms that variant b has where a plain ResNet has none stay at weight 1, bias 0.
    """
    state, plain, added = _renamed(state, _ibn_net_table(network)), 0, 0
    for name, norm in network.named_modules():
        if not isinstance(norm, (IBN, InstanceNorm2d)):
            continue
        if all(f"{name}.{tensor}" in state for tensor in NORM_TENSORS):
            old = {tensor: state.pop(f"{name}.{tensor}") for tensor in NORM_TENSORS}
            new = norm.state_dict() if ibn_weights == "fresh" else _sliced(norm, old)
            state |= {f"{name}.{tensor}": value for tensor, value in new.items() if COUNTER not in tensor}
            plain += 1
        elif name.endswith("output_norm") and f"{name}.weight" not in state:
            state |= {f"{name}.{tensor}": value for tensor, value in norm.state_dict().items()}
            added += 1
    if plain or added:
        log.info("plain batch norms into %d IBN norms: %s; %d norms added afresh", plain, ibn_weights, added)
    return state


def _sliced(norm: nn.Module, plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an IBN or instance norm takes from a plain batch norm of its width."""
    if not isinstance(norm, IBN):
        return {"weight": plain["weight"], "bias": plain["bias"]}
    instance = {f"instance.{tensor}": plain[tensor][: norm.split] for tensor in ("weight", "bias")}
    return instance | {f"batch.{tensor}": value[norm.split :] for tensor, value in plain.items()}


def _ibn_net_table(network: nn.Module) -> dict[str, str]:
    """IBN-Net's module names -> ours; its other names are torchvision's, which are ours."""
    table = {}
    for name, norm in network.named_modules():
        if isinstance(norm, IBN):
            table |= {f"{name}.IN": f"{name}.instance", f"{name}.BN": f"{name}.batch"}
        elif isinstance(norm, InstanceNorm2d) and name.endswith("output_norm"):
            table[f"{name.removesuffix('output_norm')}IN"] = name
    return table


def _renamed(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors under the names that `table` has for their modules; others unchanged."""
    renamed = {}
    for name, value in state.items():
        module, dot, tensor = name.rpartition(".")
        renamed[f"{table.get(module, module)}{dot}{tensor}"] = value
    return renamed


def _mobilenet_v2_names(network: MobileNetV2, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a torchvision or torchreid MobileNetV2 under our names; others unchanged."""
    if "features.0.0.weight" in state:
        table, layout = _torchvision_table(), "torchvision"
    elif "conv1.conv.weight" in state:
        table, layout = _torchreid_table(), "torchreid"
    else:
        return state
    renamed = _renamed(state, table)
    log.info("%d tensors renamed from the %s layout", len(renamed), layout)
    stem = {"stem.bn.weight", "stem.bn.bias"}  # without them the file does not fit anyway
    if layout == "torchvision" and stem <= renamed.keys():
        renamed |= _identity_expansion(network, renamed)
        log.info("first block: an identity stands for the expansion that torchvision does not have")
    return renamed


def _identity_expansion(network: MobileNetV2, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A 1x1 convolution and a norm that change nothing; the ReLU6 after them follows another ReLU6.

    With running statistics any norm whose affine map undoes them is the identity. In training a norm meets
    the batch's statistics instead, so its own have to be close to those: the stem's norm puts out Gaussians
    of mean `bias` and deviation `weight`, about, and ReLU6 clips them. With mean 0 and deviation 1 in their
    place the first step would cut away what lies below the mean.
    """
    channels = network.layer1[0].expand.conv.out_channels
    mean, variance = _clipped_gaussian(state["stem.bn.bias"], state["stem.bn.weight"].abs())
    scale = (variance + network.layer1[0].expand.bn.eps).sqrt()
    return {
        "layer1.0.expand.conv.weight": torch.eye(channels)[:, :, None, None],
        "layer1.0.expand.bn.weight": scale,
        "layer1.0.expand.bn.bias": mean,
        "layer1.0.expand.bn.running_mean": mean,
        "layer1.0.expand.bn.running_var": variance,
    }


def _clipped_gaussian(mean: Tensor, deviation: Tensor, top: float = 6.0) -> tuple[Tensor, Tensor]:
    """Mean and variance of a Gaussian clipped to [0, top], each (C,): what ReLU6 makes of a norm's output."""
    mean, deviation = mean.double(), deviation.double().clamp_min(1e-12)
    low, high = -mean / deviation, (top - mean) / deviation
    above = torch.special.ndtr(-high)
    inside = 1 - torch.special.ndtr(low) - above
    at_low, at_high = (torch.exp(-(x**2) / 2) / (2 * torch.pi) ** 0.5 for x in (low, high))
    first = mean * inside + deviation * (at_low - at_high) + top * above
    second = (mean**2 + deviation**2) * inside + top**2 * above
    second += deviation * (mean * (at_low - at_high) - top * at_high)
    return first.float(), (second - first**2).clamp_min(0).float()


def _torchvision_table() -> dict[str, str]:
    """torchvision's module names -> ours; its first block lacks the expansion."""
    table = {"features.0.0": "stem.conv", "features.0.1": "stem.bn"}
    blocks = [name for stage in _block_names() for name in stage]
    for index, ours in enumerate(blocks):
        theirs = f"features.{index + 1}.conv"
        parts = ("depthwise",) if index == 0 else ("expand", "depthwise")
        for place, part in enumerate(parts):
            table[f"{theirs}.{place}.0"] = f"{ours}.{part}.conv"
            table[f"{theirs}.{place}.1"] = f"{ours}.{part}.bn"
        table[f"{theirs}.{len(parts)}"] = f"{ours}.project.conv"
        table[f"{theirs}.{len(parts) + 1}"] = f"{ours}.project.bn"
    head = f"features.{len(blocks) + 1}"
    return table | {f"{head}.0": "head.conv", f"{head}.1": "head.bn"}


def _torchreid_table() -> dict[str, str]:
    """torchreid's module names -> ours: conv1, then one module per stage, then the head."""
    table = {"conv1.conv": "stem.conv", "conv1.bn": "stem.bn"}
    for stage, blocks in enumerate(_block_names()):
        for repeat, ours in enumerate(blocks):
            theirs = f"conv{stage + 2}.{repeat}"
            for their, our in (("conv1", "expand"), ("dwconv2", "depthwise")):
                table[f"{theirs}.{their}.conv"] = f"{ours}.{our}.conv"
                table[f"{theirs}.{their}.bn"] = f"{ours}.{our}.bn"
            table[f"{theirs}.conv3.0"] = f"{ours}.project.conv"
            table[f"{theirs}.conv3.1"] = f"{ours}.project.bn"
    head = f"conv{len(STAGES) + 2}"
    return table | {f"{head}.conv": "head.conv", f"{head}.bn": "head.bn"}


def _block_names() -> list[list[str]]:
    """Our names of a MobileNetV2's blocks, a list for each of the paper's seven stages."""
    names = []
    for layer, stages in enumerate(LAYERS):
        first = 0
        for stage in stages:
            repeats = STAGES[stage][2]
            names.append([f"layer{layer + 1}.{first + repeat}" for repeat in range(repeats)])
            first += repeats
    return names


def _candidates(config: BackboneConfig) -> list[Path]:
    width = f"{config.width:.2f}".removesuffix("0").replace(".", "_")
    names = {"mobilenet_v2": f"mobilenet_v2_x{width}", "resnet": f"resnet{config.depth}"}
    name = names.get(config.architecture, config.name)
    return [WEIGHTS / f"{name}_imagenet{suffix}" for suffix in SUFFIXES]


def _download(config: BackboneConfig, name: str) -> dict[str, Tensor]:
    """torchvision's own ImageNet weights of this name."""
    where = f"{_candidates(config)[0]} (or .pt, .pth)"
    net = {"mobilenet_v2": "mobilenet_v2", "resnet": f"resnet{config.depth}"}.get(config.architecture)
    if net is None or (net == "mobilenet_v2" and config.width != 1):
        raise UserError(
            f"no ImageNet weights of {config.name} to download: put the file at {where}; for "
            "MobileNetV2 x1.4 that is torchreid's mobilenetv2_1.4.pth, its layout is read."
        )
    from dgreid.networks.vision import models  # late: slow to import

    known = models.get_model_weights(net)
    if name not in known.__members__:
        raise unknown("weights", name, known.__members__)
    try:
        state = known[name].get_state_dict(progress=False, check_hash=True)
    except OSError as error:  # URLError is one
        raise UserError(f"could not download {net} ({error}): put the file at {where}.") from error
    return dict(state)
