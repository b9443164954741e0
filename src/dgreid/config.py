"""The typed schema of `params/`: composed by Hydra, validated once, at the door.

`load_run(["method=erm", "backbone=resnet_tiny", ...])` gives a `RunConfig`; an unknown key or a value
of the wrong type is a `UserError` that names the key, the file's group and the nearest known key.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field
from yaml import YAMLError

from dgreid.errors import UserError, unknown
from dgreid.schema import Strict, read_yaml, reason, validate

PARAMS = Path("params")  # relative to the project root, where every command runs
GROUPS = ("method", "backbone", "protocol", "recipe", "image")


class MethodOptions(Strict):
    """What every method has; a method's own `Options` adds its switches."""

    name: str = Field(description="file stem in params/method, part of the run's name")
    code: str = Field(description="module in src/dgreid/methods")
    title: str = Field(description="row title in tables")
    provenance: Literal["baseline", "as released", "as written", "reconstruction"]
    learning_rate: float = Field(gt=0, description="base rate; the recipe multiplies it by its factor")


class BackboneConfig(Strict):
    """A feature extractor; see `dgreid.networks.backbones`."""

    name: str
    architecture: str = Field(description="module in src/dgreid/networks/backbones")
    width: float = Field(1.0, gt=0, description="channel multiplier (MobileNetV2)")
    depth: int | None = Field(None, description="number of layers (ResNet)")
    last_stride: Literal[1, 2] = 1
    stem_activation: bool = Field(True, description="an activation after the stem's norm")
    running_statistics: Literal["loaded", "fresh"] = Field(
        "loaded", description="of batch norms: the weight file's, or 0 and 1 whatever the file says"
    )
    ibn: Literal["none", "a", "b"] = Field("none", description="IBN-Net variant (ResNet)")
    ibn_weights: Literal["sliced", "fresh"] = Field(
        "sliced",
        description="norms of IBN blocks from plain weights: their channels' affine map, or weight 1, bias 0",
    )


class ImageConfig(Strict):
    """Input size and training augmentation."""

    name: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    padding: int = Field(10, ge=0, description="zero padding before the random crop, pixels")
    color_jitter: tuple[float, float, float, float] | None = Field(
        None, description="brightness, contrast, saturation, hue"
    )
    occlusion: float = Field(
        0, ge=0, le=1, description="a white square's greatest side, relative to the image's shorter one"
    )


class RecipeConfig(Strict):
    """Budget and optimisation shared by the methods that are compared: the fair-comparison switch."""

    name: str
    epochs: int = Field(gt=0)
    iterations_per_epoch: int | None = Field(
        None, gt=0, description="null: one pass of the naive identity sampler"
    )
    optimiser: Literal["sgd", "adamw", "adam"] = Field(
        "sgd", description="adam: decay is part of the gradient"
    )
    learning_rate_factor: float = Field(1.0, gt=0, description="multiplies the method's learning_rate")
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_factor: float = Field(2.0, description="learning rate of biases, relative")
    warmup_epochs: float = 10
    warmup_factor: float = 0.01
    schedule: Literal["iteration", "epoch"] = Field(
        "iteration", description="when the rate moves: at every iteration, or only where an epoch begins"
    )
    milestones: tuple[float, ...] = Field((40, 70), description="epochs at which the rate is divided by ten")
    identities_per_domain: int = Field(4, gt=0)
    images_per_identity: int = Field(4, gt=0)
    batch_size: int | None = Field(
        None, gt=1, description="images of a batch from all sources pooled; null: as many as by domains"
    )
    weights: str = Field(
        "imagenet",
        description="none | imagenet | torchvision's name, such as IMAGENET1K_V2 | path of a weight file",
    )
    precision: Literal["auto", "float32"] = Field("auto", description="auto: mixed precision on CUDA")
    checkpoint_every: int = Field(200, gt=0, description="iterations")


class MiniatureConfig(Strict):
    """A drawn data set: how much of what, written by `dgreid.miniature.writers.<layout>`."""

    seed: int = 0
    spread: float = Field(1.0, ge=0, description="style spread k of the domain prior")
    sizes: dict[str, int] = Field(description="counts the writer of this layout asks for")
    layout: str | None = Field(None, description="the writer, where it is not called as the parser")


class DatasetConfig(Strict):
    """A data set: which parser reads it, what is expected of it, how one gets it."""

    name: str
    title: str
    parser: str = Field(description="module in src/dgreid/datasets")
    access: Literal["open", "request", "agreement", "withdrawn", "drawn"]
    home: str = Field("", description="page where the data and their terms are found")
    archive: str = Field("", description="published file name, which the md5 belongs to")
    md5: str | None = None
    options: dict[str, Any] = Field({}, description="parser options, such as the CUHK03 variant")
    expect: dict[str, int] = Field({}, description="counts that a full copy has; enforced")
    recalled: dict[str, int] = Field({}, description="counts nobody has verified; a difference is a warning")
    miniature: MiniatureConfig | None = None


class SourceConfig(Strict):
    """One training source of a protocol."""

    dataset: str
    split_set: str | None = Field(None, description="take `role` of split 0 of this set; null: every person")
    role: Literal["train"] = "train"
    domain_by: Literal["dataset", "camera"] = "dataset"


