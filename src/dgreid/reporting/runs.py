"""Runs as the report reads them: the content of reports/metrics, grouped into systems and their seeds."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

SETTINGS = ("backbone", "recipe", "image")


def changes(run: Mapping) -> tuple[str, ...]:
    """The words by which a run departs from the files of params/, sorted."""
    return tuple(sorted(run.get("changes", ())))


def expected_name(run: Mapping, words: Iterable[str]) -> str:
    """The name of a run like this one that departs from the files by these words and no others."""
    name = "{method}-{backbone}-{protocol}-s{seed}".format(**run)
    digest = hashlib.sha256(" ".join(sorted(words)).encode()).hexdigest()[:6]
    return f"{name}-{digest}" if words else name


def system(run: Mapping) -> tuple:
    """What runs that differ only in their seed have in common."""
    return (run["method"], *(run[key] for key in SETTINGS), changes(run))


def systems(runs: Iterable[Mapping]) -> dict[tuple, list[Mapping]]:
    """Runs by system, in the order they come, seeds rising."""
    groups: dict[tuple, list[Mapping]] = {}
    for run in runs:
        groups.setdefault(system(run), []).append(run)
    return {key: sorted(group, key=lambda run: run["seed"]) for key, group in groups.items()}


def title(run: Mapping) -> str:
    """The method's title, with its changes behind it."""
    return ", ".join([run["title"], *(word.removeprefix("method.") for word in changes(run))])


def plural(count: int, word: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def scores(run: Mapping, targets: Sequence[str], measure: str) -> list[float] | None:
    """The measure on every target, percent, or a property of the network; None where the run lacks one.

    Args:
        run: its metrics.
        targets: names as the protocol has them.
        measure: rank1, mAP, ...; or norm_layers, balancing_params, or memory_mib of training on a GPU.
    """
    if measure in PROPERTIES:
        value = PROPERTIES[measure](run)
        return None if value is None else [value]
    found = [run["targets"].get(target, {}).get(measure) for target in targets]
    return None if None in found else found


def _memory(run: Mapping) -> float | None:
    cost = run["cost"]
    return None if cost.get("device", "cpu") == "cpu" else cost["peak_memory_bytes"] / 2**20


PROPERTIES: dict[str, Callable[[Mapping], float | None]] = {
    "norm_layers": lambda run: float(len(run["balance"])) or None,
    "balancing_params": lambda run: float(sum(layer["channels"] for layer in run["balance"])) or None,
    "memory_mib": _memory,
}
