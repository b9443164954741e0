"""Score the rankings of a protocol's targets and splits, and check that the scores are possible."""

import logging
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from dgreid.errors import UserError
from dgreid.evaluation.ranked import Ranking
from dgreid.evaluation.statistics import over_splits, single_match_bounds
from dgreid.protocols import Protocol

log = logging.getLogger(__name__)

MEASURES = ("rank1", "rank5", "rank10", "mAP", "mAP_trapezoid", "mINP")
EQUAL_BY_CHANCE = 20  # queries; with fewer, different splits may score the same by chance
ROUNDING = 1e-3  # of percentages kept with four digits


def single_match(protocol: Protocol) -> set[str]:
    """Return the targets in which every query of every split has exactly one match."""
    return {
        name for name, splits in protocol.targets.items() if all(_has_one_match(*pair) for pair in splits)
    }


def _has_one_match(query, gallery) -> bool:
    pairs = query.reset_index(names="number").merge(gallery, on="identity", suffixes=("", "_gallery"))
    pairs = pairs[(pairs["identity"] >= 0) & (pairs["camera"] != pairs["camera_gallery"])]
    return len(pairs) == len(query) == pairs["number"].nunique()


def check_scores(target: str, node: dict, single: bool) -> None:
    """Check rules R19 and R22: scores of different splits differ, and mAP is one that its ranks allow.

    Args:
        target: its name, for the message.
        node: `queries`, the means and, over several splits, `*_std`; `splits`, one mapping each.
        single: every query has one match.

    Raises:
        UserError: the numbers contradict each other, so the evaluation or the protocol is wrong.
    """
    splits = node["splits"]
    same = len(splits) > 1 and not any(node[f"{measure}_std"] for measure in MEASURES)
    if same and 0 < node["mAP"] < 100:  # with all or nothing found, different splits score the same
        if node["queries"] >= EQUAL_BY_CHANCE:
            raise UserError(
                f"target {target}: all {len(splits)} splits score exactly the same, although their images "
                "differ: the model hardly looks at the images; train it with other settings."
            )
        log.warning("%s: all %d splits score the same; are they really different?", target, len(splits))
    for number, split in enumerate(splits if single else ()):
        for measure, definition in (("mAP", "step"), ("mAP_trapezoid", "trapezoid")):
            bounds = single_match_bounds(split["rank1"], split["rank5"], split["rank10"], definition)
            if not bounds.low - ROUNDING <= split[measure] <= bounds.high + ROUNDING:
                raise UserError(
                    f"target {target}, split {number}: {measure} {split[measure]} is impossible with its "
                    f"ranks and one match per query ({bounds.low:.2f} to {bounds.high:.2f}); report this as "
                    "an error of the evaluation."
                )


def not_above_chance(targets: Mapping[str, Mapping], protocol: Protocol) -> list[str]:
    """Return the targets on which a random order would reach the same mAP; log a warning for each.

    Args:
        targets: of `summarise`.
        protocol: whose targets were evaluated.
    """
    found = []
    for name, splits in protocol.targets.items():
        chance = float(np.mean([100 * chance_of(*pair) for pair in splits]))
        if targets[name]["mAP"] <= chance:
            found.append(name)
            log.warning(
                "%s: mAP %.2f is not above the %.2f of a random order: the model tells nobody apart there, "
                "or its similarity is higher for what differs.",
                name,
                targets[name]["mAP"],
                chance,
            )
    return found


def chance_of(query: pd.DataFrame, gallery: pd.DataFrame) -> float:
    """Compute the mAP that random orders have on average, as a share.

    With R matches among N images it is (H + (R - 1) / (N - 1) x (N - H)) / N, H being the sum of 1/k up to
    N. As in the ranking, images of the query's identity and camera do not count, nor do queries without a
    match.
    """
    known = gallery[gallery["identity"] >= 0]
    same = query[["identity"]].merge(known.groupby("identity").size().rename("n"), "left", on="identity")["n"]
    here = known.groupby(["identity", "camera"]).size().rename("n")
    junk = query[["identity", "camera"]].merge(here, "left", on=["identity", "camera"])["n"]
    same, junk = same.fillna(0).to_numpy(), junk.fillna(0).to_numpy()
    matches, images = (same - junk), len(gallery) - junk
    valid = matches > 0
    matches, images = matches[valid], images[valid].astype(int)
    harmonic = np.cumsum(1 / np.arange(1, len(gallery) + 1))[images - 1]
    rest = (matches - 1) / np.maximum(images - 1, 1) * (images - harmonic)
    return float(np.mean((harmonic + rest) / images))


def scores(result: Ranking) -> dict[str, float]:
    """Compute the measures of one ranking, in percent."""
    shares = (
        *result.cmc,
        result.mean_average_precision,
        result.mean_average_precision_trapezoid,
        result.mean_inverse_negative_penalty,
    )
    return {name: round(100 * float(share), 4) for name, share in zip(MEASURES, shares, strict=True)}


def summarise(results: Mapping[str, list[Ranking]], single: Collection[str] = ()) -> dict[str, dict]:
    """Make the scores that reports/metrics stores: `targets`, each with its splits, and their `average`.

    A target's score is the mean over its splits, `*_std` the population standard deviation (ddof 0); the
    average is the unweighted mean over targets. Splits are a list, which `dvc metrics` ignores.

    Args:
        results: of `runner.run_protocol`.
        single: the targets with one match per query, see `single_match`; their mAP is checked.

    Raises:
        UserError: numbers that contradict each other, see `check_scores`.
    """
    targets = {}
    for name, rankings in results.items():
        splits = [scores(result) for result in rankings]
        node: dict = {"queries": len(rankings[0].first_hit)}
        for measure in MEASURES:
            spread = over_splits([split[measure] for split in splits])
            node[measure] = round(spread.mean, 4)
            if len(splits) > 1:
                node[f"{measure}_std"] = round(spread.deviation, 4)
        targets[name] = {**node, "splits": splits}
        check_scores(name, targets[name], name in single)
    average = {
        measure: round(float(np.mean([node[measure] for node in targets.values()])), 4)
        for measure in MEASURES
    }
    return {"targets": targets, "average": average}
