"""What a trained network's gates are worth: it is evaluated with other gates than its own."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dgreid.images.normalise import normalise
from dgreid.methods.base import Method
from dgreid.networks.norms.gates import gates_of
from studies.story_runs import pack, protocol, targets, trained

PROBED = {"erm_bin": "metabin", "metabin": "erm_bin"}  # and whose gates it is given


@torch.no_grad()
def set_gates(method: Method, rule: Callable[[str, Tensor], Tensor]) -> None:
    for name, gate in gates_of(method).items():
        gate.copy_(rule(name, gate))


@torch.no_grad()
def estimate_statistics(method: Method) -> None:
    """Running statistics from one pass over all training images, mixed, in training mode, 64 at a time."""
    rows = protocol().train
    images = np.concatenate(
        [pack(dataset)[part["row"].to_numpy()] for dataset, part in rows.groupby("dataset")]
    )
    order = np.random.default_rng(0).permutation(len(images))
    method.train()
    for chosen in np.array_split(order, len(order) // 64):
        method.embed(normalise(torch.from_numpy(images[chosen])))
    method.eval()


def probes(seed: int, name: str) -> dict[str, dict[str, float]]:
    """Evaluate a trained network with other gates than its own."""
    other = {gate: value.detach() for gate, value in gates_of(trained(PROBED[name], seed)).items()}
    stem = next(iter(other))
    rules = {
        "learned": lambda gate, value: value,
        f"{PROBED[name]}'s": lambda gate, value: other[gate],
        "learned in the stem, else 1": lambda gate, value: value if gate == stem else torch.ones_like(value),
    }
    for constant in (0.0, 0.25, 0.5, 0.75, 1.0):
        rules[f"{constant:g}"] = lambda gate, value, constant=constant: torch.full_like(value, constant)
    found = {}
    for title, rule in rules.items():
        method = trained(name, seed)
        set_gates(method, rule)
        estimate_statistics(method)
        found[title] = targets(method)
    return found
