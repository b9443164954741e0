"""The metrics of a run as evaluate writes them, with made-up scores."""

from dgreid.runs.recorded import expected_name

TARGETS = ("VIPeR", "i_LIDS")
FOUR = ("VIPeR", "PRID", "GRID", "iLIDS")  # of the protocol metabin_dg
BIG, RESNET = "mobilenet_v2_x1_4", "resnet50"


def node(method, seed, rank1, data="miniature", protocol="toy", splits=(-1.0, 0.0, 1.0)):
    """One run's JSON: both targets score alike, splits scatter around `rank1` by `splits`."""
    scores = {"rank1": rank1, "rank5": rank1 + 10, "rank10": rank1 + 20, "mAP": rank1 + 5}
    scores |= {"mAP_trapezoid": rank1 + 2, "mINP": rank1 + 5}
    per_split = [{key: value + shift for key, value in scores.items()} for shift in splits]
    return {
        "run": f"{method}-tiny-{protocol}-s{seed}",
        "data": data,
        "protocol": protocol,
        "method": method,
        "title": {"erm": "BN baseline"}.get(method, method),
        "provenance": "baseline" if method == "erm" else "as released",
        "backbone": "tiny_net",
        "recipe": "quick",
        "image": "64x32",
        "seed": seed,
        "targets": {target: {**scores, "splits": per_split} for target in TARGETS},
        "average": scores,
        "cost": {
            "seconds": 10.0,
            "images_per_second": 100.0,
            "peak_memory_bytes": 2**20,
            "parameters": 1234567,
            "device": "cpu",
        },
    }


def protocol_run(method, backbone, protocol, targets, scores, seed=0, words=(), data="full", **more):
    """The same under a paper's protocol; `scores` is Rank-1 per target, which every measure follows."""
    metrics = node(method, seed, 0.0, data=data, protocol=protocol)
    made = {}
    for target, score in zip(targets, scores, strict=True):
        value = {
            key: score + shift for key, shift in (("rank1", 0), ("rank5", 10), ("rank10", 20), ("mAP", 5))
        }
        made[target] = {**value, "rank1_std": 2.0, "mAP_std": 1.0, "splits": [value, value]}
    metrics |= {"backbone": backbone, "targets": made, "balance": [], **more}
    metrics["run"] = expected_name(metrics, words)
    metrics["changes"] = [word for word in words if "." in word]
    return metrics


def dg(method="metabin", backbone=BIG, scores=(57.0, 73.0, 50.0, 80.0), **more):
    """The same under the protocol of MetaBIN's table 1."""
    return protocol_run(method, backbone, "metabin_dg", FOUR, scores, **more)
