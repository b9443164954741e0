"""Evaluating a model on unseen data: ranking, the protocol runner, statistics."""

from dgreid.evaluation.ranked import Ranking
from dgreid.evaluation.ranking import rank, rank_scores

__all__ = ["Ranking", "rank", "rank_scores"]
