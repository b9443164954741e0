import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.evaluation.statistics import (
    over_seeds,
    over_splits,
    paired_difference,
    percentile_interval,
    resample,
    single_match_bounds,
    spread_factors,
)


def test_deviation_over_splits_is_that_of_the_population():
    assert over_splits([1, 2, 3, 4]) == (2.5, pytest.approx(math.sqrt(1.25)))


def test_deviation_over_seeds_is_that_of_a_sample():
    assert over_seeds([1, 2, 3, 4]) == (2.5, pytest.approx(math.sqrt(5 / 3)))
    assert math.isnan(over_seeds([3.0]).deviation)


def test_paired_difference_against_a_worked_example():
    # differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.3027
    result = paired_difference([2, 4, 6], [1, 2, 3])
    assert (result.mean, result.pairs) == (2, 3)
    assert result.high - 2 == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert 2 - result.low == pytest.approx(result.high - 2)


def test_paired_difference_of_few_or_equal_pairs():
    assert math.isnan(paired_difference([1], [2]).low)
    assert paired_difference([1, 2], [0, 1])[:3] == (1, 1, 1)
    with pytest.raises(ValueError):
        paired_difference([1, 2], [1])
    with pytest.raises(ValueError):
        paired_difference([], [])


SCORES = st.floats(0, 100, width=32)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=12))
def test_paired_difference_changes_sign_with_the_order(pairs):
    forth = paired_difference(*zip(*pairs, strict=True))
    back = paired_difference(*(side[::-1] for side in zip(*((b, a) for a, b in pairs), strict=True)))
    assert (forth.mean, forth.low, forth.high) == pytest.approx((-back.mean, -back.high, -back.low), abs=1e-6)
    assert forth.low - 1e-9 <= forth.mean <= forth.high + 1e-9


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_over_seeds_holds_the_truth_as_often_as_it_says(seeds):
    rng, truth, held, trials = np.random.default_rng(0), 2.0, 0, 2000
    for _ in range(trials):
        luck = rng.normal(0, 3, seeds)  # shared by both methods: pairing takes it out
        gap = paired_difference(50 + luck + rng.normal(truth, 1.5, seeds), 50 + luck)
        held += gap.low <= truth <= gap.high
    assert abs(held / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)  # four standard errors


def test_spread_of_few_values_is_hardly_known():
    assert spread_factors(3) == pytest.approx((0.5207, 6.2847), abs=1e-4)
    assert spread_factors(10) == pytest.approx((0.6878, 1.8256), abs=1e-4)
    assert spread_factors(1) == (0, math.inf)
    rng = np.random.default_rng(0)
    low, high = spread_factors(4)
    found = rng.normal(0, 2.0, (4000, 4)).std(axis=1, ddof=1)
    held = np.mean((found * low <= 2.0) & (found * high >= 2.0))
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


@pytest.mark.parametrize("repeats", [1, 5])
def test_the_interval_over_queries_holds_the_truth_as_often_as_it_says(repeats):
    # a query of five splits is hard in all five: taken as five, they would cover 63 %
    rng, truth, held, trials = np.random.default_rng(1), 1.0, 0, 400
    units = np.tile(np.arange(150), repeats)
    for trial in range(trials):
        query = rng.normal(truth, 10, 150)
        gaps = np.tile(query, repeats) + rng.normal(0, 2, 150 * repeats)
        low, high = percentile_interval(resample(gaps, units, resamples=500, seed=trial))
        held += low <= truth <= high
    assert abs(held / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


GAPS = st.lists(st.tuples(st.floats(-100, 100, width=32), st.integers(0, 5)), min_size=1, max_size=30)


@given(GAPS, st.integers(0, 3))
def test_resampling_is_fixed_by_its_seed_symmetric_and_blind_to_order(pairs, seed):
    gaps, units = map(np.array, zip(*pairs, strict=True))
    drawn = resample(gaps, units, resamples=50, seed=seed)
    assert drawn.shape == (50,)
    assert (drawn == resample(gaps, units, resamples=50, seed=seed)).all()
    assert (resample(-gaps, units, resamples=50, seed=seed) == -drawn).all()
    backwards = resample(gaps[::-1], units[::-1], resamples=50, seed=seed)
    assert backwards == pytest.approx(drawn, abs=1e-6)
    assert gaps.min() - 1e-9 <= drawn.min() and drawn.max() <= gaps.max() + 1e-9


def test_resampling_draws_whole_units_and_weighs_them():
    # two units: both means, or the weighted mean of the two
    drawn = resample([1.0, 3.0, 8.0], ["a", "a", "b"], [1.0, 1.0, 2.0])
    assert set(np.round(drawn, 6)) == {2.0, 5.0, 8.0}
    assert abs(np.mean(drawn == 5.0) - 0.5) < 0.05
    assert percentile_interval(drawn) == (2, 8)
    assert (resample([4.0, 6.0, np.nan], ["a", "a", "b"]) == 5.0).all()  # no match: left out
    assert (resample([1.0, 5.0], [0, 1], seed=0) != resample([1.0, 5.0], [0, 1], seed=1)).any()


def test_resampling_needs_gaps_with_their_units():
    with pytest.raises(ValueError, match="one unit and one weight"):
        resample([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="at least one gap"):
        resample([np.nan], ["a"])


@given(st.lists(st.integers(1, 900), min_size=1, max_size=50))
def test_r22_the_bounds_hold_for_whatever_positions(positions):
    at = np.array(positions)
    ranks = [100 * float(np.mean(at <= k)) for k in (1, 5, 10)]
    for definition, scores in (("step", 1 / at), ("trapezoid", np.where(at == 1, 1.0, 0.5 / at))):
        low, high = single_match_bounds(*ranks, definition)
        assert low - 1e-9 <= 100 * scores.mean() <= high + 1e-9


def test_r22_the_bounds_are_reached():
    assert single_match_bounds(50, 100, 100) == (60, 75)  # the others all fifth, all second
    assert single_match_bounds(50, 100, 100, "trapezoid") == (55, 62.5)
    assert single_match_bounds(0, 0, 0) == pytest.approx((0, 100 / 11))
    with pytest.raises(ValueError, match="interpolated"):
        single_match_bounds(1, 2, 3, "interpolated")
    with pytest.raises(ValueError, match="non-decreasing"):
        single_match_bounds(3, 2, 3)


def test_r22_the_printed_rows_of_metabin_are_step_average_precision(root):
    cells = pd.read_csv("data/reference/paper_results.csv").query(
        "document == 'metabin' and table == 'T1' and target != 'average'"
    )
    table = cells.pivot_table(index=["method", "target"], columns="metric", values="value").dropna()
    inside = {"step": {}, "trapezoid": {}}
    for (method, _), cell in table.iterrows():
        for definition, counted in inside.items():
            low, high = single_match_bounds(cell["rank1"], cell["rank5"], cell["rank10"], definition)
            counted[method] = counted.get(method, 0) + (low - 0.1 <= cell["mAP"] <= high + 0.1)
    ours = [name for name in inside["step"] if name.startswith(("DIMN", "Switchable", "MetaBIN"))]
    assert len(ours) >= 3
    assert all(inside["step"][name] == 4 and inside["trapezoid"][name] == 0 for name in ours)
    assert inside["trapezoid"]["DualNorm"] == 3  # i-LIDS 78.5 is beyond what its ranks allow
