"""Evaluating a model on unseen data: ranking, the protocol runner, statistics."""

from dgreid.evaluation.ranking import Ranking, rank, rank_scores

__all__ = ["Ranking", "rank", "rank_scores"]
