"""Check the published numbers against each other.

Each check returns the places (document, table, row, target, metric) of the numbers that contradict others. If
data/reference/marks.csv explains a contradiction, it is a misprint of the paper. Any other is most likely a
typing error in data/reference, and the report warns of it.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dgreid.evaluation.statistics import single_match_bounds
from dgreid.papers import reference
from dgreid.papers.reference import PLACE
from dgreid.paths import REFERENCE

ROUNDING = 0.06  # of a mean of cells that are themselves rounded to 0.1; correct ones are off by 0.05 at most
PER_BACKBONE = {("metabin", "T1"), ("m3l", "T3")}  # tables with bold numbers per backbone
SINGLE_MATCH = {"metabin_dg", "lda_p1", "lda_p1_with_duke"}  # one match per query on all four targets
SCORES = ("rank1", "rank5", "rank10", "mAP")


def unexplained(folder: Path | None = None) -> list[str]:
    """Write a sentence for every contradiction that marks.csv does not explain.

    Args:
        folder: holds the published numbers; None: data/reference.
    """
    cells = reference.results(folder)
    marks = reference.marks(cells, folder)
    explained = set(marks[[*PLACE, "kind"]].itertuples(index=False, name=None))
    return [
        f"{REFERENCE / 'paper_results.csv'}: {' '.join(place)} {CHECKS[kind][1]}; compare it with the paper, "
        "and explain a misprint in marks.csv."
        for *place, kind in findings(cells).itertuples(index=False, name=None)
        if (*place, kind) not in explained
    ]


def findings(cells: pd.DataFrame) -> pd.DataFrame:
    """List every contradiction: its PLACE, and the kind of check (see CHECKS) that finds it."""
    parts = [check(cells)[PLACE].assign(kind=kind) for kind, (check, _) in CHECKS.items()]
    return pd.concat(parts, ignore_index=True)


def averages(cells: pd.DataFrame) -> pd.DataFrame:
    """Recompute every published average whose cells are published too.

    Returns:
        PLACE, method, printed (the published average), mean (of the cells) and difference (printed - mean).
    """
    scores = cells[cells["metric"].isin(SCORES)]
    keys = ["document", "table", "row", "metric", "protocol"]
    mean = scores[scores["target"] != "average"].groupby(keys)["number"].mean().rename("mean")
    shown = scores[scores["target"] == "average"].rename(columns={"number": "printed"})
    joined = shown.merge(mean, left_on=keys, right_index=True)
    return joined.assign(difference=joined["printed"] - joined["mean"])[
        [*PLACE, "method", "printed", "mean", "difference"]
    ]


def wrong_averages(cells: pd.DataFrame) -> pd.DataFrame:
    """Find averages that are not the mean of their row."""
    found = averages(cells)
    return found[found["difference"].abs() > ROUNDING][PLACE]


def falling_ranks(cells: pd.DataFrame) -> pd.DataFrame:
    """Find Rank-1 above Rank-5 and Rank-5 above Rank-10; returns the place of the lower rank."""
    wide = _by_measure(cells)
    found = [
        wide[wide[low] > wide[high]].reset_index()[PLACE[:-1]].assign(metric=low)
        for low, high in (("rank1", "rank5"), ("rank5", "rank10"))
    ]
    return pd.concat(found)[PLACE]


def impossible_precisions(cells: pd.DataFrame) -> pd.DataFrame:
    """Find mAP outside what the ranks allow if every query has one match, as in swapped columns."""
    wide = bounded(cells)
    low, high = wide["low"] - 0.1, wide["high"] + 0.1  # all are rounded
    return wide[(wide["mAP"] < low) | (wide["mAP"] > high)].assign(metric="mAP")[PLACE]


def bounded(cells: pd.DataFrame) -> pd.DataFrame:
    """List every mAP with one match per query, and the lowest and highest value that its ranks allow."""
    mine = cells[cells["protocol"].isin(SINGLE_MATCH) & ~cells["target"].isin(["average", ""])]
    wide = _by_measure(mine).dropna(subset=["rank1", "mAP"]).reset_index()

    def allowed(row: pd.Series) -> tuple[float, float]:
        if row[["rank5", "rank10"]].notna().all():
            return tuple(single_match_bounds(row["rank1"], row["rank5"], row["rank10"]))
        return row["rank1"], (row["rank1"] + 100) / 2  # the others second at best, anywhere at worst

    wide[["low", "high"]] = [allowed(row) for _, row in wide.iterrows()]
    return wide


def hollow_bold(cells: pd.DataFrame) -> pd.DataFrame:
    """Find bold numbers that are not the single best of their column (in some tables, of their backbone)."""
    scores = cells[cells["metric"].isin(SCORES)].copy()
    per = scores[["document", "table"]].apply(tuple, axis=1).isin(PER_BACKBONE)
    scores["family"] = scores["backbone"].str.split("_").str[0].where(per, "")
    keys = ["document", "table", "target", "metric", "family"]
    scores["top"] = scores.groupby(keys)["number"].transform("max")
    plain = scores["number"].where(scores["best"] != "true")
    scores["plain_top"] = plain.groupby([scores[key] for key in keys]).transform("max")
    beaten = (scores["number"] < scores["top"]) | (scores["number"] == scores["plain_top"])
    return scores[(scores["best"] == "true") & beaten][PLACE]


def repeated_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """Find rows of one table that agree in every cell."""
    scores = cells[cells["metric"].isin(SCORES)]
    place = ["document", "table", "row"]
    rows = scores.groupby(place, sort=False)[["target", "metric", "value"]].apply(
        lambda part: " ".join(sorted("/".join(line) for line in part.to_numpy()))
    )
    frame = rows.rename("content").reset_index()
    twice = frame[frame.duplicated(["document", "table", "content"], keep=False)]
    return scores.merge(twice[place], on=place)[PLACE]


def source_sums(cells: pd.DataFrame, what: str) -> tuple[float, float]:
    """Recompute the size of D+M+C3 in M3L, Table 2, from the three other sums and the size of D.

    Args:
        cells: of `reference.results`.
        what: ids or images.

    Returns:
        The published size and the recomputed one.
    """
    lines = cells[(cells["document"] == "m3l") & (cells["table"] == "T2") & (cells["metric"] == what)]
    size = lines.groupby("sources")["number"].first()
    duke = size["D"]
    market = size["MS+M+C3"] - size["MS+D+C3"] + duke
    msmt = size["MS+D+M"] - duke - market
    cuhk = size["MS+D+C3"] - duke - msmt
    return size["D+M+C3"], duke + market + cuhk


def wrong_sums(cells: pd.DataFrame) -> pd.DataFrame:
    """Find the size of D+M+C3 if it is not the sum of its parts (see `source_sums`)."""
    found = []
    for what in ("ids", "images"):
        published, implied = source_sums(cells, what)
        lines = cells[(cells["document"] == "m3l") & (cells["table"] == "T2") & (cells["metric"] == what)]
        if published != implied:
            found.append(lines[lines["sources"] == "D+M+C3"][PLACE])
    return pd.concat(found) if found else cells.iloc[:0][PLACE]


def odd_ratios(cells: pd.DataFrame) -> pd.DataFrame:
    """Find cells of CUHK03 in LDA, Protocols 2 and 3, whose ratio Rank-1 / mAP is far from 1."""
    mine = cells[(cells["table"] == "P23") & (cells["target"] == "cuhk03")]
    wide = _by_measure(mine).reset_index()
    odd = wide[(wide["rank1"] / wide["mAP"]).sub(1).abs() > 0.1]
    return mine.merge(odd[PLACE[:-1]], on=PLACE[:-1])[PLACE]


def wrong_gains(cells: pd.DataFrame) -> pd.DataFrame:
    """Find gains in M3L, Table 5, that are not the difference to the row above."""
    mine = cells[(cells["document"] == "m3l") & (cells["table"] == "T5")]
    number = mine.set_index(["row", "target", "metric"])["number"]
    gains = mine[mine["metric"].str.endswith("_gain")]
    found = []
    for line in gains.itertuples():
        metric = line.metric.removesuffix("_gain")
        above = number[str(int(line.row) - 1), line.target, metric]
        found.append(abs(number[line.row, line.target, metric] - above - line.number) > ROUNDING)
    return gains[found][PLACE]


def _by_measure(cells: pd.DataFrame) -> pd.DataFrame:
    """Make one line per document, table, row and target, and one column per score, NaN if not published."""
    scores = cells[cells["metric"].isin(SCORES)]
    wide = scores.pivot(index=PLACE[:-1], columns="metric", values="number")
    return wide.reindex(columns=SCORES)


# kind (a column of marks.csv) -> the check, and what is wrong with a number that it finds
CHECKS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "average": (wrong_averages, "is not the mean of its row"),
    "count": (wrong_sums, "is not the sum of its sources"),
    "bold": (hollow_bold, "is bold, but not the only best of its column"),
    "repeat": (repeated_rows, "is in a row that repeats another"),
    "ratio": (odd_ratios, "has another ratio of Rank-1 to mAP than the other rows"),
    "ranks": (falling_ranks, "is above the next higher rank"),
    "bounds": (impossible_precisions, "is impossible with its ranks and one match per query"),
    "gain": (wrong_gains, "is not the difference to the row above"),
}
