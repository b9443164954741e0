"""reports/summary.json: a few numbers per run, for `dvc metrics show` and `dvc metrics diff`."""

from collections.abc import Mapping


def summary(metrics: Mapping[str, Mapping]) -> dict[str, dict]:
    """Per run the average Rank-1 and mAP and every target's Rank-1, percent to two places."""
    return {
        name: {
            "rank1": round(run["average"]["rank1"], 2),
            "mAP": round(run["average"]["mAP"], 2),
            "targets": {target: round(node["rank1"], 2) for target, node in run["targets"].items()},
        }
        for name, run in sorted(metrics.items())
    }
