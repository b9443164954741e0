"""A small selection with made-up scores."""

import pytest

TARGETS = ("VIPeR", "i_LIDS")


def metrics(method, seed, rank1, data="miniature", protocol="toy", splits=(-1.0, 0.0, 1.0)):
    """One run's JSON: both targets score alike, splits scatter around `rank1` by `splits`."""
    node = {"rank1": rank1, "rank5": rank1 + 10, "rank10": rank1 + 20, "mAP": rank1 + 5}
    node |= {"mAP_trapezoid": rank1 + 2, "mINP": rank1 + 5}
    per_split = [{key: value + shift for key, value in node.items()} for shift in splits]
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
        "targets": {target: {**node, "splits": per_split} for target in TARGETS},
        "average": node,
        "cost": {
            "seconds": 10.0,
            "images_per_second": 100.0,
            "peak_memory_bytes": 2**20,
            "parameters": 1234567,
            "device": "cpu",
        },
    }


def selection(runs, name="toy", title="A <toy> & its title"):
    """A matrix that lists the runs."""
    keys = ("method", "backbone", "protocol", "recipe", "image", "seed")
    return {
        "name": name,
        "title": title,
        "datasets": {},
        "protocols": sorted({run["protocol"] for run in runs}),
        "runs": {run["run"]: {key: run[key] for key in keys} | {"code": run["method"]} for run in runs},
    }


@pytest.fixture
def make():
    return metrics


@pytest.fixture
def select():
    return selection
