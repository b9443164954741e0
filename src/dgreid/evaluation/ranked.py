"""The result of ranking: where the matches of each query are, and the measures that follow from it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """The ranking of some queries against a gallery; all shares lie in [0, 1].

    Attributes:
        ranks: the k of CMC, such as (1, 5, 10).
        cmc: (len(ranks),) share of valid queries with a match among the first k.
        average_precision: (Nq,) mean precision at the matches, NaN for a query without a match.
        average_precision_trapezoid: (Nq,) area under the precision-recall line, as in Market-1501's
            official evaluation: (1/n) sum of (precision before + precision at the match) / 2.
        inverse_negative_penalty: (Nq,) matches / position of the last one (Ye et al. 2021), NaN as above.
        first_hit: (Nq,) position of the first match, from 1; 0 for a query without a match.
    """

    ranks: tuple[int, ...]
    cmc: np.ndarray
    average_precision: np.ndarray
    average_precision_trapezoid: np.ndarray
    inverse_negative_penalty: np.ndarray
    first_hit: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(Nq,) bool: the queries that have a match."""
        return self.first_hit > 0

    @property
    def mean_average_precision(self) -> float:
        """The mAP of the field: mean of the step average precision over valid queries."""
        return float(np.mean(self.average_precision[self.valid]))

    @property
    def mean_average_precision_trapezoid(self) -> float:
        """Mean of the trapezoid average precision; not comparable with the step one."""
        return float(np.mean(self.average_precision_trapezoid[self.valid]))

    @property
    def mean_inverse_negative_penalty(self) -> float:
        """Mean INP over valid queries; equals mAP if every query has one match."""
        return float(np.mean(self.inverse_negative_penalty[self.valid]))
