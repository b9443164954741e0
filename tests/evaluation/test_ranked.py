import numpy as np
import pytest

from dgreid.evaluation.ranked import Ranking

NAN = np.nan
RANKING = Ranking(
    ranks=(1, 5),
    cmc=np.array([0.5, 1.0]),
    average_precision=np.array([1.0, NAN, 0.5]),
    average_precision_trapezoid=np.array([1.0, NAN, 0.25]),
    inverse_negative_penalty=np.array([0.75, NAN, 0.25]),
    first_hit=np.array([1, 0, 2]),
)


def test_means_are_over_the_queries_that_have_a_match():
    assert RANKING.valid.tolist() == [True, False, True]
    assert RANKING.mean_average_precision == 0.75
    assert RANKING.mean_average_precision_trapezoid == 0.625
    assert RANKING.mean_inverse_negative_penalty == 0.5


def test_a_ranking_is_not_changed_afterwards():
    with pytest.raises(AttributeError):
        RANKING.ranks = (1,)
