"""Runs with made-up scores that have something for every figure."""

import copy
import hashlib

import numpy as np
import pandas as pd
import pytest

from dgreid.networks.norms.gates import layer_row

BALANCE = [
    layer_row(1, "stem", np.array([0.0, 0.5, 1.0, 1.0])),
    layer_row(2, "block.norm", np.linspace(0.2, 0.6, 5)),
]
BANK = [
    {"layer": 1, "name": "stem", "channels": 4, "domain": "day", "mean": 0.5, "variance": 1.5},
    {"layer": 1, "name": "stem", "channels": 4, "domain": "night", "mean": -0.5, "variance": 0.5},
]


@pytest.fixture
def run(root, make):
    """Makes the metrics of a run on `resnet_tiny`, with words of change."""

    def made(method, seed, rank1, *changes, **more):
        node = make(method, seed, rank1, protocol="miniature")
        digest = hashlib.sha256(" ".join(changes).encode()).hexdigest()[:6] if changes else ""
        node |= {"backbone": "resnet_tiny", "recipe": "miniature", "changes": list(changes)}
        return copy.deepcopy(node | {"run": f"{node['run']}{digest}"} | more)

    return made


@pytest.fixture
def everything(run):
    """Runs that have something for every figure, and the histories of those that learn gates."""
    rates = [f"method.gate_learning_rate={rate}" for rate in (0.01, 1)]
    found = [run("erm", 0, 40.0), run("lda", 0, 42.0, bank=BANK)]
    for seed in (0, 1):
        found += [
            run("metabin", seed, 45.0 + seed, *words, balance=BALANCE)
            for words in ([], *[[r] for r in rates])
        ]
    metrics = {node["run"]: node for node in found}
    time = {"iteration": [10, 20, 30], "epoch": [1.0, 2.0, 3.0], "cross_entropy": [3.0, 2.0, 1.0]}
    meta = {f"meta_{name}": [0.9, 0.8, 0.7] for name in ("scatter", "shuffle", "triplet", "train", "test")}
    gates = {f"balance_{what}_{layer}": [0.9, 0.8, 0.7] for what in ("mean", "std") for layer in (1, 2)}
    seldom = [0.01, np.nan, -0.02]
    slopes = {f"gradient_{w}_{name}": seldom for w in ("mean", "norm") for name in ("scatter", "triplet")}
    meta = pd.DataFrame({**time, **meta, **gates, **slopes})
    histories = {
        name: meta if node["method"] == "metabin" else pd.DataFrame(time) for name, node in metrics.items()
    }
    return metrics, histories
