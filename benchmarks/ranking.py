"""Ranking alone: counting positions against sorting rows with NumPy, both exact, in one process.

    python -m benchmarks.ranking             # prints a table, writes benchmarks/results/ranking.json

The data are random but have the shape of Market-1501 (3,368 queries, 15,913 gallery images, 750
identities, 2,798 distractors, 6 cameras) and, for the memory, of MSMT17 (11,659 x 82,161). Distances are
given: the matrix product is not part of the times; they lie in main memory, or, measured separately, in
the cache where a product has just left them. Rounds are interleaved, so that a busy machine slows
both ways alike; the ratio of a round is what counts. No real model is measured.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import RESULTS, ROOT

RESULT = RESULTS / "ranking.json"
ROUNDS = 7


def labels(queries: int, identities: int, images: int, distractors: int, cameras: int, seed: int = 0):
    """Identities and cameras of queries and gallery: uneven identities, one query per (identity, camera)."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(sigma=0.5, size=identities)
    owner = np.concatenate(
        [
            np.arange(identities),
            rng.choice(identities, images - distractors - identities, p=weight / weight.sum()),
            np.full(distractors, -1),
        ]
    )
    owner = rng.permutation(owner)
    camera = rng.integers(0, cameras, images)
    pairs = rng.permutation(identities * cameras)[:queries] if queries <= identities * cameras else None
    return pairs // cameras, owner, pairs % cameras, camera


def images_of(query_identities, gallery_identities) -> dict:
    return {own: np.flatnonzero(gallery_identities == own) for own in np.unique(query_identities)}


def sort_rows(
    scores, query_identities, gallery_identities, query_cameras, gallery_cameras, members=None
) -> np.ndarray:
    """The plain exact way: sort the values of each row and look the matches up in it."""
    precision = np.full(len(scores), np.nan)
    members = members or images_of(query_identities, gallery_identities)
    for i, row in enumerate(scores):
        own = members[query_identities[i]]
        same = gallery_cameras[own] == query_cameras[i]
        matches, junk = own[~same], own[same]
        if len(matches) == 0:
            continue
        values = np.sort(row)
        closer = len(row) - np.searchsorted(values, row[matches], side="right")
        at_least = len(row) - np.searchsorted(values, row[matches], side="left")
        for k in np.flatnonzero(at_least - closer > 1):  # ties: the lower gallery index comes first
            closer[k] += np.count_nonzero(row[: matches[k]] == row[matches[k]])
        if len(junk):
            ahead = row[junk] > row[matches][:, None]
            ahead |= (row[junk] == row[matches][:, None]) & (junk < matches[:, None])
            closer -= ahead.sum(axis=1)
        position = np.sort(closer)
        precision[i] = np.mean(np.arange(1, len(position) + 1) / (position + 1))
    return precision


def argsort_rows(scores, query_identities, gallery_identities, query_cameras, gallery_cameras):
    """The usual way: argsort each row, then walk along the kept images."""
    precision = np.full(len(scores), np.nan)
    for i, row in enumerate(scores):
        order = np.argsort(-row, kind="stable")
        hit = gallery_identities[order] == query_identities[i]
        hit = hit[~(hit & (gallery_cameras[order] == query_cameras[i]))]
        if hit.any():
            at = np.flatnonzero(hit)
            precision[i] = np.mean(np.arange(1, len(at) + 1) / (at + 1))
    return precision


def speed(counts: tuple[int, ...]) -> dict:
    from dgreid.evaluation import rank_scores

    who = labels(queries=3368, identities=750, images=15913, distractors=2798, cameras=6)
    scores = np.random.default_rng(1).standard_normal((3368, 15913), dtype=np.float32)
    scores = np.round(scores, 4)  # so that ties occur
    os.environ["DGREID_THREADS"] = "1"
    expected = rank_scores(scores, *who).average_precision  # compiles too
    assert np.allclose(sort_rows(scores, *who), expected, rtol=0, atol=1e-12, equal_nan=True)

    def seconds(work) -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    times = {"sort": [], "argsort": [], **{f"counting, {n} threads": [] for n in counts}}
    for turn in range(ROUNDS):
        times["sort"].append(seconds(lambda: sort_rows(scores, *who)))
        if turn < 2:  # slow, and only for orientation
            times["argsort"].append(seconds(lambda: argsort_rows(scores, *who)))
        for n in counts:
            os.environ["DGREID_THREADS"] = str(n)
            times[f"counting, {n} threads"].append(seconds(lambda: rank_scores(scores, *who)))
    rows = {}
    for name, values in times.items():
        ratios = [a / b for a, b in zip(times["sort"], values, strict=False)]
        rows[name] = {
            "seconds": statistics.median(values),
            "fastest": min(values),
            "ratio to sort": statistics.median(ratios),
            "ratio range": [min(ratios), max(ratios)],
        }
    return rows


