import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid.evaluation.statistics import over_seeds, over_splits, paired_difference, single_match_bounds


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
