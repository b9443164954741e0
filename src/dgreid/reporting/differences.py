"""Every method of a selection against its baseline: a frame of differences with intervals, and its sheets.

Three intervals, because three things vary: other trainings (seeds, Student's t over paired seeds), other
people (bootstrap over query images), another halving of the data set (bootstrap over splits). The first is
the one to argue with; with few seeds it is wide, and rightly so.
"""

from collections.abc import Iterator, Mapping, Sequence

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
from dgreid.reporting.sheets import Column, Sheet, line, signed
from dgreid.runs import systems as runs
from dgreid.runs.systems import SETTINGS, plural

MEASURES = {"rank1": "Rank-1", "mAP": "mAP"}
BASELINE = "erm"  # unless the matrix names another: `baseline` of a run
AVERAGE = "Average"
NOWHERE = Bounds(float("nan"), float("nan"))
COLUMNS = [
    *("data", "protocol", *SETTINGS, "method", "title", "baseline", "baseline_title", "target", "measure"),
    *("method_mean", "baseline_mean", "difference", "seeds", "seeds_low", "seeds_high"),
    *("queries", "queries_low", "queries_high", "splits", "splits_low", "splits_high", "sentence"),
]
INTRODUCTION = (
    "Percentage points, method minus baseline with the same backbone and budget, paired by seed; with the "
    "95 % interval over seeds (Student's t), over query images and over splits (bootstrap of the trained "
    "models). The last two say nothing about another training; overlapping splits make theirs too narrow."
)
NOTHING = "No method of this selection has its baseline in it.\n"


