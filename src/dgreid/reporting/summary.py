"""reports/summary: a few numbers per run and file, for `dvc metrics show` and `dvc metrics diff`."""

from collections.abc import Mapping


def summary(run: Mapping) -> dict[str, dict[str, float]]:
    """The average Rank-1 and mAP of a run and every target's Rank-1, percent to two places.

    DVC shows a line per file and a column per number, such as `average.rank1`; one file for all runs would be
    one line.
    """
    average = {measure: round(run["average"][measure], 2) for measure in ("rank1", "mAP")}
    targets = {target: {"rank1": round(node["rank1"], 2)} for target, node in run["targets"].items()}
    return {"average": average, **targets}
