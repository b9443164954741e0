from dgreid.runs.summary import summary
from helpers.metrics import node


def test_summary_has_a_few_numbers_per_run():
    assert summary(node("metabin", 1, 45.678)) == {
        "average": {"rank1": 45.68, "mAP": 50.68}, "VIPeR": {"rank1": 45.68}, "i_LIDS": {"rank1": 45.68},
    }  # fmt: skip