def differences(
    matrix: Mapping, metrics: Mapping[str, Mapping], queries: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """One line per method, target and measure.

    Args:
        matrix: whose runs are compared; a run's `baseline` names the method it is held against.
        metrics: run name -> its metrics.
        queries: run name -> `evaluation.queries.read_queries`; intervals over queries need both runs'.

    Raises:
        UserError: two runs searched different queries.
    """
    searched = {run: dict(tuple(frame.groupby("target"))) for run, frame in queries.items()}
    lines: list[dict] = []
    for protocol in matrix["protocols"]:
        chosen = {name: run for name, run in matrix["runs"].items() if run["protocol"] == protocol}
        groups = runs.systems(metrics[name] for name in chosen)
        titles = runs.titles(groups)
        for group in groups.values():
            name = chosen[group[0]["run"]].get("baseline") or BASELINE
            partner = _partner(group[0], name, groups)
            if partner is not None and partner is not group:
                lines += _compare(group, partner, titles, searched)
    return pd.DataFrame(lines, columns=COLUMNS)


def _partner(run: Mapping, baseline: str, groups: Mapping[tuple, list]) -> list[Mapping] | None:
    """The baseline's runs with the same settings: the changes of the method itself are not its."""
    shared = tuple(word for word in runs.changes(run) if not word.startswith("method."))
    return groups.get((baseline, *(run[key] for key in SETTINGS), shared))


def _compare(
    group: Sequence[Mapping], partner: Sequence[Mapping], titles: Mapping, searched: Mapping
) -> Iterator[dict]:
    by_seed = {run["seed"]: run for run in partner}
    pairs = [(run, by_seed[run["seed"]]) for run in group if run["seed"] in by_seed]
    if not pairs or pairs[0][0]["data"] != pairs[0][1]["data"]:
        return
    first, second = pairs[0]
    fixed = {key: first[key] for key in ("data", "protocol", *SETTINGS, "method")}
    title, other = (titles[runs.system(run)] for run in (first, second))
    fixed |= {"title": title, "baseline": second["method"], "baseline_title": other}
    over_queries = {
        target: _over_queries(pairs, searched, target, number)
        for number, target in enumerate(first["targets"])
    }
    for measure in MEASURES:
        drawn: dict[str, list[np.ndarray]] = {"queries": [], "splits": []}
        for number, target in enumerate(first["targets"]):
            scores = [[run["targets"][target][measure] for run in side] for side in zip(*pairs, strict=True)]
            resampled = {
                "queries": over_queries[target][measure],
                "splits": _over_splits(pairs, target, measure, number),
            }
            for what, (distribution, _) in resampled.items():
                drawn[what].append(distribution)
            yield _line(fixed, target, measure, scores, resampled)
        scores = [[run["average"][measure] for run in side] for side in zip(*pairs, strict=True)]
        means = {what: (_mean(parts), 0) for what, parts in drawn.items()}
        yield _line(fixed, AVERAGE, measure, scores, means)


def _mean(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The distribution of the mean over targets, each drawn by itself; none where a target has none."""
    return None if any(part is None for part in parts) else np.mean(parts, axis=0)


def _over_queries(
    pairs: Sequence[tuple], searched: Mapping[str, Mapping[str, pd.DataFrame]], target: str, seed: int
) -> dict[str, tuple[np.ndarray | None, int]]:
    """Per measure the bootstrap distribution over query images, and how many there are."""
    sides = [[searched.get(run["run"], {}).get(target) for run in pair] for pair in pairs]
    if any(side is None for pair in sides for side in pair):
        return dict.fromkeys(MEASURES, (None, 0))
    keys = [[side[["split", "query"]].reset_index(drop=True) for side in pair] for pair in sides]
    for pair, both in zip(pairs, keys, strict=True):
        for run, mine in zip(pair, both, strict=True):
            if not mine.equals(keys[0][0]):
                raise UserError(
                    f"data/queries: {run['run']} and {pairs[0][0]['run']} searched {target} with different"
                    " queries; evaluate both again."
                )
    split, image = keys[0][0]["split"].to_numpy(), pd.factorize(keys[0][0]["query"])[0]
    found = sides[0][0]["mAP"].notna().to_numpy()  # the same for every run: it is the gallery's doing
    weight = np.tile(1 / np.maximum(np.bincount(split, found), 1)[split], len(pairs))
    result = {}
    for measure in MEASURES:
        gaps = [mine[measure].to_numpy() - theirs[measure].to_numpy() for mine, theirs in sides]
        drawn = resample(np.concatenate(gaps), np.tile(image, len(pairs)), weight, seed=seed)
        result[measure] = drawn, len(np.unique(image[found]))
    return result


def _over_splits(
    pairs: Sequence[tuple], target: str, measure: str, seed: int
) -> tuple[np.ndarray | None, int]:
    """Bootstrap distribution over splits, and how many there are; none of a single split."""
    splits = [[run["targets"][target]["splits"] for run in pair] for pair in pairs]
    gaps = [mine[measure] - theirs[measure] for pair in splits for mine, theirs in zip(*pair, strict=True)]
    numbers = [number for mine, _ in splits for number in range(len(mine))]
    count = max(numbers) + 1
    return (resample(gaps, numbers, seed=seed) if count > 1 else None), count


def _line(fixed: Mapping, target: str, measure: str, scores: Sequence, resampled: Mapping) -> dict:
    """One line of the frame; `scores` are the method's and the baseline's, seed by seed."""
    over_seeds = paired_difference(*scores)
    found = {**fixed, "target": target, "measure": measure, "seeds": over_seeds.pairs}
    found |= {"method_mean": np.mean(scores[0]), "baseline_mean": np.mean(scores[1])}
    found |= {"difference": over_seeds.mean, "seeds_low": over_seeds.low, "seeds_high": over_seeds.high}
    for what, (distribution, count) in resampled.items():
        bounds = NOWHERE if distribution is None else percentile_interval(distribution)
        found |= {what: count, f"{what}_low": bounds.low, f"{what}_high": bounds.high}
    return {**found, "sentence": sentence(found)}


def sentence(gap: Mapping) -> str:
    """`MetaBIN is 2.1 points above BN on GRID (Rank-1, full data), 95 % interval 0.4 to 3.7, 3 seeds.`

    The interval is that of the difference, so it is negative for what is below. One seed has none.
    """
    size = abs(gap["difference"])
    side = "above" if gap["difference"] > 0 else "below"
    place = "on average" if gap["target"] == AVERAGE else f"on {gap['target']}"
    text = (
        f"{gap['title']} is {size:.1f} points {side} {gap['baseline_title']} {place} "
        f"({MEASURES[gap['measure']]}, {gap['data']} data), "
    )
    if gap["seeds"] == 1:
        return text + "one seed: how another training would end is not known."
    low, high = gap["seeds_low"], gap["seeds_high"]
    settled = "" if low > 0 or high < 0 else " The sign is not settled."
    return f"{text}95 % interval {low:.1f} to {high:.1f}, {plural(gap['seeds'], 'seed')}.{settled}"


def caution(seeds: int) -> str:
    """What so few seeds are worth."""
    if seeds == 1:
        return "One seed has no interval over trainings: the differences may be chance."
    low, high = spread_factors(seeds)
    return (
        f"{plural(seeds, 'seed')} give the spread between trainings only within a factor of {low:.1f} to "
        f"{high:.1f}; the intervals allow for that, if trainings scatter like a normal distribution."
    )


def sheets(title: str, frame: pd.DataFrame) -> list[Sheet]:
    """One sheet per protocol: rows are method and target, with a sentence for every average below."""
    result = []
    for (protocol, data), part in frame.groupby(["protocol", "data"], sort=False):
        columns = [Column(name, text=True) for name in ("Method", "Baseline", "Backbone", "Target")]
        columns.append(Column("Seeds"))
        for name in MEASURES.values():
            columns += [
                Column(head, name) for head in ("difference", "over seeds", "over queries", "over splits")
            ]
        lines = []
        fixed = ["title", "baseline_title", "backbone", "target", "seeds"]
        for keys, both in part.groupby(fixed, sort=False):
            texts = list(map(str, keys))
            for measure in MEASURES:
                gap = both[both["measure"] == measure].iloc[0]
                texts.append(signed(gap["difference"]))
                texts += [
                    interval(gap[f"{what}_low"], gap[f"{what}_high"])
                    for what in ("seeds", "queries", "splits")
                ]
            lines.append(line(texts))
        averages = part[part["target"] == AVERAGE]
        notes = [*averages["sentence"], *map(caution, sorted(set(part["seeds"])))]
        heading = f"{title}: differences to the baseline, {data} data, protocol {protocol}"
        result.append(
            Sheet(heading, tuple(columns), tuple(lines), INTRODUCTION, tuple(("", n) for n in notes))
        )
    return result


def interval(low: float, high: float) -> str:
    """`[+0.4, +3.7]`, or nothing."""
    return "" if low != low else f"[{signed(low)}, {signed(high)}]"
