"""The baseline as one would write it in an afternoon, on open_small: `erm` must not be worse.

Of the project only its tables and packed pixels: torchvision's MobileNetV2 with its own 52 norms,
random batches of 4 identities x 4 images from each of the four sources, 600 steps of SGD at .01 with a short
warm-up, cross-entropy with label smoothing and batch-hard triplet, ranking by a plain sort. Beside it stand
the runs of `erm` in reports/metrics on the same splits. Needs the protocol and the ImageNet file.

    dgreid select open_small && snakemake --cores all && python -m studies.plain_baseline
"""

import argparse
import json
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.files import whole
from dgreid.images.pack import Pack
from dgreid.networks.vision import models
from dgreid.paths import METRICS, PROTOCOLS, WEIGHTS
from dgreid.protocols import read_protocol
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import load_run
from studies.common import RESULTS

ITERATIONS, WARMUP, RATE, PADDING = 600, 60, 0.01, 5
RUN = ["method=erm", "backbone=mobilenet_v2_x1_0_last2", "protocol=open_small"]


class Plain(nn.Module):
    """Backbone, pooling, a batch norm, a classifier."""

    def __init__(self, classes: int):
        super().__init__()
        network = models.mobilenet_v2()
        network.classifier = nn.Identity()
        network.load_state_dict(load_file(WEIGHTS / "mobilenet_v2_x1_0_imagenet.safetensors"))
        self.features = network.features
        self.neck = nn.BatchNorm1d(1280)
        self.classifier = nn.Linear(1280, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images).mean((2, 3))


def pixels(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W), ImageNet's mean and deviation."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]


def batch(identities: list[list[np.ndarray]], rng: np.random.Generator) -> np.ndarray:
    """Rows of 4 identities of each source, 4 images each."""
    rows = []
    for source in identities:
        for i in rng.choice(len(source), 4, replace=False):
            rows.append(rng.choice(source[i], 4, replace=len(source[i]) < 4))
    return np.concatenate(rows)


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half of them, shift all by up to PADDING pixels."""
    _, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    out = []
    for image in padded:
        top, left = rng.integers(0, 2 * PADDING + 1, 2)
        image = image[top : top + height, left : left + width]
        out.append(image[:, ::-1] if rng.random() < 0.5 else image)
    return np.stack(out)


def triplet(features: Tensor, labels: Tensor) -> Tensor:
    """Batch-hard, margin .3."""
    distances = torch.cdist(features, features)
    same = labels[:, None] == labels
    furthest = distances.masked_fill(~same, 0).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    return F.relu(furthest - nearest + 0.3).mean()


def train(seed: int, images: np.ndarray, identities: np.ndarray, domains: np.ndarray) -> Plain:
    """600 steps."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    by_source = [
        [np.flatnonzero(identities == i) for i in np.unique(identities[domains == domain])]
        for domain in np.unique(domains)
    ]
    network = Plain(int(identities.max()) + 1).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    for iteration in range(ITERATIONS):
        optimiser.param_groups[0]["lr"] = RATE * min(1, (iteration + 1) / WARMUP)
        rows = batch(by_source, rng)
        labels = torch.from_numpy(identities[rows])
        features = network(pixels(augment(images[rows], rng)))
        logits = network.classifier(network.neck(features))
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1) + triplet(features, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if iteration % 100 == 99:
            print(f"seed {seed}, iteration {iteration + 1}: loss {float(loss):.3f}", flush=True)
    return network.eval()


@torch.inference_mode()
def evaluate(network: Plain, query, gallery, packs: dict[str, Pack]) -> tuple[float, float]:
    """Rank-1 and mAP of one split by sorting, percent; every query has its matches in another camera."""

    def embed(frame) -> Tensor:
        images = packs[frame["dataset"].iloc[0]][frame["row"].to_numpy()]
        parts = [network.neck(network(pixels(images[i : i + 128]))) for i in range(0, len(images), 128)]
        return F.normalize(torch.cat(parts))

    order = (embed(query) @ embed(gallery).T).argsort(dim=1, descending=True, stable=True).numpy()
    right = gallery["identity"].to_numpy()[order] == query["identity"].to_numpy()[:, None]
    hits = right.cumsum(1)
    precision = hits / np.arange(1, right.shape[1] + 1)
    return 100 * right[:, 0].mean(), 100 * ((precision * right).sum(1) / right.sum(1)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--again", action="store_true", help="train seeds again that the result already has")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "plain_baseline.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    protocol = read_protocol(PROTOCOLS / "open_small")
    image = load_run(RUN).image
    parts = load_protocol("open_small")
    names = sorted({part.dataset for part in (*parts.sources, *parts.targets)})
    packs = {name: Pack.open(name, image) for name in names}
    rows = protocol.train
    images = np.stack([packs[d][np.array([r])][0] for d, r in zip(rows["dataset"], rows["row"], strict=True)])
    labels = rows["identity"].to_numpy(np.int64), rows["domain"].to_numpy(np.int64)
    kept = (
        []
        if arguments.again or not arguments.out.exists()
        else json.loads(arguments.out.read_text(encoding="utf-8"))["plain"]
    )
    seeds = []
    for seed in range(arguments.seeds):
        if seed < len(kept):  # the list is in the order of the seeds 0, 1, ...
            seeds.append(kept[seed])
            continue
        network = train(seed, images, *labels)
        scores = {
            target: [evaluate(network, *pair, packs) for pair in splits]
            for target, splits in protocol.targets.items()
        }
        seeds.append(
            {target: [round(mean(s[i] for s in each), 2) for i in (0, 1)] for target, each in scores.items()}
        )
        print(seed, seeds[-1], flush=True)
    ours = [
        {
            target: [round(node["rank1"], 2), round(node["mAP"], 2)]
            for target, node in report["targets"].items()
        }
        for path in sorted(METRICS.glob("erm-mobilenet_v2_x1_0_last2-open_small-s*.json"))
        for report in [json.loads(path.read_text(encoding="utf-8"))]
    ]
    result = {"data": protocol.kind, "columns": ["rank1", "mAP"], "plain": seeds, "erm": ours}
    for name, each in (("plain", seeds), ("erm", ours)):
        result[f"{name} mean"] = {
            target: [round(mean(seed[target][i] for seed in each), 2) for i in (0, 1)] for target in each[0]
        }
    with whole(arguments.out) as part:
        part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
