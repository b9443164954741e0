"""The compiled part of ranking: the positions of a query's matches by counting, and the measures that follow.

The gallery passes through the first-level cache block by block while the next query's row is fetched from
memory: the scores are larger than any cache, and waiting for them would take as long as the counting.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 1024  # gallery columns per pass: a piece of a row that stays in the first-level cache


@intrinsic
def _prefetch(context, array, index):
    """Fetch the cache line of array[index] without waiting for it; changes no value."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], shape)
        builder.call(function, [place, number(0), number(3), number(1)])  # to read, into all caches, data
        return context.get_dummy_value()

    return types.void(array, index), generate


@numba.njit(nogil=True, cache=True)
def rank_chunk(scores, low, high, cameras, order, order_cameras, first, measures):
    """Write positions and measures of some queries into `first` (n,) and `measures` (3, n).

    Args:
        scores: (n, Ng), higher is closer; n may be 0.
        low, high: (n,) start and end of the gallery images of the query's identity in `order`.
        cameras: (n,) of the queries.
        order: (Ng,) gallery indices grouped by identity, rising within one; order_cameras: their cameras.
        first: position of the first match from 1; untouched without a match, -1 if a score is not finite.
        measures: average precision, the trapezoid one, inverse negative penalty.
    """
    room = 4
    for i in range(scores.shape[0]):
        room = max(room, (high[i] - low[i] + 3) // 4 * 4)
    matches, junk = np.empty(room, np.int64), np.empty(room, np.int64)
    level, below = np.empty((2, room), scores.dtype)
    counts, position = np.empty((2, room), np.int32)
    one = np.ones(1, np.int32)
    for i in range(scores.shape[0]):
        row, ahead = scores[i], scores[min(i + 1, scores.shape[0] - 1)]
        n = removed = 0
        for j in range(low[i], high[i]):
            if order_cameras[j] == cameras[i]:
                junk[removed] = order[j]
                removed += 1
            else:
                matches[n] = order[j]
                n += 1
        if not _count_closer(row, ahead, matches[:n], level, below, counts, one):
            first[i] = -1
            continue
        if n == 0:
            continue
        for j in junk[:removed]:
            for k in range(n):
                counts[k] -= (row[j] > level[k]) | ((row[j] == level[k]) & (j < matches[k]))
        for k in range(n):  # positions differ, so that a match's place among the matches is a count too
            place = 0
            for other in range(n):
                place += counts[other] < counts[k]
            position[place] = counts[k]  # of each match among the images that stay, from 0
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
def _count_closer(row, ahead, indices, level, below, counts, one):
    """counts[k] = #{j : s_j > s_g} + #{j < g : s_j = s_g} with g = indices[k], which rise.

    One comparison per image and index: left of g, `s >= s_g` counts, right of it `s > s_g`; the former
    is `s > x` with x the next smaller number (`below`). Equal scores are looked for only within g's own
    block. level, below, counts have room for a multiple of four, not 0; +inf fills the last four. `ahead`,
    the row that is needed next, is fetched between the passes, a few lines at a time: the processor would
    wait for more than it can keep in flight. Returns False if a score is NaN or infinite.
    """
    n = indices.size
    size = max(4, (n + 3) // 4 * 4)
    groups = (size + 7) // 8
    counts[:size] = 0
    level[n:size] = below[n:size] = np.inf
    for k in range(n):
        level[k] = row[indices[k]]
        below[k] = np.nextafter(level[k], row.dtype.type(-np.inf))
    line = 64 // row.itemsize  # numbers per cache line
    spoilt = row.dtype.type(0)
    passed = 0  # indices left of the current block: from now on only `>` counts for them
    for start in range(0, row.size, BLOCK):
        piece = row[start : start + BLOCK]
        while passed < n and indices[passed] < start + piece.size:
            counts[passed] += _count_equal(row[start : indices[passed]], level[passed])
            below[passed] = level[passed]
            passed += 1
        share = (piece.size + groups - 1) // groups
        for group in range(groups):
            for j in range(start + group * share, min(start + (group + 1) * share, row.size), line):
                _prefetch(ahead, j)
            k = 8 * group
            if size - k >= 8:
                spoilt += _count_above_eight(piece, below, counts, k, one[0])
            else:
                spoilt += _count_above_four(piece, below, counts, k, one[0])
    return spoilt == 0


@numba.njit(nogil=True, cache=True)
def _count_equal(piece, level):
    equal = np.int32(0)
    for j in range(piece.size):
        equal = np.int32(equal + np.int32(piece[j] == level))
    return equal


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _count_above_eight(piece, limit, counts, k, one):
    """Add #{j : piece_j > limit} to each of eight counts from the k-th; 32-bit sums, so that SIMD is used.

    `one` is 1, but the compiler must not know: it then adds under the comparison's mask, two
    instructions per vector and limit; with a constant 1 it converts the mask into numbers first.
    Returns a sum of x * 0, which is 0 unless a score is NaN or infinite; its terms may be reordered.
    """
    zero = np.int32(0)
    spoilt = nothing = piece.dtype.type(0)
    t0, t1, t2, t3 = limit[k], limit[k + 1], limit[k + 2], limit[k + 3]
    t4, t5, t6, t7 = limit[k + 4], limit[k + 5], limit[k + 6], limit[k + 7]
    c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = zero
    for j in range(piece.size):
        x = piece[j]
        spoilt += x * nothing
        c0 = np.int32(c0 + (one if x > t0 else zero))
        c1 = np.int32(c1 + (one if x > t1 else zero))
        c2 = np.int32(c2 + (one if x > t2 else zero))
        c3 = np.int32(c3 + (one if x > t3 else zero))
        c4 = np.int32(c4 + (one if x > t4 else zero))
        c5 = np.int32(c5 + (one if x > t5 else zero))
        c6 = np.int32(c6 + (one if x > t6 else zero))
        c7 = np.int32(c7 + (one if x > t7 else zero))
    counts[k] += c0
    counts[k + 1] += c1
    counts[k + 2] += c2
    counts[k + 3] += c3
    counts[k + 4] += c4
    counts[k + 5] += c5
    counts[k + 6] += c6
    counts[k + 7] += c7
    return spoilt


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _count_above_four(piece, limit, counts, k, one):
    """The same for four counts: a query has few matches, and unused places cost time."""
    zero = np.int32(0)
    spoilt = nothing = piece.dtype.type(0)
    t0, t1, t2, t3 = limit[k], limit[k + 1], limit[k + 2], limit[k + 3]
    c0 = c1 = c2 = c3 = zero
    for j in range(piece.size):
        x = piece[j]
        spoilt += x * nothing
        c0 = np.int32(c0 + (one if x > t0 else zero))
        c1 = np.int32(c1 + (one if x > t1 else zero))
        c2 = np.int32(c2 + (one if x > t2 else zero))
        c3 = np.int32(c3 + (one if x > t3 else zero))
    counts[k] += c0
    counts[k + 1] += c1
    counts[k + 2] += c2
    counts[k + 3] += c3
    return spoilt
