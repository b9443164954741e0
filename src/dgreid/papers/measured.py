"""Find the runs that measure a row of a paper's table, and summarise their scores over seeds."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from dgreid.runs import recorded


class Measurement(NamedTuple):
    """A number for a cell and its source; the fields are columns of the table's CSV.

    `method` is empty if the number is counted from the code.
    """

    method: str = ""
    title: str = ""
    provenance: str = ""
    backbone: str = ""
    changes: str = ""
    protocol: str = ""
    recipe: str = ""
    image: str = ""
    data: str = ""
    evaluated: str = ""  # targets, joined by +
    comparable: bool = False  # with the published number
    mean: float = np.nan
    std_seeds: float = np.nan
    std_splits: float = np.nan
    seeds: int = 0
    splits: int = 0


UNKNOWN = ("",) * len(recorded.ORIGIN)  # origin of a number that no run measured


@dataclass(frozen=True)
class Selector:
    """One entry of a row's `runs`: selects runs by method, backbone and overrides."""

    method: str
    backbone: str
    overrides: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Parse `method/backbone key=value ...`."""
        name, *overrides = shlex.split(text)
        method, _, backbone = name.partition("/")
        return cls(method, backbone, tuple(overrides))

    @property
    def own(self) -> tuple[str, ...]:
        """The overrides of the method itself."""
        return tuple(word for word in self.overrides if word.startswith("method."))

    def matches(self, run: Mapping, stand_in: bool) -> bool:
        """Whether this entry selects a run; the run's name tells whether it has other overrides.

        Args:
            run: its metrics.
            stand_in: allow another backbone, recipe and image; the `method.*` overrides must still be equal.
        """
        if stand_in:
            return run["run"] == recorded.expected_name(run, self.own)
        settings = [word for word in self.overrides if word not in self.own]  # recipe=NAME, image=NAME
        if run["backbone"] != self.backbone or any(run[key] != value for key, value in map(_pair, settings)):
            return False
        # a recipe that is the protocol's default is not part of the name
        subsets = (part for size in range(len(settings) + 1) for part in combinations(settings, size))
        return any(run["run"] == recorded.expected_name(run, self.own + part) for part in subsets)


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


def by_protocol(metrics: Iterable[Mapping]) -> dict[tuple[str, str], list[Mapping]]:
    """Index runs by (method, protocol), for `measurements`."""
    index: dict[tuple[str, str], list[Mapping]] = {}
    for run in metrics:
        index.setdefault((run["method"], run["protocol"]), []).append(run)
    return index


def measurements(
    selectors: Sequence[Selector],
    conditions: Iterable[tuple[str, str, str]],
    measure: str,
    index: Mapping[tuple[str, str], Sequence[Mapping]],
) -> Iterator[tuple[Measurement, tuple[str, ...]]]:
    """Yield every measurement of a cell, and the origin of its numbers (see `recorded.ORIGIN`).

    Args:
        selectors: the entries of the row's `runs`.
        conditions: role (same or stand-in), protocol and target of everything that measures the cell.
        measure: rank1, mAP, ...
        index: of `by_protocol`.
    """
    # role, stand-in protocol -> protocol -> targets: the paper's own protocols count together, each
    # stand-in by itself
    ways: dict[tuple, dict[str, list[str]]] = {}
    for role, protocol, target in conditions:
        way = ways.setdefault((role, protocol if role == "stand-in" else ""), {})
        way.setdefault(protocol, []).append(target)
    for selector in selectors:
        for (role, _), targets in ways.items():
            stand_in = role == "stand-in"
            found = (run for protocol in targets for run in index.get((selector.method, protocol), ()))
            groups: dict[tuple, list[Mapping]] = {}
            for run in found:
                if selector.matches(run, stand_in):
                    groups.setdefault((run["backbone"], run["data"]), []).append(run)
            for group in groups.values():
                if used := _complete(group, targets, measure):
                    facts = _facts(selector, group, targets, stand_in)
                    origin = recorded.origin(run for mine in used for run in mine)
                    yield Measurement(**facts, **_over_seeds(used, targets, measure)), tuple(origin.values())


def _facts(
    selector: Selector, group: Sequence[Mapping], targets: Mapping[str, list[str]], stand_in: bool
) -> dict:
    """Fill the fields of a measurement that say what was run."""
    first = group[0]
    facts = {"title": recorded.named(first)} | {key: first[key] for key in ("provenance", "backbone", "data")}
    facts |= {
        key: "+".join(dict.fromkeys(run[key] for run in group)) for key in ("protocol", "recipe", "image")
    }
    facts |= {"evaluated": "+".join(name for names in targets.values() for name in names)}
    comparable = not stand_in and first["data"] == "full"
    return facts | {"method": selector.method, "changes": " ".join(selector.own), "comparable": comparable}


def _complete(
    group: Sequence[Mapping], targets: Mapping[str, list[str]], measure: str
) -> list[list[Mapping]]:
    """Group runs by seed, and keep the seeds for which every protocol has a score on its targets."""
    by_seed: dict[int, list[Mapping]] = {}
    for run in group:
        by_seed.setdefault(run["seed"], []).append(run)
    return [
        mine
        for _, mine in sorted(by_seed.items())
        if {run["protocol"] for run in mine} == set(targets)
        and all(recorded.scores(run, targets[run["protocol"]], measure) is not None for run in mine)
    ]


def _over_seeds(used: Sequence[Sequence[Mapping]], targets: Mapping[str, list[str]], measure: str) -> dict:
    """Compute mean, std_seeds (ddof 1), std_splits, seeds and splits of a measurement.

    std_splits (ddof 0, mean over seeds) is known for a single target only, not for an average.

    Args:
        used: of `_complete`.
        targets: protocol -> its targets.
        measure: rank1, mAP, ...
    """
    means, spreads, splits = [], [], []
    for mine in used:
        values = [recorded.scores(run, targets[run["protocol"]], measure) for run in mine]
        means.append(float(np.mean(np.concatenate(values))))
        evaluated = [run["targets"][name] for run in mine for name in targets[run["protocol"]]]
        if measure not in recorded.PROPERTIES:
            splits += [len(target["splits"]) for target in evaluated]
        if len(evaluated) == 1 and f"{measure}_std" in evaluated[0]:
            spreads.append(evaluated[0][f"{measure}_std"])
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else np.nan
    spread = float(np.mean(spreads)) if spreads else np.nan
    found = {"mean": float(np.mean(means)), "std_seeds": deviation, "std_splits": spread}
    return found | {"seeds": len(means), "splits": min(splits, default=0)}
