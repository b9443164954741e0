"""Compare every method of a selection with its baseline: differences, their intervals, their table.

There are three intervals because three things vary: the training (seeds: Student's t over paired seeds), the
query images (bootstrap over them), and how the data set is split (bootstrap over splits). Conclusions rest on
the first; with few seeds it is wide, as it should be.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dgreid.errors import UserError
from dgreid.evaluation.statistics import (
    Bounds,
    paired_difference,
    percentile_interval,
    resample,
    spread_factors,
)
from dgreid.paths import QUERIES
from dgreid.runs import recorded
from dgreid.runs.recorded import SETTINGS, plural
from dgreid.sheets import Column, Sheet, line, signed

MEASURES = {"rank1": "Rank-1", "mAP": "mAP"}
BASELINE = "erm"  # unless the selection names another: `baseline` of a run
AVERAGE = "Average"
NOWHERE = Bounds(float("nan"), float("nan"))
INTRODUCTION = (
    "Percentage points, method minus baseline with the same backbone and budget, paired by seed; with the "
    "95 % interval over seeds (Student's t), over query images and over splits (bootstrap of the trained "
    "models). The last two say nothing about another training; overlapping splits make theirs too narrow."
)
NOTHING = "No method of this selection has its baseline in it.\n"


class Gap(NamedTuple):
    """A method minus its baseline on one target by one measure, in percentage points.

    The fields are the columns of the CSV. An interval that is not known has NaN ends.
    """

    data: str
    protocol: str
    backbone: str
    recipe: str
    image: str
    method: str
    title: str  # of the method
    baseline: str
    baseline_title: str
    target: str  # or AVERAGE
    measure: str
    method_mean: float
    baseline_mean: float
    difference: float
    seeds: int
    seeds_low: float
    seeds_high: float
    queries: int
    queries_low: float
    queries_high: float
    splits: int
    splits_low: float
    splits_high: float

    def over(self, what: str) -> Bounds:
        """Return the 95 % interval over `seeds`, `queries` or `splits`."""
        return Bounds(getattr(self, f"{what}_low"), getattr(self, f"{what}_high"))

    @property
    def way(self) -> str:
        """Return `up` or `down` if the interval over seeds excludes zero, else ""."""
        return "up" if self.seeds_low > 0 else "down" if self.seeds_high < 0 else ""

    @property
    def sentence(self) -> str:
        """`MetaBIN is 2.1 points above BN on GRID (Rank-1, full data), 95 % interval 0.4 to 3.7, 3 seeds.`

        The interval is that of the difference, so it is negative if the method is below. One seed has none.
        """
        side = "above" if self.difference > 0 else "below"
        place = "on average" if self.target == AVERAGE else f"on {self.target}"
        text = (
            f"{self.title} is {abs(self.difference):.1f} points {side} {self.baseline_title} {place} "
            f"({MEASURES[self.measure]}, {self.data} data), "
        )
        if self.seeds == 1:
            return text + "one seed: how another training would end is not known."
        settled = "" if self.way else " The sign is not settled."
        interval = f"95 % interval {self.seeds_low:.1f} to {self.seeds_high:.1f}"
        return f"{text}{interval}, {plural(self.seeds, 'seed')}.{settled}"


def differences(
    matrix: Mapping, metrics: Mapping[str, Mapping], queries: Mapping[str, pd.DataFrame]
) -> list[Gap]:
    """Compute every method minus its baseline, by target and measure.

    Args:
        matrix: the selection; a run's `baseline` names the method it is compared with.
        metrics: run name -> its metrics.
        queries: run name -> `evaluation.queries.as_percent`; an interval over queries needs both runs'.

    Raises:
        UserError: two runs were evaluated with different queries.
    """
    by_target = {run: dict(tuple(frame.groupby("target"))) for run, frame in queries.items()}
    gaps: list[Gap] = []
    for protocol in matrix["protocols"]:
        chosen = {name: run for name, run in matrix["runs"].items() if run["protocol"] == protocol}
        groups = recorded.grouped(metrics[name] for name in chosen)
        titles = recorded.titles(groups)
        for group in groups.values():
            name = chosen[group[0]["run"]].get("baseline") or BASELINE
            partner = _partner(group[0], name, groups)
            if partner is not None and partner is not group:
                gaps += _compare(group, partner, titles, by_target)
    return gaps


def frame(gaps: Iterable[Gap]) -> pd.DataFrame:
    """Make one line per gap, with its sentence in the last column."""
    gaps = list(gaps)
    return pd.DataFrame(gaps, columns=Gap._fields).assign(sentence=[gap.sentence for gap in gaps])


def by_target(gaps: Iterable[Gap]) -> list[list[Gap]]:
    """Group the gaps of one method on one target, measure by measure, in the order in which they come."""
    groups: dict[tuple, list[Gap]] = {}
    for gap in gaps:
        groups.setdefault((*comparison(gap), gap.target), []).append(gap)
    return list(groups.values())


def comparison(gap: Gap) -> tuple[str, ...]:
    """Return what is equal for all gaps of one method under the same settings."""
    return gap.protocol, gap.backbone, gap.recipe, gap.image, gap.title, gap.baseline_title


def _partner(run: Mapping, baseline: str, groups: Mapping[tuple, list]) -> list[Mapping] | None:
    """Return the baseline's runs with the same settings; `method.*` overrides do not apply to it."""
    shared = tuple(word for word in recorded.changes(run) if not word.startswith("method."))
    return groups.get((baseline, *(run[key] for key in SETTINGS), shared))


