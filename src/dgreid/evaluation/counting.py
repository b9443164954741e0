"""The compiled part of ranking: positions of a query's matches by counting, and the measures they give."""

import numba
import numpy as np

BLOCK = 4096  # gallery columns per pass: a piece of a row that stays in the first-level cache


@numba.njit(nogil=True, cache=True)
def rank_chunk(scores, low, high, cameras, order, order_cameras, first, measures):
    """Positions and measures of some queries, written into `first` (n,) and `measures` (3, n).

    Args:
        scores: (n, Ng), higher is closer.
        low, high: (n,) where in `order` the gallery images of the query's identity begin and end.
        cameras: (n,) of the queries.
        order: (Ng,) gallery indices grouped by identity, rising inside one; order_cameras: theirs.
        first: position of the first match from 1; untouched without a match, -1 if a score is not finite.
        measures: average precision, the trapezoid one, inverse negative penalty.
    """
    room = (np.max(high - low) + 7) // 8 * 8
    matches, junk = np.empty(room, np.int64), np.empty(room, np.int64)
    level, below = np.empty((2, room), scores.dtype)
    counts = np.empty(room, np.int32)
    for i in range(scores.shape[0]):
        row = scores[i]
        if not _finite(row):  # this first pass also brings the row into the cache
            first[i] = -1
            continue
        n = removed = 0
        for j in range(low[i], high[i]):
            if order_cameras[j] == cameras[i]:
                junk[removed] = order[j]
                removed += 1
            else:
                matches[n] = order[j]
                n += 1
        if n == 0:
            continue
        _count_closer(row, matches[:n], level, below, counts)
        for k in range(n):
            for j in junk[:removed]:
                counts[k] -= row[j] > level[k] or (row[j] == level[k] and j < matches[k])
        position = counts[:n]  # of each match among the images that stay, from 0
        position.sort()
        step = trapezoid = 0.0
        for k in range(n):
            precision = (k + 1) / (position[k] + 1)
            previous = k / position[k] if position[k] > 0 else 1.0
            step += precision
            trapezoid += (previous + precision) / 2
        first[i] = position[0] + 1
        measures[0, i] = step / n
        measures[1, i] = trapezoid / n
        measures[2, i] = n / (position[n - 1] + 1)


@numba.njit(nogil=True, cache=True)
def _count_closer(row, indices, level, below, counts):
    """counts[k] = #{j : s_j > s_g} + #{j < g : s_j = s_g} with g = indices[k], which rise.

    One comparison per image and index: left of g, `s >= s_g` counts, right of it `s > s_g`; the former
    is `s > x` with x the next smaller number (`below`). Only inside g's own block equal scores are
    looked for. level, below, counts have room for a multiple of eight; +inf fills up the last eight.
    """
    n = indices.size
    size = (n + 7) // 8 * 8
    counts[:size] = 0
    level[n:size] = below[n:size] = np.inf
    for k in range(n):
        level[k] = row[indices[k]]
        below[k] = np.nextafter(level[k], row.dtype.type(-np.inf))
    passed = 0  # indices left of the current block: from now on only `>` counts for them
    for start in range(0, row.size, BLOCK):
        piece = row[start : start + BLOCK]
        while passed < n and indices[passed] < start + piece.size:
            counts[passed] += _count_equal(row[start : indices[passed]], level[passed])
            below[passed] = level[passed]
            passed += 1
        for k in range(0, size, 8):
            _count_above(piece, below[k : k + 8], counts[k : k + 8])


@numba.njit(nogil=True, cache=True)
def _finite(piece):
    bad = np.int32(0)
    for j in range(piece.size):
        bad = np.int32(bad + np.int32(not abs(piece[j]) < np.inf))
    return bad == 0


@numba.njit(nogil=True, cache=True)
def _count_equal(piece, level):
    equal = np.int32(0)
    for j in range(piece.size):
        equal = np.int32(equal + np.int32(piece[j] == level))
    return equal


@numba.njit(nogil=True, cache=True)
def _count_above(piece, limit, counts):
    """Add #{j : piece_j > limit_k} to each of eight counts; 32-bit sums, so that it becomes SIMD."""
    t0, t1, t2, t3 = limit[0], limit[1], limit[2], limit[3]
    t4, t5, t6, t7 = limit[4], limit[5], limit[6], limit[7]
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = np.int32(0)
    for j in range(piece.size):
        x = piece[j]
        c0 = np.int32(c0 + np.int32(x > t0))
        c1 = np.int32(c1 + np.int32(x > t1))
        c2 = np.int32(c2 + np.int32(x > t2))
        c3 = np.int32(c3 + np.int32(x > t3))
        c4 = np.int32(c4 + np.int32(x > t4))
        c5 = np.int32(c5 + np.int32(x > t5))
        c6 = np.int32(c6 + np.int32(x > t6))
        c7 = np.int32(c7 + np.int32(x > t7))
    counts[0] += c0
    counts[1] += c1
    counts[2] += c2
    counts[3] += c3
    counts[4] += c4
    counts[5] += c5
    counts[6] += c6
    counts[7] += c7
