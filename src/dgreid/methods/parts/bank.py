"""Tables of a trained network's Buffer Bank: LDA's running statistics of each source domain."""

from collections.abc import Sequence

import pandas as pd
from torch import nn


def bank_statistics(network: nn.Module) -> pd.DataFrame:
    """Make a table of the bank, with one row per layer, channel and domain.

    Columns: layer (from 1, in forward order), name, channel and domain (from 0), mean, variance. No rows for
    a network without a bank.
    """
    columns = ("layer", "name", "channel", "domain", "mean", "variance")
    frames = [pd.DataFrame(columns=columns)]
    buffers = dict(network.named_buffers())
    names = [name.removesuffix(".bank_mean") for name in buffers if name.endswith(".bank_mean")]
    for layer, name in enumerate(names, 1):
        mean, var = (buffers[f"{name}.bank_{kind}"].cpu().double().numpy() for kind in ("mean", "var"))
        domains, channels = mean.shape
        index = pd.MultiIndex.from_product([range(channels), range(domains)], names=["channel", "domain"])
        frame = pd.DataFrame({"mean": mean.T.ravel(), "variance": var.T.ravel()}, index).reset_index()
        frames.append(frame.assign(layer=layer, name=name)[list(columns)])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def bank_table(network: nn.Module, domains: Sequence[str]) -> list[dict]:
    """Average the bank over channels, per layer and domain, to six places: the curves of the poster's figure.

    Columns: layer, name, channels, domain (one of the names `domains`), mean, variance. Empty for a network
    without a bank.
    """
    groups = bank_statistics(network).groupby(["layer", "name", "domain"])
    return [
        {
            "layer": int(layer),
            "name": name,
            "channels": len(part),
            "domain": domains[domain],
            "mean": round(float(part["mean"].mean()), 6),
            "variance": round(float(part["variance"].mean()), 6),
        }
        for (layer, name, domain), part in groups
    ]
