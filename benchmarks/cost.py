"""What one training iteration costs: ours against the plain way, in turns in one process.

MetaBIN's plain way is the algorithm as one first writes it: BatchNorm2d + InstanceNorm2d + mix in every
layer, nothing frozen, so that the meta-test's backward also computes the gradients of all weights, which
are not used. Both ways get the same batches, weights and domain splits, and their steps are compared. The
ratio is the result, not the times. No data are read: images are noise.

If there is a CUDA device, also: iterations and images per second, peak memory and the hours of the
paper's 184,900 iterations, at its image and batch size in mixed precision, eager and compiled.

    python -m benchmarks.cost                                       # writes benchmarks/results/cost.json
    python -m benchmarks.cost --only resnet_tiny --repeats 3        # a part: prints only
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.common import (
    RESULTS,
    PlainBatchInstanceNorm2d,
    Setting,
    batches,
    in_double,
    timed,
)
from dgreid.device import prepare
from dgreid.files import whole
from dgreid.images.batch import Batch
from dgreid.methods.base import Method, Task
from dgreid.methods.metabin import MetaBIN, Options
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks import backbones
from dgreid.networks.norms import convert_norms, hold, straight_through_clamp
from dgreid.runs.config import load_run

PAPER_ITERATIONS, PAPER_CLASSES, PAPER_EACH = 184_900, 18_530, 1_849
RESULT = RESULTS / "cost.json"


SMALL = (
    Setting("resnet_tiny", 64, 32, 4, 2, 4, 200),
    Setting("mobilenet_v2_x1_0", 128, 64, 4, 2, 2, 200),
)
FULL = (
    Setting("mobilenet_v2_x1_4", 256, 128, 5, 4, 4, PAPER_CLASSES),
    Setting("resnet50", 256, 128, 5, 4, 4, PAPER_CLASSES),
)


def title(setting: Setting) -> str:
    """Backbone, image size, batches of the base and the meta update."""
    batch = setting.domains * setting.identities * setting.images
    return f"{setting.backbone}, {setting.height}x{setting.width}, {batch} + {batch} images"


class PlainMetaBIN(MetaBIN):
    """The same algorithm with plain layers and a full backward everywhere."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        convert_norms(backbone, PlainBatchInstanceNorm2d)
        super().__init__(options.model_copy(update={"norm": "batch"}), backbone, recipe, task)
        # instance statistics are faster in this layout, which a network of other norms than "batch" has
        self.network.memory_format = torch.contiguous_format
        self.network.backbone.to(memory_format=torch.contiguous_format)

    def _learn(self, only: Mapping[str, nn.Parameter]) -> None:
        for gate in self.gates.values():  # nothing is frozen; what the other update left is dropped
            gate.grad = None

    def update_gates(self, meta_train: Batch, meta_test: Batch, inner_step: float) -> dict[str, Tensor]:
        self.zero_grad()
        with hold(self.network):
            features = self.network(meta_train.images)
            train_loss = self.meta_loss(features, meta_train, self.options.meta_train_losses)
            inner = torch.autograd.grad(train_loss, self.gates.values())
            adapted = {}
            for (name, gate), gradient in zip(self.gates.items(), inner, strict=True):
                adapted[name] = straight_through_clamp(gate - inner_step * gradient)
            features = functional_call(self.network, adapted, (meta_test.images,))
            test_loss = self.meta_loss(features, meta_test, self.options.meta_test_losses)
            test_loss.backward()
        self.optimisers["gates"].step()
        with torch.no_grad():
            for gate in self.gates.values():
                gate.clamp_(0, 1)
        return {"meta_train": train_loss, "meta_test": test_loss}


def metabin(setting: Setting, device: torch.device) -> dict[str, Method]:
    """MetaBIN as released, both ways, from the same random weights."""
    return {
        "plain": make(setting, "metabin", PlainMetaBIN, device),
        "ours": make(setting, "metabin", MetaBIN, device),
    }


# method -> its two ways for a setting, names "plain" and "ours"; batches are made for whatever samplers they
# ask for, so that another method is one more function here
PAIRS: dict[str, Callable[[Setting, torch.device], dict[str, Method]]] = {"metabin": metabin}


def make(setting: Setting, method: str, kind: type[Method], device: torch.device) -> Method:
    """A method of params/method at its paper's recipe, untrained, on the device."""
    words = [f"method={method}", f"backbone={setting.backbone}", "protocol=miniature", "recipe=metabin"]
    run = load_run(words)
    torch.manual_seed(0)
    size = setting.height, setting.width
    network = backbones.build(run.backbone, "none", size)
    task = Task(setting.classes, setting.domains, PAPER_ITERATIONS, PAPER_EACH, image=size)
    return kind(run.method, network, run.recipe, task).to(device).train()


def compare(name: str, setting: Setting, repeats: int, device: torch.device) -> dict:
    """One row: both ways in turns, the first round dropped."""
    ways = PAIRS[name](setting, device)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for iteration in range(1, repeats + 2):  # not 0, which MetaBIN fills with base steps
        for way, method in ways.items():
            drawn = batches(method, setting, iteration, device)
            seconds[way].append(timed(method, drawn, iteration, device))
    ratios = [plain / ours for plain, ours in zip(seconds["plain"][1:], seconds["ours"][1:], strict=True)]
    return {
        "method": name,
        "setting": title(setting),
        "plain_ms": 1e3 * median(seconds["plain"][1:]),
        "ours_ms": 1e3 * median(seconds["ours"][1:]),
        "ratio": median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "difference": difference(name, setting, device),
    }


