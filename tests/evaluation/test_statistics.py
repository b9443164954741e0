import math

import pytest

from dgreid.evaluation.statistics import over_seeds, over_splits, paired_difference


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
