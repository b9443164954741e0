from dgreid.runs import recorded
from helpers.metrics import node


def test_what_one_run_does_not_record_is_unknown_beside_the_others():
    made = [node("erm", seed, 40.0) for seed in range(4)]
    names = "; ".join(run["run"] for run in made)
    nothing = {"commits": "", "training_rows": "", "searched_rows": ""}
    assert recorded.origin(made) == {"runs": names, **nothing}
    for run, commit in zip(made, ("abc1234+", None, "def5678", "abc1234+"), strict=True):
        run["cost"]["commit"] = commit
    made[1]["made_from"] = {"training_rows": "2" * 64}
    assert recorded.origin(made) == {
        "runs": names,
        "commits": "abc1234+; unknown; def5678",
        "training_rows": f"unknown; {'2' * 12}",
        "searched_rows": "",
    }