def _compare(
    group: Sequence[Mapping], partner: Sequence[Mapping], titles: Mapping, queries: Mapping
) -> Iterator[Gap]:
    by_seed = {run["seed"]: run for run in partner}
    pairs = [(run, by_seed[run["seed"]]) for run in group if run["seed"] in by_seed]
    if not pairs or pairs[0][0]["data"] != pairs[0][1]["data"]:
        return
    first, second = pairs[0]
    fixed = {key: first[key] for key in ("data", "protocol", *SETTINGS, "method")}
    title, other = (titles[recorded.group_key(run)] for run in (first, second))
    fixed |= {"title": title, "baseline": second["method"], "baseline_title": other}
    over_queries = {
        target: _over_queries(pairs, queries, target, number)
        for number, target in enumerate(first["targets"])
    }
    for measure in MEASURES:
        distributions: dict[str, list[np.ndarray | None]] = {"queries": [], "splits": []}
        for number, target in enumerate(first["targets"]):
            scores = [[run["targets"][target][measure] for run in side] for side in zip(*pairs, strict=True)]
            resampled = {
                "queries": over_queries[target][measure],
                "splits": _over_splits(pairs, target, measure, number),
            }
            for what, (distribution, _) in resampled.items():
                distributions[what].append(distribution)
            yield _gap(fixed, target, measure, scores, resampled)
        scores = [[run["average"][measure] for run in side] for side in zip(*pairs, strict=True)]
        means = {what: (_mean(parts), 0) for what, parts in distributions.items()}
        yield _gap(fixed, AVERAGE, measure, scores, means)


