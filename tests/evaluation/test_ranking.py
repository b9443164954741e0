"""Ranking against the definition, spelled out with a stable argsort."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dgreid.errors import UserError
from dgreid.evaluation import counting, rank, rank_scores, ranking


def naive(scores, query_identities, gallery_identities, query_cameras, gallery_cameras, ranks):
    """The definition: sort, drop same identity and camera, walk along. Returns cmc, AP, trapezoid AP, INP."""
    first, steps, trapezoids, penalties = [], [], [], []
    for row, identity, camera in zip(scores, query_identities, query_cameras, strict=True):
        order = np.argsort(-row, kind="stable")
        match = (gallery_identities[order] == identity) & (identity >= 0)
        match = match[~(match & (gallery_cameras[order] == camera))]
        hits = np.flatnonzero(match)
        if len(hits) == 0:
            steps.append(np.nan), trapezoids.append(np.nan), penalties.append(np.nan)
            continue
        precision = np.cumsum(match) / np.arange(1, len(match) + 1)  # (kept,)
        before = np.concatenate([[1.0], precision[:-1]])  # 1 before the first image, as in Market-1501
        steps.append(precision[hits].mean())
        trapezoids.append(((before + precision) / 2)[hits].mean())
        penalties.append(len(hits) / (hits[-1] + 1))
        first.append(hits[0])
    cmc = [np.mean(np.array(first) < k) for k in ranks]
    return np.array(cmc), np.array(steps), np.array(trapezoids), np.array(penalties)


def random_scores(seed, queries, gallery, identities=4, cameras=3, levels=None):
    """Random scores and labels; `levels` score values make ties."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((queries, gallery)).astype(np.float32)
    if levels:
        scores = rng.integers(-levels, levels, (queries, gallery)).astype(np.float32) / 4
    who = (
        rng.integers(0, identities, queries),
        rng.integers(-1, identities, gallery),
        rng.integers(0, cameras, queries),
        rng.integers(0, cameras, gallery),
    )
    who[1][0], who[3][0], who[0][0], who[2][0] = 0, 1, 0, 0  # one match at least
    return scores, who


def test_released_code_fixture():
    # values obtained from the released MetaBIN code (fast-reid evaluation), camera rule included
    distances = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1], [0.2] * 5])
    who = ([1, 2, 9], [1, 2, 1, 2, 1], [0, 0, 0], [0, 1, 1, 0, 1])
    result = rank_scores(-distances, *who, ranks=(1, 2, 3, 4))
    assert_allclose(result.cmc, [0, 0.5, 1, 1])
    assert_allclose(result.average_precision, [0.5, 1 / 3, np.nan])
    assert_allclose(result.inverse_negative_penalty, [0.5, 1 / 3, np.nan])
    assert_array_equal(result.first_hit, [2, 3, 0])
    assert result.mean_average_precision == pytest.approx((0.5 + 1 / 3) / 2)


def test_single_match_at_rank_r_gives_half_in_the_trapezoid():
    for position in (2, 3, 7):
        scores = -np.arange(10.0)[None]
        identities = np.zeros(10, int)
        identities[position - 1] = 1
        result = rank_scores(scores, [1], identities, [0], np.ones(10, int))
        assert result.mean_average_precision == pytest.approx(1 / position)
        assert result.mean_average_precision_trapezoid == pytest.approx(1 / (2 * position))
    assert rank_scores([[1.0, 0.0]], [1], [1, 2], [0], [1, 1]).mean_average_precision_trapezoid == 1


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 12),
    gallery=st.integers(1, 60),
    identities=st.integers(1, 6),
    levels=st.sampled_from([None, 1, 3, 40]),
    double=st.booleans(),
)
def test_equals_the_definition(seed, queries, gallery, identities, levels, double):
    scores, who = random_scores(seed, queries, gallery, identities, levels=levels)
    scores = scores.astype(np.float64 if double else np.float32)
    result = rank_scores(scores, *who, ranks=(1, 5, 10, 100))
    cmc, steps, trapezoids, penalties = naive(scores, *who, ranks=(1, 5, 10, 100))
    assert_array_equal(result.cmc, cmc)
    # sums run in the same order up to pairwise summation: equal to the last digits
    assert_allclose(result.average_precision, steps, rtol=1e-14, atol=0)
    assert_allclose(result.average_precision_trapezoid, trapezoids, rtol=1e-14, atol=0)
    assert_array_equal(result.inverse_negative_penalty, penalties)


@pytest.mark.parametrize("levels", [None, 2, 500])
def test_gallery_of_many_blocks_equals_the_definition(levels):
    # more columns than one block, so that matches lie left of, in and right of it
    scores, who = random_scores(3, 20, 3 * counting.BLOCK + 17, identities=40, levels=levels)
    result = rank_scores(scores, *who)
    cmc, steps, trapezoids, penalties = naive(scores, *who, ranks=(1, 5, 10))
    assert_array_equal(result.cmc, cmc)
    assert_allclose(result.average_precision, steps, rtol=1e-13, atol=0)
    assert_allclose(result.average_precision_trapezoid, trapezoids, rtol=1e-13, atol=0)
    assert_array_equal(result.inverse_negative_penalty, penalties)


def test_a_tie_goes_to_the_lower_gallery_index():
    assert rank_scores([[0.0, 0.0]], [1], [1, 2], [0], [1, 1]).first_hit[0] == 1
    assert rank_scores([[0.0, 0.0]], [1], [2, 1], [0], [1, 1]).first_hit[0] == 2
    # zero and minus zero are the same score
    assert rank_scores([[-0.0, 0.0]], [1], [1, 2], [0], [1, 1]).first_hit[0] == 1


