"""What Anti-Normalisation does to a network that ImageNet trained, before LDA's first iteration.

LDA learns on the miniature benchmark from scratch, but collapsed on `open_small` from ImageNet's weights. Two
explanations. AN in the place of a norm restores the mean of the convolution before it; if that is far below
0, the next activation zeroes the channel. Then most channels of some activation are 0 everywhere (`dead`) and
Rank-1 falls, but not with AN before a norm (`pre_bn`, `pre_mixture`). Or the affine map is what is missing:
then `replace` with the affine map kept is as good as `pre_bn`.

    dgreid select open_small && snakemake --cores all data/protocols/open_small/train.parquet
    python -m studies.lda_start

Takes seconds; needs the data and weights of `open_small` (partial data).
"""

import argparse
import json

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.device import prepare
from dgreid.files import whole
from dgreid.images.normalise import normalise
from dgreid.images.pack import Pack
from dgreid.methods.base import Method
from dgreid.networks.norms.anti import AntiNorm2d, towards
from dgreid.paths import PROTOCOLS
from dgreid.protocols import read_training
from dgreid.runs.config import RunConfig, load_run
from dgreid.runs.run import build
from dgreid.runs.training import task_of
from studies.common import RESULTS

RESULT = RESULTS / "lda_start.json"
DATASET, IDENTITIES, IMAGES = "cuhk01", 24, 4
SYSTEMS = {  # words of the run; the affine map is this file's
    "no AN": ["method.an_mode=none"],
    "pre_bn": ["method.an_mode=pre_bn"],
    "pre_mixture": ["method.an_mode=pre_mixture"],
    "replace": ["method.an_mode=replace"],
    "replace, affine map kept": ["method.an_mode=replace"],
    "replace, in the stem alone": ["method.an_mode=replace", "method.an_stages=0"],
}


class WithAffine(nn.Module):
    """AN in the place of a norm, then the norm's affine map."""

    def __init__(self, anti: AntiNorm2d):
        super().__init__()
        self.anti = anti

    def forward(self, x: Tensor) -> Tensor:
        return self.anti(x) * self.anti.weight[:, None, None] + self.anti.bias[:, None, None]


def keep_affine(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        if isinstance(module, AntiNorm2d):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, WithAffine(module))


def embed_and_look(method: Method, images: Tensor) -> tuple[Tensor, list[float]]:
    """Network-A's features, (N, C), and for each activation the per cent of its channels that are dead.

    A channel is dead if it is 0 at 99.9 % of all places.
    """
    shares = []

    def look(module: nn.Module, given: tuple, output: Tensor) -> None:
        zero = (output <= 0).float().mean((0, 2, 3))  # (C,)
        shares.append(100 * float((zero >= 0.999).float().mean()))

    kinds = (nn.ReLU, nn.ReLU6)
    hooks = [m.register_forward_hook(look) for m in method.modules() if isinstance(m, kinds)]
    partners = torch.zeros(len(images), dtype=torch.long)  # ImageNet's statistics, like every domain's
    with towards(method.network, partners):
        features = method.network(images)
    for hook in hooks:
        hook.remove()
    return features, shares


def rank1(features: Tensor, labels: np.ndarray) -> float:
    """Per cent of images whose nearest other image is of the same identity."""
    near = F.normalize(features) @ F.normalize(features).T
    return 100 * float((labels[near.fill_diagonal_(-2).argmax(1).numpy()] == labels).mean())


def photographs(config: RunConfig) -> tuple[Tensor, np.ndarray]:
    """(IDENTITIES x IMAGES, 3, H, W) and their identities."""
    rows, _ = read_training(PROTOCOLS / config.protocol.name)
    rows = rows[rows["dataset"] == DATASET]
    chosen = rows.groupby("identity").head(IMAGES).head(IDENTITIES * IMAGES)
    pixels = Pack.open(DATASET, config.image)[chosen["row"].to_numpy()]
    return normalise(torch.from_numpy(pixels)), chosen["identity"].to_numpy()


@torch.no_grad()
def measure(name: str) -> dict[str, float]:
    words = ["method=lda", "backbone=mobilenet_v2_x1_0_last2", "protocol=open_small"]
    config = load_run([*words, "recipe=open_small_m3l", *SYSTEMS[name]])
    prepare(seed=0)
    rows, _ = read_training(PROTOCOLS / "open_small")
    method = build(config.method, config.backbone, config.recipe, task_of(rows, config)).train()
    if name.endswith("affine map kept"):
        keep_affine(method.network)
    images, labels = photographs(config)
    features, dead = embed_and_look(method, images)
    return {
        "rank1": round(rank1(features, labels), 1),
        "dead channels, worst activation": round(max(dead), 1),
        "dead channels, mean": round(float(np.mean(dead)), 1),
    }


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    found = {name: measure(name) for name in SYSTEMS}
    setting = (
        f"{IDENTITIES} identities x {IMAGES} images of {DATASET}, training mode, before the first iteration"
    )
    with whole(RESULT) as part:
        part.write_text(
            json.dumps({"data": "partial", "setting": setting, "systems": found}, indent=1) + "\n",
            encoding="utf-8",
        )
    for name, row in found.items():
        print(f"{name:28s}", row)


if __name__ == "__main__":
    main()