def _mean(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return the distribution of the mean over targets, each resampled by itself; None if one lacks it."""
    return None if any(part is None for part in parts) else np.mean(parts, axis=0)


def _over_queries(
    pairs: Sequence[tuple], queries: Mapping[str, Mapping[str, pd.DataFrame]], target: str, seed: int
) -> dict[str, tuple[np.ndarray | None, int]]:
    """Return, by measure, the bootstrap distribution over query images, and the number of these images."""
    sides = [[queries.get(run["run"], {}).get(target) for run in pair] for pair in pairs]
    if any(side is None for pair in sides for side in pair):
        return dict.fromkeys(MEASURES, (None, 0))
    keys = [[side[["split", "query"]].reset_index(drop=True) for side in pair] for pair in sides]
    for pair, both in zip(pairs, keys, strict=True):
        for run, mine in zip(pair, both, strict=True):
            if not mine.equals(keys[0][0]):
                raise UserError(
                    f"{QUERIES}: {run['run']} and {pairs[0][0]['run']} were evaluated on {target} with"
                    " different queries; evaluate both again."
                )
    split, image = keys[0][0]["split"].to_numpy(), pd.factorize(keys[0][0]["query"])[0]
    found = sides[0][0]["mAP"].notna().to_numpy()  # the same for every run: the gallery decides it
    weight = np.tile(1 / np.maximum(np.bincount(split, found), 1)[split], len(pairs))
    result = {}
    for measure in MEASURES:
        gaps = [mine[measure].to_numpy() - theirs[measure].to_numpy() for mine, theirs in sides]
        distribution = resample(np.concatenate(gaps), np.tile(image, len(pairs)), weight, seed=seed)
        result[measure] = distribution, len(np.unique(image[found]))
    return result


def _over_splits(
    pairs: Sequence[tuple], target: str, measure: str, seed: int
) -> tuple[np.ndarray | None, int]:
    """Return the bootstrap distribution over splits, None for a single one, and the number of splits."""
    splits = [[run["targets"][target]["splits"] for run in pair] for pair in pairs]
    gaps = [mine[measure] - theirs[measure] for pair in splits for mine, theirs in zip(*pair, strict=True)]
    numbers = [number for mine, _ in splits for number in range(len(mine))]
    count = max(numbers) + 1
    return (resample(gaps, numbers, seed=seed) if count > 1 else None), count


def _gap(fixed: Mapping, target: str, measure: str, scores: Sequence, resampled: Mapping) -> Gap:
    """Make one gap; `scores` are those of the method and of the baseline, seed by seed."""
    over_seeds = paired_difference(*scores)
    found = {"method_mean": float(np.mean(scores[0])), "baseline_mean": float(np.mean(scores[1]))}
    found |= {"difference": over_seeds.mean, "seeds": over_seeds.pairs}
    found |= {"seeds_low": over_seeds.low, "seeds_high": over_seeds.high}
    for what, (distribution, count) in resampled.items():
        bounds = NOWHERE if distribution is None else percentile_interval(distribution)
        found |= {what: count, f"{what}_low": bounds.low, f"{what}_high": bounds.high}
    return Gap(**fixed, target=target, measure=measure, **found)


def caution(seeds: int) -> str:
    """Say how little so few seeds tell about the spread between trainings."""
    if seeds == 1:
        return "One seed has no interval over trainings: the differences may be chance."
    low, high = spread_factors(seeds)
    return (
        f"{plural(seeds, 'seed')} give the spread between trainings only within a factor of {low:.1f} to "
        f"{high:.1f}; the intervals allow for that, if trainings scatter like a normal distribution."
    )


def sheets(title: str, gaps: Sequence[Gap]) -> list[Sheet]:
    """Make a sheet per protocol: a row per method and target, and below it a sentence for every average."""
    result = []
    for protocol, data in dict.fromkeys((gap.protocol, gap.data) for gap in gaps):
        mine = [gap for gap in gaps if (gap.protocol, gap.data) == (protocol, data)]
        notes = [gap.sentence for gap in mine if gap.target == AVERAGE]
        notes += map(caution, sorted({gap.seeds for gap in mine}))
        heading = f"{title}: differences to the baseline, {data} data, protocol {protocol}"
        lines = tuple(line(_texts(same)) for same in by_target(mine))
        result.append(Sheet(heading, _columns(), lines, INTRODUCTION, tuple(("", note) for note in notes)))
    return result


def _columns() -> tuple[Column, ...]:
    heads = ("difference", "over seeds", "over queries", "over splits")
    fixed = [Column(name, text=True) for name in ("Method", "Baseline", "Backbone", "Target")]
    return (*fixed, Column("Seeds"), *(Column(head, name) for name in MEASURES.values() for head in heads))


def _texts(same: Sequence[Gap]) -> list[str]:
    """Write the cells of a row from the gaps of one method on one target, one per measure."""
    first = same[0]
    texts = [first.title, first.baseline_title, first.backbone, first.target, str(first.seeds)]
    for gap in same:
        texts += [
            signed(gap.difference),
            *(interval(gap.over(what)) for what in ("seeds", "queries", "splits")),
        ]
    return texts


def interval(bounds: Bounds) -> str:
    """Write an interval as `[+0.4, +3.7]`; "" if it is not known."""
    low, high = bounds
    return "" if low != low else f"[{signed(low)}, {signed(high)}]"
