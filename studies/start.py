"""Does a start on drawn things help, and which recipes does it call for? Sources only, never a target.

Three questions, each answered on new identities of the source domains (60 of each, of no data set):

untrained   Rank-1 of the pooled features before any training on people, random weights and the start; and a
            linear probe, which names things of classes that the start has not seen from its features.
search      After training with a candidate recipe on three of the four sources: Rank-1 among new identities
            of the fourth, whose style the network has not seen (`unseen`), and of the three (`held`), average
            over the four choices. This is how recipes `miniature` and `miniature_m3l` were chosen.
story       The chosen recipes on more seeds: are BIN above BN, MetaBIN above BIN, M3L above its baseline?

    for name in mini_market1501 mini_cuhk02 mini_cuhk03 mini_cuhksysu; do
        dgreid synthesize dataset=$name && dgreid manifest dataset=$name
    done
    python -m studies.start untrained
    python -m studies.start train --seeds 0 --words method=bin recipe.learning_rate_factor=3

What is in studies/results/start.json already is kept and not computed again.
"""

import argparse
import json
import logging
import tempfile
import time
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dgreid.device import computing_in, prepare
from dgreid.files import whole
from dgreid.images.loader import batches, survey
from dgreid.images.normalise import normalise
from dgreid.methods.base import Method
from dgreid.miniature.looks import draw_classes
from dgreid.miniature.render import World
from dgreid.miniature.things import KINDS
from dgreid.networks.backbones import build as build_backbone
from dgreid.networks.backbones import load_backbone
from dgreid.networks.norms.gates import gates_of
from dgreid.paths import MANIFESTS
from dgreid.protocols.assemble import build as assemble
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import load_run
from dgreid.runs.run import build
from dgreid.runs.training import task_of, training_images
from dgreid.stages.pretrain import gather
from dgreid.training.checkpoint import Checkpoint
from dgreid.training.loop import fit
from dgreid.training.start import load_start
from studies.common import RESULTS, SOURCES, pairs, rank1

OUT = RESULTS / "start.json"
CPU = torch.device("cpu")
BACKBONE = "resnet_tiny"
NEW_SEED, NEW_LOOKS, SHOTS = (
    1,
    4,
    8,
)  # classes that no start has seen; pictures to fit the probe, as many to test
RIDGE = 1.0


# ------------------------------------------------------------------------------------------- measuring
@cache
def new_identities(domain: str) -> np.ndarray:
    """(120, 64, 32, 3) uint8: 60 identities of no data set, two cameras each."""
    return pairs(World(domain)).reshape(-1, 64, 32, 3)


@torch.inference_mode()
def found(method: Method, domain: str) -> float:
    """Rank-1 among new identities of a domain, per cent."""
    features = method.embed(normalise(torch.from_numpy(new_identities(domain)), method.dtype)).float()
    return rank1(features.reshape(len(features) // 2, 2, -1))


@torch.inference_mode()
def features_of(weights: str, images: Tensor) -> Tensor:
    """Pooled features of an untrained network or of a start, (N, H, W, 3) uint8 -> (N, C)."""
    torch.manual_seed(0)
    network = build_backbone(load_backbone(BACKBONE), weights).eval()
    return torch.cat([network.pool(network(normalise(part))) for part in images.split(256)])


def probe(weights: str) -> float:
    """Share of pictures of new classes that a linear probe of the features names right, per cent."""
    classes = draw_classes(tuple(KINDS), NEW_LOOKS, NEW_SEED)
    known = set(draw_classes(tuple(KINDS), load_start().looks, load_start().seed))
    classes = [named for named in classes if named not in known]
    images, names = gather(classes, NEW_SEED, range(2 * SHOTS))
    features = features_of(weights, images).double()
    features = (features - features.mean(0)) / (features.std(0) + 1e-9)
    features = torch.cat([features, torch.ones(len(features), 1)], 1)
    fitted = torch.arange(len(names)) % (2 * SHOTS) < SHOTS
    a, b = features[fitted], torch.nn.functional.one_hot(names[fitted]).double()
    solution = torch.linalg.solve(a.T @ a + RIDGE * torch.eye(a.shape[1]), a.T @ b)
    right = (features[~fitted] @ solution).argmax(1) == names[~fitted]
    return 100 * float(right.double().mean())


def untrained() -> dict[str, Any]:
    node = {}
    for weights in ("none", "drawn"):
        found = {}
        for domain in SOURCES:
            features = features_of(weights, torch.from_numpy(new_identities(domain)))
            found[domain] = round(rank1(features.reshape(len(features) // 2, 2, -1)), 1)
        node[weights] = {"rank1": found, "average": round(fmean(found.values()), 1)}
        node[weights]["probe"] = round(probe(weights), 1)
        print(weights, node[weights], flush=True)
    return node


# -------------------------------------------------------------------------------------------- training
@cache
def rows_without(left_out: str | None) -> tuple[pd.DataFrame, list[str]]:
    """The training rows of protocol miniature without one of its sources, and the names of its domains."""
    config = load_protocol("miniature")
    sources = tuple(source for source in config.sources if source.dataset != left_out)
    config = config.model_copy(update={"sources": sources, "targets": (), "expect": {}})
    made = assemble(config, MANIFESTS)
    return made.train, made.domains


def trained(words: list[str], seed: int, left_out: str | None) -> dict[str, Any]:
    """Train one run on all sources but one; what it finds among new identities of every source."""
    config = load_run([f"backbone={BACKBONE}", "protocol=miniature", f"seed={seed}", *words])
    prepare(seed)
    rows, names = rows_without(left_out)
    task = task_of(rows, config, names)
    method = build(config.method, config.backbone, config.recipe, task)
    images = training_images(rows, config, method)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder, computing_in(method.dtype):
        history, _ = fit(
            method,
            lambda keys: batches(images, keys, CPU),
            task,
            Checkpoint(Path(folder) / "last.pt", ""),
            task.iterations + 1,
            survey=lambda: survey(images, CPU),
        )
    seconds = time.process_time() - started
    method.eval()
    scores = {domain: round(found(method, domain), 1) for domain in SOURCES}
    gates = [gate.detach().flatten() for gate in gates_of(method).values()]
    return {
        "left_out": left_out,
        "seed": seed,
        "iterations": task.iterations,
        "seconds": round(seconds, 1),
        "unseen": scores.get(left_out),
        "held": round(fmean(score for domain, score in scores.items() if domain != left_out), 1),
        "gate": round(float(torch.cat(gates).mean()), 3) if gates else None,
        "losses": {
            name: round(float(history[name].iloc[-5:].mean()), 3)
            for name in history.columns
            if name not in ("epoch", "iteration", "learning_rate") and not name.startswith("balance")
        },
    }


# ------------------------------------------------------------------------------------------- the record
def read() -> dict[str, Any]:
    return json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"untrained": {}, "trained": {}}


def write(node: dict[str, Any]) -> None:
    with whole(OUT) as part:
        part.write_text(json.dumps(node, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("untrained", "train"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--words", nargs="+", default=[], help="method=NAME and the recipe to try")
    chosen = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    if chosen.what == "untrained":
        write(read() | {"untrained": untrained()})
        return
    name = " ".join(chosen.words)
    for seed in chosen.seeds:
        for left_out in SOURCES:
            runs = read()["trained"].get(name, [])
            if any((run["seed"], run["left_out"]) == (seed, left_out) for run in runs):
                continue
            made = trained(chosen.words, seed, left_out)
            print(name, json.dumps(made), flush=True)
            node = read()
            node["trained"].setdefault(name, []).append(made)
            write(node)


if __name__ == "__main__":
    main()
