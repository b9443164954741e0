"""Count what the papers' tables say about a network; this needs the code alone, no run and no data."""

from collections.abc import Callable
from functools import cache

from dgreid import params
from dgreid.networks.backbones import load_backbone
from dgreid.papers.specification import Specification, specify

_specification = cache(specify)  # a network is counted once for all its measures
PROVENANCE, TITLE = "from the code", "every norm a batch-instance norm"  # of a counted line
MEASURES: dict[str, Callable[[Specification], float]] = {  # as data/reference names the columns
    "dim": lambda network: network.dimension,
    "norm_layers": lambda network: network.norm_layers,
    "balancing_params": lambda network: network.balance_parameters,
    "all_params_m": lambda network: network.parameters / 1e6,
}


def count(backbone: str, measure: str) -> float | None:
    """Count one of MEASURES of a network; None for another measure or an unknown backbone."""
    if measure not in MEASURES or backbone not in params.names("backbone"):
        return None
    return float(MEASURES[measure](_specification(load_backbone(backbone))))