class TargetConfig(Strict):
    """One data set that is searched at test time."""

    name: str = Field(description="column title, such as VIPeR")
    dataset: str
    split_set: str
    splits: int | None = Field(None, description="use only the first n splits; null: all")
    expect: dict[str, int] = Field({}, description="query and gallery images per split; enforced")


class ProtocolConfig(Strict):
    """Who trains, who is searched, and the counts that must come out."""

    name: str
    title: str
    recipe: str = Field(description="the budget runs of this protocol take unless told otherwise")
    image: str = Field(description="their image size, likewise")
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    targets: tuple[TargetConfig, ...]
    expect: dict[str, int] = Field({}, description="ids, images, domains of the training set; enforced")
    allow_partial: bool = Field(False, description="accept incomplete data; every result is labelled partial")
    choices: dict[str, str] = Field({}, description="choices papers leave open, stated")
    variants: dict[str, str] = Field({}, description="variants that data sets must have; enforced")


class RunConfig(Strict):
    """Everything a run depends on but the data."""

    method: Any  # the method's own Options, validated by the class its module defines
    backbone: BackboneConfig
    protocol: ProtocolConfig
    recipe: RecipeConfig
    image: ImageConfig
    seed: int = Field(0, ge=0)
    changes: tuple[str, ...] = Field((), exclude=True, description="words that depart from the files")

    @property
    def run(self) -> str:
        """The run's name, `{method}-{backbone}-{protocol}-s{seed}`.

        A run that departs from the files of params/ has a hash of its changes behind it, so that what was
        tried by hand never stands in a table as if it were the file's.
        """
        name = f"{self.method.name}-{self.backbone.name}-{self.protocol.name}-s{self.seed}"
        digest = hashlib.sha256(" ".join(sorted(self.changes)).encode()).hexdigest()[:6]
        return f"{name}-{digest}" if self.changes else name


def choices(group: str) -> list[str]:
    """The names in a group of params/, sorted."""
    return sorted(path.stem for path in (PARAMS / group).glob("*.yaml"))


def load_dataset(name: str) -> DatasetConfig:
    """Read params/dataset/NAME.yaml."""
    return validate(DatasetConfig, _read("dataset", name))


def load_backbone(name: str) -> BackboneConfig:
    """Read params/backbone/NAME.yaml."""
    return validate(BackboneConfig, _read("backbone", name))


def load_protocol(name: str) -> ProtocolConfig:
    """Read params/protocol/NAME.yaml."""
    return validate(ProtocolConfig, _read("protocol", name))


def load_run(overrides: Sequence[str]) -> RunConfig:
    """Compose and validate a run from `group=name` and `group.key=value` words.

    Raises:
        UserError: an unknown group, name or key, a value of the wrong type, a missing choice.
    """
    from dgreid import methods  # late: methods import this module

    words = dict(_pair(word) for word in overrides)
    chosen = {key: value for key, value in words.items() if key in GROUPS}
    for group in ("method", "backbone", "protocol"):
        if group not in chosen:
            raise UserError(f"which {group}? Add {group}=NAME, one of: {', '.join(choices(group))}.")
    protocol = load_protocol(chosen["protocol"])
    chosen = {"recipe": protocol.recipe, "image": protocol.image, **chosen}
    for group, name in chosen.items():
        _read(group, name)  # Hydra's own errors do not name the file
    # a dotted key is added where it is absent: our own schema then names the nearest known key
    values = [f"++{key}={value}" for key, value in words.items() if key not in GROUPS]
    try:
        with initialize_config_dir(str(PARAMS.resolve()), version_base="1.3"):
            composed = compose("run", [f"{group}={name}" for group, name in chosen.items()] + values)
            node = OmegaConf.to_container(composed, resolve=True)
    except (OmegaConfBaseException, HydraException, YAMLError) as error:
        raise UserError(f"params/ cannot be composed: {reason(error)}.") from error
    for group, name in chosen.items():
        node[group]["name"] = name
    files = {"recipe": protocol.recipe, "image": protocol.image}
    node["changes"] = [
        f"{key}={value}"
        for key, value in words.items()
        if "." in key or files.get(key, value) != value  # a dotted key, or another recipe or image
    ]
    code = node["method"].setdefault("code", chosen["method"])
    node["method"] = validate(methods.module(code).Options, node["method"], "method")
    return validate(RunConfig, node, "run")


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"'{word}' is not of the form key=value, such as method=metabin or seed=0.")
    if key.split(".")[0] not in (*GROUPS, "seed"):
        raise unknown("key", key, (*GROUPS, "seed"))
    return key, value


def _read(group: str, name: str) -> dict:
    if name not in choices(group):
        raise unknown(group, name, choices(group))
    return {**read_yaml(PARAMS / group / f"{name}.yaml"), "name": name}


def threads() -> int:
    """Threads this process may use: DGREID_THREADS, set by the scheduler; one when unset.

    One by default, so that both front ends give the same bits: sums depend on the thread count.
    """
    value = os.environ.get("DGREID_THREADS", "1")
    if not (value.isdecimal() and int(value)):
        raise UserError(f"DGREID_THREADS={value} in the environment is not a number of threads: 1 or more.")
    return int(value)
