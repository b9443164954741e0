"""What an iteration of M3L costs: ours against the released code's way, and against its own baseline.

The released way builds a network for Theta' in every iteration, replaces its weights one by one, and updates
the memory image by image. Ours calls the same network with other weights by name, and updates the memory in
as many turns as an identity has images. All take the same batches, weights and random numbers, in turns in
one process; the ratio is the result, not the times. No data are read: images are noise.

If there is a CUDA device, also: speed, peak memory and hours of the paper's 12,000 iterations at its size.

    python -m benchmarks.m3l                                # writes benchmarks/results/m3l.json
    python -m benchmarks.m3l --only resnet_tiny             # a part: prints only
"""

import argparse
import copy
import json
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.common import RESULTS, Setting, batches, in_double, timed
from dgreid.device import prepare
from dgreid.files import whole
from dgreid.images.batch import Batch
from dgreid.methods.base import Task
from dgreid.methods.m3l import M3L, mean
from dgreid.networks import backbones
from dgreid.runs.config import load_run

PAPER_ITERATIONS, PAPER_EACH = 12_000, 200
RESULT = RESULTS / "m3l.json"
SMALL = (
    Setting("resnet_tiny", 64, 32, 4, 4, 4, 400),
    Setting("resnet50_m3l", 128, 64, 3, 2, 4, 3110),
)
FULL = (
    Setting("resnet50_m3l", 256, 128, 3, 16, 4, 3110),
    Setting("ibn_net50_m3l", 256, 128, 3, 16, 4, 3110),
)


class ReleasedWay(M3L):
    """The same algorithm as its released code goes about it."""

    def meta_losses(self, domains: list[Batch], left_out: int) -> dict[str, Tensor]:
        meta_train = [each for number, each in enumerate(domains) if number != left_out]
        outputs = [self.network(each.images) for each in meta_train]
        train_loss = mean([self.loss(output, each) for output, each in zip(outputs, meta_train, strict=True)])
        moved = copy.deepcopy(self.network)  # kindly: the released code also reads the ImageNet weights again
        for name, weight in self.adapt(train_loss).items():
            module, _, leaf = name.rpartition(".")
            delattr(moved.get_submodule(module), leaf)
            setattr(moved.get_submodule(module), leaf, weight)
        for name, buffer in self.network.named_buffers():  # aliases: meta-test moves the running statistics
            module, _, leaf = name.rpartition(".")
            moved.get_submodule(module)._buffers[leaf] = buffer
        mixture = self.mixture([output.pooled for output in outputs], len(domains[left_out].images))
        test_loss = self.loss(moved(domains[left_out].images, *mixture), domains[left_out])
        return {"meta_train": train_loss, "meta_test": test_loss}

    @torch.no_grad()
    def remember(self, domains: list[Batch]) -> None:
        memory = self.network.classifier
        for each in domains:
            for f, who in zip(self.network.embed(each.images), each.identities.tolist(), strict=True):
                kept = memory.momentum * memory.centroids[who] + (1 - memory.momentum) * f
                memory.centroids[who] = kept / kept.norm()


WAYS = {"released": ("m3l", ReleasedWay), "ours": ("m3l", M3L), "baseline": ("m3l_baseline", M3L)}


def make(way: str, setting: Setting, device: torch.device) -> M3L:
    """M3L at its recipe, from the same random weights and memory, at the full rate."""
    method, kind = WAYS[way]
    words = [f"method={method}", f"backbone={setting.backbone}", "protocol=m3l_market", "recipe=m3l"]
    run = load_run(words)
    torch.manual_seed(0)
    size = setting.height, setting.width
    network = backbones.build(run.backbone, "none", size)
    membership = torch.arange(setting.classes) // (setting.classes // setting.domains)
    membership = membership.clamp(max=setting.domains - 1) == torch.arange(setting.domains)[:, None]
    task = Task(setting.classes, setting.domains, PAPER_ITERATIONS, PAPER_EACH, membership, size)
    made = kind(run.method, network, run.recipe, task)
    random = torch.Generator().manual_seed(1)
    made.network.classifier.centroids.copy_(
        F.normalize(torch.randn(setting.classes, network.channels, generator=random))
    )
    return made.to(device).train()


def step(method: M3L, setting: Setting, number: int, device: torch.device, double: bool = False) -> float:
    """Seconds of one iteration; its batches and random numbers depend on `number` alone."""
    drawn = batches(method, setting, number, device)
    if double:
        drawn = in_double(drawn)
    np.random.seed(number)
    return timed(method, drawn, 10 * PAPER_EACH + number, device)  # after the warm-up


def compare(setting: Setting, repeats: int) -> dict:
    """One row: the three ways in turns, the first round dropped."""
    device = torch.device("cpu")
    methods = {way: make(way, setting, device) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(repeats + 1):
        for way, method in methods.items():
            seconds[way].append(step(method, setting, number, device))
    row = {"setting": title(setting)} | {f"{way}_ms": 1e3 * median(s[1:]) for way, s in seconds.items()}
    for one, other in (("released", "ours"), ("ours", "baseline")):
        ratios = [a / b for a, b in zip(seconds[one][1:], seconds[other][1:], strict=True)]
        row |= {f"{one}_to_{other}": median(ratios), f"{one}_to_{other}_range": [min(ratios), max(ratios)]}
    return row | {"difference": difference(setting)}


def title(setting: Setting) -> str:
    """Backbone, image size, batch."""
    each = setting.identities * setting.images
    return f"{setting.backbone}, {setting.height}x{setting.width}, {setting.domains} x {each} images"


def difference(setting: Setting) -> float:
    """How far the two ways' states are apart after one iteration in float64, relative to the step."""
    states = {}
    for way in ("released", "ours"):
        method = make(way, setting, torch.device("cpu")).double()
        before = torch.cat([weight.detach().flatten() for weight in method.parameters()])
        step(method, setting, 1, torch.device("cpu"), double=True)
        states[way] = torch.cat([weight.detach().flatten() for weight in method.parameters()]) - before
    return ((states["ours"] - states["released"]).norm() / states["released"].norm()).item()


def throughput(way: str, setting: Setting, repeats: int, device: torch.device) -> dict:
    """One row of the paper's size on a GPU."""
    method = make(way, setting, device)
    for number in range(3):
        step(method, setting, number, device)
    torch.cuda.reset_peak_memory_stats(device)
    seconds = median(step(method, setting, 3 + number, device) for number in range(repeats))
    images = setting.domains * setting.identities * setting.images
    return {
        "setting": title(setting),
        "way": way,
        "images_per_second": images / seconds,
        "peak_memory_MiB": torch.cuda.max_memory_allocated(device) / 2**20,
        "hours_of_the_paper": PAPER_ITERATIONS * seconds / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="settings whose title has this in it")
    arguments = parser.parse_args()
    device = prepare(0)
    torch.set_num_threads(arguments.threads)
    rows, gpu = [], []
    for setting in SMALL:
        if arguments.only in title(setting):
            row = compare(setting, arguments.repeats)
            print(json.dumps(row), flush=True)
            rows.append(row)
    for setting in FULL if device.type == "cuda" else ():
        for way in WAYS if arguments.only in title(setting) else ():
            row = throughput(way, setting, arguments.repeats, device)
            print(json.dumps(row), flush=True)
            gpu.append(row)
    if not arguments.only:
        facts = {"torch": torch.__version__, "threads": arguments.threads, "repeats": arguments.repeats}
        with whole(RESULT) as path:
            path.write_text(
                json.dumps(facts | {"rows": rows, "gpu": gpu or None}, indent=2) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