def test_order_of_the_gallery_does_not_matter_without_ties():
    scores, who = random_scores(1, 30, 500, identities=10)
    shuffle = np.random.default_rng(5).permutation(500)
    moved = rank_scores(scores[:, shuffle], who[0], who[1][shuffle], who[2], who[3][shuffle])
    assert_array_equal(moved.average_precision, rank_scores(scores, *who).average_precision)


def test_one_match_per_query_makes_map_equal_minp():
    scores = np.random.default_rng(2).standard_normal((50, 50))
    who = (np.arange(50), np.arange(50), np.zeros(50, int), np.ones(50, int))
    result = rank_scores(scores, *who)
    assert result.mean_average_precision == result.mean_inverse_negative_penalty


def test_junk_of_the_same_camera_is_removed_and_other_same_camera_images_stay():
    # best three: own identity on the own camera (removed), a stranger on the own camera (stays), the match
    result = rank_scores([[3.0, 2.0, 1.0]], [7], [7, 8, 7], [0], [0, 0, 1])
    assert result.first_hit[0] == 2


def test_negative_identities_never_match():
    result = rank_scores([[1.0, 0.0], [1.0, 0.0]], [-1, 3], [-1, 3], [0, 0], [1, 1])
    assert_array_equal(result.first_hit, [0, 2])


def test_chunks_and_threads_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    query = rng.integers(-3, 4, (70, 16)).astype(np.float32)  # integers: products are exact
    gallery = rng.integers(-3, 4, (200, 16)).astype(np.float32)
    _, who = random_scores(0, 70, 200, identities=9)
    whole = rank(query, gallery, *who, metric="euclidean")
    for chunk, threads in ((1, 1), (7, 2), (64, 3)):
        monkeypatch.setattr(ranking, "CHUNK", chunk)
        monkeypatch.setenv("DGREID_THREADS", str(threads))
        parts = rank(query, gallery, *who, metric="euclidean")
        assert_array_equal(parts.average_precision, whole.average_precision)
        assert_array_equal(parts.cmc, whole.cmc)


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("queries", [1, 3, 257])  # fewer rows than threads; the last chunk has one row
def test_more_threads_than_rows(monkeypatch, queries, threads):
    scores, who = random_scores(6, queries, 80)
    monkeypatch.setenv("DGREID_THREADS", "1")
    alone = rank_scores(scores, *who)
    monkeypatch.setenv("DGREID_THREADS", str(threads))
    together = rank_scores(scores, *who)
    assert_array_equal(together.first_hit, alone.first_hit)
    assert_array_equal(together.average_precision, alone.average_precision)
    assert_array_equal(together.inverse_negative_penalty, alone.inverse_negative_penalty)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("identity", [0, 1])  # who is in the gallery, or not
@pytest.mark.parametrize("column", [0, 1, counting.BLOCK - 1, counting.BLOCK, 2 * counting.BLOCK + 8])
def test_a_score_that_is_not_finite_is_reported_wherever_it_is(value, identity, column):
    scores = np.zeros((2, 2 * counting.BLOCK + 9))
    scores[1, column] = value
    identities = np.zeros(scores.shape[1], int)
    with pytest.raises(UserError, match="query 1 are NaN or infinite"):
        rank_scores(scores, [0, identity], identities, [0, 0], identities + 1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_features_equal_explicit_scores(metric, kind):
    rng = np.random.default_rng(4)
    query, gallery = rng.standard_normal((20, 8)), rng.standard_normal((90, 8)) * rng.uniform(1, 9, (90, 1))
    _, who = random_scores(4, 20, 90, identities=8)
    if metric == "cosine":
        unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
        scores = query / np.linalg.norm(query, axis=1, keepdims=True) @ unit.T
    else:
        scores = -np.linalg.norm(query[:, None] - gallery[None], axis=2)
    expected = rank_scores(scores, *who)
    if kind == "torch":
        query, gallery = torch.tensor(query, requires_grad=True), torch.tensor(gallery)
        who = tuple(torch.tensor(labels) for labels in who)
    result = rank(query, gallery, *who, metric=metric)
    assert_array_equal(result.average_precision, expected.average_precision)
    assert_array_equal(result.cmc, expected.cmc)


def test_the_thread_count_of_torch_is_given_back():
    before = torch.get_num_threads()
    rank_scores([[1.0]], [1], [1], [0], [1])
    assert torch.get_num_threads() == before


def test_user_errors():
    features = np.eye(3, dtype=np.float32)
    who = ([0, 1, 2], [0, 1, 2], [0, 0, 0], [1, 1, 1])
    assert rank(features, features, *who).mean_average_precision == 1
    bad = features.copy()
    bad[1, 2] = np.nan
    with pytest.raises(UserError, match="gallery features of row 1"):
        rank(features, bad, *who)
    with pytest.raises(UserError, match="query 2"):
        rank_scores([[1, 2, 3], [1, 2, 3], [1, np.inf, 3]], *who)
    with pytest.raises(UserError, match="3 numbers and gallery features 2"):
        rank(features, features[:, :2], *who)
    with pytest.raises(UserError, match="gallery cameras must have shape"):
        rank(features, features, *who[:3], [1, 1])
    with pytest.raises(UserError, match="integers"):
        rank(features, features, [0.0, 1.0, 2.0], *who[1:])
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        rank(features, features, *who, metric="cosin")
    with pytest.raises(UserError, match="ranks"):
        rank(features, features, *who, ranks=(0,))
    with pytest.raises(UserError, match="no query has a match"):
        rank(features, features, *who[:3], [0, 0, 0])
    with pytest.raises(UserError, match="shape"):
        rank(features[0], features, *who)
