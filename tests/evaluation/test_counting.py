"""The compiled positions and measures against a plain sort, row by row."""

import numpy as np
import pytest

from dgreid.evaluation.counting import BLOCK, rank_chunk


def counted(scores, identities, cameras, gallery, gallery_cameras):
    order = np.argsort(gallery, kind="stable")
    low = np.searchsorted(gallery[order], identities, side="left")
    high = np.searchsorted(gallery[order], identities, side="right")
    first, measures = np.zeros(len(scores), np.int64), np.full((3, len(scores)), np.nan)
    rank_chunk(scores, low, high, cameras, order, gallery_cameras[order], first, measures)
    return first, measures


def by_sorting(row, identity, camera, gallery, gallery_cameras):
    order = np.argsort(-row, kind="stable")
    order = order[~((gallery[order] == identity) & (gallery_cameras[order] == camera))]
    places = np.flatnonzero(gallery[order] == identity) + 1
    if not len(places):
        return 0, [np.nan] * 3
    found = np.arange(1, len(places) + 1)
    before = np.where(places > 1, (found - 1) / np.maximum(places - 1, 1), 1.0)
    precision = found / places
    return places[0], [precision.mean(), ((before + precision) / 2).mean(), len(places) / places[-1]]


@pytest.mark.parametrize("size", [7, BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_positions_are_those_of_a_stable_sort(size, dtype):
    rng = np.random.default_rng(size)
    scores = rng.integers(0, 40, (6, size)).astype(dtype)  # with many ties
    labels = rng.integers(0, 3, 6), rng.integers(0, 2, 6), rng.integers(0, 4, size), rng.integers(0, 2, size)
    first, measures = counted(scores, *labels)
    for i, row in enumerate(scores):
        expected = by_sorting(row, labels[0][i], labels[1][i], *labels[2:])
        assert first[i] == expected[0]
        np.testing.assert_allclose(measures[:, i], expected[1], rtol=1e-12)


def test_a_score_that_is_not_finite_is_marked_and_the_others_are_ranked():
    scores = np.array([[3.0, 2.0, 1.0], [3.0, np.nan, 1.0]], np.float32)
    labels = np.array([1, 1]), np.array([0, 0]), np.array([0, 1, 1]), np.array([1, 1, 1])
    first, measures = counted(scores, *labels)
    assert first.tolist() == [2, -1]
    assert measures[0, 0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_no_query_is_no_error():
    labels = np.empty(0, np.int64), np.empty(0, np.int64), np.array([0, 1]), np.array([0, 0])
    first, _ = counted(np.empty((0, 2), np.float32), *labels)
    assert first.tolist() == []
