"""Balance parameters of a trained network: how much batch and how much instance norm each layer keeps."""

import numpy as np
from torch import nn

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


def balance_table(network: nn.Module) -> list[dict]:
    """Per layer, in forward order, the distribution of its balance over channels, to six places.

    Columns: layer (from 1), name, channels, mean, quantiles, and the shares at 0 (instance norm alone) and
    at 1 (batch norm alone). Empty for a network without balances.
    """
    balances = [(name, value) for name, value in network.named_parameters() if name.endswith(".balance")]
    return [
        layer_row(number, name.removesuffix(".balance"), value.detach().cpu().double().numpy())
        for number, (name, value) in enumerate(balances, 1)
    ]


def layer_row(number: int, name: str, balance: np.ndarray) -> dict:
    """One row of the table; balance is (C,)."""
    measures = {"mean": balance.mean()}
    measures |= dict(zip(QUANTILES, np.quantile(balance, list(QUANTILES.values())), strict=True))
    measures |= {"at_0": (balance <= 0).mean(), "at_1": (balance >= 1).mean()}
    rounded = {key: round(float(value), 6) for key, value in measures.items()}
    return {"layer": number, "name": name, "channels": len(balance), **rounded}
