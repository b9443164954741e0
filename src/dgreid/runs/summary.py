"""Choose the few numbers of a run in reports/summary, for `dvc metrics show` and `diff`."""

from collections.abc import Mapping


def summary(run: Mapping) -> dict[str, dict[str, float]]:
    """Return a run's average Rank-1 and mAP and every target's Rank-1, percent to two places.

    They are written to a file per run, because DVC shows a line per file and a column per number, such as
    `average.rank1`.
    """
    average = {measure: round(run["average"][measure], 2) for measure in ("rank1", "mAP")}
    targets = {target: {"rank1": round(node["rank1"], 2)} for target, node in run["targets"].items()}
    return {"average": average, **targets}