def after_product() -> dict:
    """Both ways on rows that a matrix product (d = 128) has just left in the cache; its time is taken off."""
    from dgreid.evaluation.ranking import CHUNK, rank_rows

    os.environ["DGREID_THREADS"] = "1"
    torch.set_num_threads(1)
    who = labels(queries=3368, identities=750, images=15913, distractors=2798, cameras=6)
    generator = torch.Generator().manual_seed(1)
    query, gallery = (torch.randn(n, 128, generator=generator) for n in (3368, 15913))
    buffer = torch.empty(CHUNK, len(gallery))
    product = 0.0

    def scores(start: int, stop: int) -> torch.Tensor:
        nonlocal product
        begin = time.perf_counter()
        rows = torch.matmul(query[start:stop], gallery.T, out=buffer[: stop - start])
        product += time.perf_counter() - begin
        return rows

    def sort() -> np.ndarray:
        members, parts = images_of(who[0], who[1]), []
        for start in range(0, len(query), CHUNK):
            part = slice(start, min(start + CHUNK, len(query)))
            rows = scores(part.start, part.stop).numpy()
            parts.append(sort_rows(rows, who[0][part], who[1], who[2][part], who[3], members))
        return np.concatenate(parts)

    def counting() -> np.ndarray:
        return rank_rows(scores, (len(query), len(gallery)), *who).average_precision

    assert np.allclose(sort(), counting(), rtol=0, atol=1e-12, equal_nan=True)
    times = {"sort": [], "counting": []}
    for _ in range(ROUNDS):
        for name, work in (("sort", sort), ("counting", counting)):
            product, begin = 0.0, time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begin - product)
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    return {
        "sort, seconds": statistics.median(times["sort"]),
        "counting, 1 threads, seconds": statistics.median(times["counting"]),
        "ratio to sort": statistics.median(ratios),
        "ratio range": [min(ratios), max(ratios)],
    }


def memory() -> dict:
    """Peak memory of one full MSMT17-sized evaluation beyond its features, in a fresh process."""
    code = "from benchmarks.ranking import evaluate; evaluate()"
    environment = {**os.environ, "DGREID_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def evaluate() -> None:
    from dgreid.evaluation import rank

    who = labels(queries=11659, identities=3060, images=82161, distractors=0, cameras=15)
    rng = np.random.default_rng(1)
    query = rng.standard_normal((11659, 128), dtype=np.float32)
    gallery = rng.standard_normal((82161, 128), dtype=np.float32)
    small = np.zeros(4, int), np.zeros(4, int), np.zeros(4, int), np.ones(4, int)
    rank(query[:4], gallery[:4], *small)  # compile and load libraries before measuring
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the peak so far
    before = status("VmRSS")
    begin = time.perf_counter()
    rank(query, gallery, *who)
    seconds = time.perf_counter() - begin
    extra = status("VmHWM") - before
    print(json.dumps({"MiB beyond features": extra, "seconds with product, d=128": seconds}))


def status(field: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    counts = tuple(sorted({1, os.cpu_count() or 1}))
    result = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "numpy": np.__version__,
        "Market-1501 size, 3368 x 15913": speed(counts),
        "Market-1501 size, rows just made by a product": after_product(),
        "MSMT17 size, 11659 x 82161": memory(),
    }
    print(f"{'Market-1501 size':24}{'seconds':>10}{'fastest':>10}{'against sort':>14}")
    for name, row in result["Market-1501 size, 3368 x 15913"].items():
        print(f"{name:24}{row['seconds']:10.4f}{row['fastest']:10.4f}{row['ratio to sort']:13.1f}x")
    warm = result["Market-1501 size, rows just made by a product"]
    print(f"rows just made by a product, 1 thread: {warm['ratio to sort']:.1f}x")
    for name, value in result["MSMT17 size, 11659 x 82161"].items():
        print(f"MSMT17 size: {name}: {value:.1f}")
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
