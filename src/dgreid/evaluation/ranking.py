"""CMC, mean average precision and mean inverse negative penalty, exact and without sorting the gallery.

A query is ranked against every gallery image except those of the same identity *and* camera. Only the
positions of its few matches matter, and a position is a count: how many gallery images are closer, plus
how many at the same distance have a lower gallery index. So only the matches are sorted, and no more than
`CHUNK` rows of the query x gallery matrix exist at a time.

Queries without a match are left out of the means. Ties go to the lower gallery index (a stable sort).
A negative identity marks a distractor: it never matches, neither as query nor as gallery image. Junk
images (Market-1501's -1) do not belong in a gallery; manifests drop them.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from dgreid.device import threads
from dgreid.errors import UserError, unknown
from dgreid.evaluation.counting import rank_chunk
from dgreid.evaluation.ranked import Ranking

CHUNK = 256  # queries at a time; 256 x 82161 (MSMT17) float32 scores are 80 MiB
METRICS = ("cosine", "euclidean")


def rank(
    query_features,
    gallery_features,
    query_identities,
    gallery_identities,
    query_cameras,
    gallery_cameras,
    metric: str = "cosine",
    ranks: Sequence[int] = (1, 5, 10),
) -> Ranking:
    """Rank a gallery by feature vectors.

    Args:
        query_features: (Nq, d) array or tensor; float64 is kept, everything else becomes float32.
        gallery_features: (Ng, d), on the same device.
        query_identities: (Nq,) integers; gallery_identities: (Ng,). Negative: matches nothing.
        query_cameras: (Nq,) integers; gallery_cameras: (Ng,).
        metric: cosine, or euclidean.
        ranks: the k of CMC; a k beyond the gallery gives the value at its end.

    Raises:
        UserError: shapes that do not fit, features that are not finite, no query with a match.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    query, gallery = _features(query_features, "query"), _features(gallery_features, "gallery")
    if query.shape[1] != gallery.shape[1]:
        raise UserError(
            f"ranking: query features have {query.shape[1]} numbers and gallery features {gallery.shape[1]};"
            " embed both with the same model."
        )
    dtype = torch.promote_types(query.dtype, gallery.dtype)
    query, gallery = query.to(dtype), gallery.to(dtype)
    length = torch.linalg.vector_norm(gallery, dim=1)  # (Ng,)
    buffer = torch.empty(min(CHUNK, len(query)), len(gallery), dtype=dtype, device=gallery.device)

    def scores(start: int, stop: int) -> torch.Tensor:
        # a query's own length only scales or shifts its row, which keeps the order
        rows = buffer[: stop - start]
        torch.matmul(query[start:stop], gallery.T, out=rows)
        if metric == "cosine":
            return rows.div_(length.clamp_min(1e-12))
        return rows.sub_(length.square() / 2)  # |q - g|² = |q|² - 2 (q·g - |g|²/2)

    labels = (query_identities, gallery_identities, query_cameras, gallery_cameras)
    return rank_rows(scores, (len(query), len(gallery)), *labels, ranks=ranks)


def rank_scores(
    scores,
    query_identities,
    gallery_identities,
    query_cameras,
    gallery_cameras,
    ranks: Sequence[int] = (1, 5, 10),
) -> Ranking:
    """Rank by a similarity matrix (Nq, Ng), higher is closer; the rest as in `rank`."""
    if np.ndim(scores) != 2:
        raise UserError(f"ranking: scores must be (queries, gallery), got shape {tuple(np.shape(scores))}.")
    labels = (query_identities, gallery_identities, query_cameras, gallery_cameras)
    return rank_rows(lambda start, stop: scores[start:stop], np.shape(scores), *labels, ranks=ranks)


def rank_rows(
    score_rows: Callable[[int, int], np.ndarray | torch.Tensor],
    shape: tuple[int, int],
    query_identities,
    gallery_identities,
    query_cameras,
    gallery_cameras,
    ranks: Sequence[int] = (1, 5, 10),
) -> Ranking:
    """Rank by scores computed on demand: `score_rows(start, stop)` returns (stop - start, Ng).

    For similarities that are not a product of features; the rows may share one reused buffer.
    """
    queries, size = map(int, shape)
    query_identities = _labels(query_identities, queries, "query identities")
    gallery_identities = _labels(gallery_identities, size, "gallery identities")
    query_cameras = _labels(query_cameras, queries, "query cameras")
    gallery_cameras = _labels(gallery_cameras, size, "gallery cameras")
    ranks = tuple(int(k) for k in ranks)
    if not ranks or min(ranks) < 1:
        raise UserError(f"ranking: ranks must be 1 or more, got {ranks}.")

    order = np.argsort(gallery_identities, kind="stable")  # indices rise within an identity
    grouped = gallery_identities[order]
    order_cameras = gallery_cameras[order]
    low = np.searchsorted(grouped, query_identities, side="left")
    high = np.searchsorted(grouped, query_identities, side="right")
    high = np.where(query_identities < 0, low, high)

    first = np.zeros(queries, np.int64)
    measures = np.full((3, queries), np.nan)  # AP, trapezoid AP, INP
    workers = max(1, threads())
    with torch_threads(workers), ThreadPoolExecutor(workers) as pool:
        for start in range(0, queries, CHUNK):
            stop = min(start + CHUNK, queries)
            rows = _rows(score_rows(start, stop), (stop - start, size))
            edges = np.linspace(start, stop, workers + 1).astype(int)
            jobs = []
            for a, b in itertools.pairwise(edges):
                labels = (low[a:b], high[a:b], query_cameras[a:b], order, order_cameras)
                part = (rows[a - start : b - start], *labels, first[a:b], measures[:, a:b])
                if b < stop:
                    jobs.append(pool.submit(rank_chunk, *part))
                else:
                    rank_chunk(*part)  # the last part in this thread, which would only wait otherwise
            for job in jobs:
                job.result()  # only now may the buffer be reused
            if (first[start:stop] < 0).any():
                row = start + int(np.argmax(first[start:stop] < 0))
                raise UserError(f"ranking: scores of query {row} are NaN or infinite; check its features.")
    if not first.any():
        raise UserError("ranking: no query has a match in the gallery; check identities and cameras.")
    hits = np.sort(first[first > 0])
    cmc = np.searchsorted(hits, ranks, side="right") / len(hits)
    return Ranking(ranks, cmc, *measures, first)


@contextmanager
def torch_threads(count: int):
    """Let torch use `count` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _features(values, what: str) -> torch.Tensor:
    tensor = torch.as_tensor(values).detach()
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise UserError(
            f"ranking: {what} features must be (images, numbers), got shape {tuple(tensor.shape)}."
        )
    if tensor.dtype != torch.float64:
        tensor = tensor.to(torch.float32)
    finite = torch.isfinite(tensor.sum(dim=1))
    if not bool(finite.all()):
        row = int((~finite).int().argmax())
        raise UserError(f"ranking: {what} features of row {row} are NaN or infinite; check that image.")
    return tensor


def _labels(values, count: int, what: str) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.shape != (count,):
        raise UserError(f"ranking: {what} must have shape ({count},), got {array.shape}.")
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"ranking: {what} must be integers, got {array.dtype}.")
    return array.astype(np.int64)


def _rows(values, shape: tuple[int, int]) -> np.ndarray:
    array = (
        values.detach().cpu() if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values))
    )
    if tuple(array.shape) != shape:
        raise UserError(f"ranking: score rows must have shape {shape}, got {tuple(array.shape)}.")
    dtype = torch.float64 if array.dtype == torch.float64 else torch.float32
    return array.to(dtype).contiguous().numpy()
