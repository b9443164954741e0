"""The gates of batch-instance norms, parameter `balance`: 1 is pure batch norm, 0 pure instance norm."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def gates_of(network: nn.Module) -> dict[str, nn.Parameter]:
    """Find the gates of a network, by parameter name, in forward order: (C,) each."""
    return {name: gate for name, gate in network.named_parameters() if name.endswith(".balance")}


@torch.no_grad()
def clamp_gates(gates: Mapping[str, nn.Parameter]) -> None:
    """Clamp gates to [0, 1] after a step, in place."""
    for gate in gates.values():
        gate.clamp_(0, 1)


def straight_through_clamp(x: Tensor) -> Tensor:
    """Clamp x to [0, 1], with the gradient of the identity.

    A plain clamp would give no gradient to gates beyond a bound, and all gates start at one.
    """
    return x.detach().clamp(0, 1) + (x - x.detach())  # the bracket is exactly 0


def gate_trace(network: nn.Module) -> dict[str, float]:
    """Compute mean and standard deviation of every layer's gates over channels (MetaBIN, figure S6)."""
    gates = [gate.detach() for gate in gates_of(network).values()]
    means = {f"balance_mean_{layer}": float(gate.mean()) for layer, gate in enumerate(gates, 1)}
    spreads = {f"balance_std_{layer}": float(gate.std(correction=0)) for layer, gate in enumerate(gates, 1)}
    return means | spreads


def gate_table(network: nn.Module) -> list[dict]:
    """Describe how each layer's gates are distributed over channels, in forward order, to six places.

    Columns: layer (from 1), name, channels, mean, quantiles, and the shares at 0 (instance norm alone) and
    at 1 (batch norm alone). Empty for a network without gates.
    """
    return [
        layer_row(number, name.removesuffix(".balance"), gate.detach().cpu().double().numpy())
        for number, (name, gate) in enumerate(gates_of(network).items(), 1)
    ]


def layer_row(number: int, name: str, balance: np.ndarray) -> dict:
    """Make one row of the table; `balance` is (C,)."""
    measures = {"mean": balance.mean()}
    measures |= dict(zip(QUANTILES, np.quantile(balance, list(QUANTILES.values())), strict=True))
    measures |= {"at_0": (balance <= 0).mean(), "at_1": (balance >= 1).mean()}
    rounded = {key: round(float(value), 6) for key, value in measures.items()}
    return {"layer": number, "name": name, "channels": len(balance), **rounded}