def difference(name: str, setting: Setting, device: torch.device) -> float:
    """How far the ways' states are apart after an iteration in float64, relative to the step they took.

    In float32 a nearest neighbour of noise may be another one, which says nothing of the algorithm.
    """
    states = {}
    for way, method in PAIRS[name](setting, device).items():
        method.double()
        before = {key: value.clone() for key, value in method.named_parameters()}
        drawn = batches(method, setting, 1, device)
        timed(method, in_double(drawn), 1, device)
        named = {key: (value - before[key]).detach().flatten() for key, value in method.named_parameters()}
        for layer in ("batch", "instance"):  # of the plain layer, two modules
            named = {key.replace(f".{layer}.", f".{layer}_"): step for key, step in named.items()}
        states[way] = torch.cat([named[key] for key in sorted(named)])
    return ((states["ours"] - states["plain"]).norm() / states["plain"].norm()).item()


def throughput(
    name: str, way: str, compiled: bool, setting: Setting, repeats: int, device: torch.device
) -> dict:
    """One row of the full size: speed, memory and the hours of the paper's training."""
    method = PAIRS[name](setting, device)[way]
    if compiled:  # a kernel for each mode of the norms, each batch size, each frozen part
        torch._dynamo.config.recompile_limit = 256
        torch._dynamo.reset()
        method.network.backbone.compile(dynamic=False)
    rounds = [batches(method, setting, iteration, device) for iteration in (1, 2, 3, 4)]
    start = time.perf_counter()
    for iteration, drawn in enumerate(rounds, 1):
        timed(method, drawn, iteration, device)
    warm_up = time.perf_counter() - start
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = [timed(method, rounds[i % 4], 5 + i, device) for i in range(repeats)]
    seconds, images = median(times), sum(len(b.images) for part in rounds[0].values() for b in part)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {
        "method": name,
        "setting": title(setting),
        "way": way,
        "compiled": compiled,
        "iterations_per_second": 1 / seconds,
        "images_per_second": images / seconds,
        "seconds_range": [min(times), max(times)],
        "peak_memory_MiB": peak and peak / 2**20,
        "warm_up_seconds": warm_up,
        "hours_of_the_paper": PAPER_ITERATIONS * seconds / 3600,
    }


def small(names: list[str], only: str, repeats: int) -> list[dict]:
    """The comparison on the CPU, printed as it goes."""
    rows = []
    for name in names:
        for setting in SMALL:
            if only in title(setting):
                row = compare(name, setting, repeats, torch.device("cpu"))
                low, high = row["ratio_range"]
                rest = f"{row['ratio']:.2f}x ({low:.2f} to {high:.2f}), steps differ by"
                times = f"{row['plain_ms']:.0f} / {row['ours_ms']:.0f} ms"
                print(f"{name}, {row['setting']}: {times}, {rest} {row['difference']:.0e}", flush=True)
                rows.append(row)
    return rows


def full(names: list[str], only: str, repeats: int, device: torch.device) -> list[dict]:
    """The paper's size on a GPU, printed as it goes; a way that fails says why in its row."""
    rows = []
    for name in names:
        for setting in FULL:
            for way, compiled in (
                (w, c) for c in (False, True) for w in ("plain", "ours") if only in title(setting)
            ):
                torch.cuda.empty_cache()
                try:
                    row = throughput(name, way, compiled, setting, repeats, device)
                    speed = f"{row['images_per_second']:.0f} images/s, {row['peak_memory_MiB']:.0f} MiB"
                    text = f"{speed}, {row['hours_of_the_paper']:.1f} h for the paper's iterations"
                except RuntimeError as error:  # of torch.compile, or out of memory
                    text = f"failed: {str(error).splitlines()[0]}"
                    row = {
                        "method": name,
                        "setting": title(setting),
                        "way": way,
                        "compiled": compiled,
                        "failed": text,
                    }
                print(f"{name}, {title(setting)}, {way}{', compiled' * compiled}: {text}", flush=True)
                rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--gpu-repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--only", default="", help="settings whose title has this in it")
    parser.add_argument(
        "--out", type=Path, help=f"default: {RESULT.name} in results/, if nothing is left out"
    )
    arguments = parser.parse_args()
    device = prepare(0)  # deterministic kernels, as in training
    torch.set_num_threads(arguments.threads)
    result = {
        "torch": torch.__version__,
        "cpu": platform.processor() or platform.machine(),
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "rows": small(arguments.methods, arguments.only, arguments.repeats),
    }
    if device.type == "cuda":
        rows = full(arguments.methods, arguments.only, arguments.gpu_repeats, device)
        result["gpu"] = {"device": torch.cuda.get_device_name(device), "rows": rows}
    else:
        print("no CUDA device: speed, memory and hours at the paper's size were not measured")
        result["gpu"] = None
    everything = not arguments.only and arguments.methods == list(PAIRS)
    if out := arguments.out or (RESULT if everything else None):
        with whole(out) as path:
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
