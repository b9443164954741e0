"""Batch-instance normalisation: the one-pass layer against BatchNorm2d + InstanceNorm2d + mixing.

Forward and backward of one layer, float32, on the shapes of MobileNetV2 and ResNet-50 at 256x128. The two
are timed in turns in one process, so that a busy machine slows both; the ratio is the result, not the
times. Also counted: bytes kept for backward, relative to the input, and the largest difference of results.

    python -m benchmarks.bin_layer [--device cuda] [--repeats 7] [--precision float32|bfloat16] [--out FILE]
"""

import argparse
import json
import platform
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.common import RESULTS, PlainBatchInstanceNorm2d, synchronise
from dgreid.files import whole
from dgreid.networks.norms import BatchInstanceNorm2d

SHAPES = (
    (20, 96, 128, 64),
    (80, 96, 64, 32),
    (80, 256, 64, 32),
    (80, 512, 32, 16),
    (80, 1024, 16, 8),
    (80, 2048, 16, 8),
)
TARGET_RATIO, TARGET_SAVED = 2.5, 1.1


def pair(channels: int) -> dict[str, nn.Module]:
    """Both layers with the same random parameters."""
    plain, fused = PlainBatchInstanceNorm2d(channels), BatchInstanceNorm2d(channels)
    with torch.no_grad():
        for of, name, same in (
            (plain, "balance", fused.balance),
            (plain.batch, "weight", fused.batch_weight),
            (plain.batch, "bias", fused.batch_bias),
            (plain.instance, "weight", fused.instance_weight),
            (plain.instance, "bias", fused.instance_bias),
        ):
            same.copy_(getattr(of, name).uniform_(0.2, 0.8))
    return {"plain": plain, "fused": fused}


def run(layer: nn.Module, x: Tensor, dy: Tensor) -> tuple[float, Tensor, Tensor]:
    """Seconds of one forward and backward, with y and the gradient of x."""
    x = x.detach().requires_grad_()
    layer.zero_grad()
    synchronise(x.device)
    start = time.perf_counter()
    y = layer(x)
    y.backward(dy)
    synchronise(x.device)
    return time.perf_counter() - start, y.detach(), x.grad


def saved_bytes(layer: nn.Module, x: Tensor) -> int:
    """Bytes autograd keeps between forward and backward, parameters left out, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in layer.parameters()}
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = layer(x.detach().requires_grad_())
    del y
    return sum(kept.values())


def measure(shape: tuple[int, ...], device: str, precision: torch.dtype, repeats: int) -> dict:
    """One row of the table."""
    torch.manual_seed(0)
    layers = {name: layer.to(device) for name, layer in pair(shape[1]).items()}
    x = torch.randn(shape, device=device).add_(1).to(precision)
    dy = torch.randn(shape, device=device).to(precision)
    seconds: dict[str, list[float]] = {name: [] for name in layers}
    for _ in range(repeats + 1):
        for name, layer in layers.items():
            seconds[name].append(run(layer, x, dy)[0])
    ratios = [plain / fused for plain, fused in zip(seconds["plain"][1:], seconds["fused"][1:], strict=True)]
    (_, y, dx), (_, y_plain, dx_plain) = (run(layers[name], x, dy) for name in ("fused", "plain"))
    size = x.numel() * x.element_size()
    return {
        "shape": list(shape),
        "plain_ms": 1e3 * median(seconds["plain"][1:]),
        "fused_ms": 1e3 * median(seconds["fused"][1:]),
        "ratio": median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "saved_plain": saved_bytes(layers["plain"], x) / size,
        "saved_fused": saved_bytes(layers["fused"], x) / size,
        "difference_y": (y - y_plain).abs().max().item(),
        "difference_dx": (dx - dx_plain).abs().max().item(),
    }


def line(row: dict) -> str:
    """One line of the printed table."""
    shape, (low, high) = "x".join(map(str, row["shape"])), row["ratio_range"]
    times = f"{row['plain_ms']:9.1f} {row['fused_ms']:9.1f} {row['ratio']:6.2f} {low:5.2f}-{high:5.2f}"
    rest = f"{row['saved_plain']:.2f} / {row['saved_fused']:.2f}  {row['difference_y']:.0e}"
    return f"{shape:>17} {times}  {rest} {row['difference_dx']:.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--out", type=Path, default=RESULTS / "bin_layer.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{'shape':>17} {'plain ms':>9} {'fused ms':>9} {'ratio':>6} {'range':>12} {'saved':>12}  difference"
    )
    rows = []
    for shape in SHAPES:
        row = measure(shape, arguments.device, getattr(torch, arguments.precision), arguments.repeats)
        rows.append(row)
        print(line(row), flush=True)
    reached = all(row["ratio"] >= TARGET_RATIO and row["saved_fused"] <= TARGET_SAVED for row in rows)
    print(f"{TARGET_RATIO}x faster, at most {TARGET_SAVED}x the input kept: {'yes' if reached else 'NO'}")
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or "cpu"
    result = {
        "device": device,
        "torch": torch.__version__,
        "threads": arguments.threads,
        "precision": arguments.precision,
        "repeats": arguments.repeats,
        "targets": {"ratio": TARGET_RATIO, "saved": TARGET_SAVED, "reached": reached},
        "rows": rows,
    }
    with whole(arguments.out) as path:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
