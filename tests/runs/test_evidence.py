import pandas as pd
import pytest

from dgreid.runs import evidence


def test_the_hardest_queries_come_first_and_those_without_a_match_not_at_all():
    queries = pd.DataFrame(
        [("A", "x", 0.5, 2), ("A", "y", 0.2, 5), ("A", "y", 0.4, 3), ("A", "z", None, 0), ("B", "x", 1.0, 1)],
        columns=["target", "query", "average_precision", "first_hit"],
    )
    known = pd.DataFrame({"query": ["y"], "identity": [3], "camera": [1]})
    found = evidence.hardest(queries, known)
    assert list(found) == ["A", "B"]
    assert found["A"]["query"].to_list() == ["y", "x"]
    assert found["A"].iloc[0][["splits", "best", "worst", "identity"]].to_list() == [2, 3, 5, 3]
    assert found["A"]["average_precision"].to_list() == pytest.approx([30, 50])
    assert evidence.hardest(queries, known, count=1)["A"]["query"].to_list() == ["y"]
