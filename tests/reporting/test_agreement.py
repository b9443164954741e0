import copy
import json
import subprocess

import numpy as np
import pytest
from scipy import stats

from dgreid import sealed
from dgreid.cli.main import main
from dgreid.errors import UserError
from dgreid.paths import METRICS
from dgreid.reporting import agreement
from helpers.metrics import node

EARLIER = {
    run["run"]: run
    for method, scores in {"erm": (40.0, 42.0, 44.0), "metabin": (50.0, 51.0, 52.0)}.items()
    for run in (node(method, seed, score) for seed, score in enumerate(scores))
}
LIMIT = stats.t.ppf(1 - 0.05 / 4, 4) * 2**0.5 * ((8 + 2) / 4) ** 0.5  # squares 8 and 2, 3 seeds of 2 methods


def moved(run, points, **more):
    """The same run elsewhere: another date, all scores moved."""
    found = copy.deepcopy(EARLIER[run]) | more
    found["cost"]["seconds"] += 1
    for part in (found["average"], *found["targets"].values()):
        for measure in ("rank1", "mAP"):
            part[measure] += points
    return found


def verdicts(*runs, earlier=EARLIER):
    found = agreement.compare({run["run"]: run for run in runs}, earlier)
    return [each.verdict for each in found], agreement.status(found), found


def test_equal_scores_are_equal_whatever_the_run_cost():
    runs = [moved(name, 0.0) for name in EARLIER]
    assert verdicts(*runs)[:2] == (["equal"] * 6, 0)
    assert agreement.summary(verdicts(*runs)[2], "commit abc") == (
        "Equal to the results of commit abc in all digits: 6 of 6 runs."
    )


def test_the_last_digit_of_one_split_counts():
    run = moved("erm-tiny-toy-s0", 0.0)
    run["targets"]["VIPeR"]["splits"][1]["rank10"] += 0.0001
    assert verdicts(run)[:2] == (["within"], 3)


@pytest.mark.parametrize(("points", "verdict"), [(0.999, "within"), (1.001, "outside")])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_is_measured_by_the_scatter_of_all_methods_seeds(points, verdict, sign):
    run = moved("metabin-tiny-toy-s1", sign * points * LIMIT)
    assert verdicts(run)[0] == [verdict]


def test_ninety_five_of_a_hundred_runs_that_scatter_as_seeds_are_within():
    """Both measures at once, each with three committed seeds of four methods; the machine as another seed."""
    rng = np.random.default_rng(0)
    within = []
    for _ in range(400):
        earlier, run = {}, None
        for method in "abcd":
            for seed in range(3):
                made = node(method, seed, 50.0)
                made["average"] = dict(zip(("rank1", "mAP"), 50 + 2 * rng.standard_normal(2), strict=True))
                earlier[made["run"]] = made
        run = copy.deepcopy(made)
        run["average"] = dict(zip(("rank1", "mAP"), 50 + 2 * rng.standard_normal(2), strict=True))
        within += [verdict == "within" for verdict in verdicts(run, earlier=earlier)[0]]
    assert 0.93 < np.mean(within) < 0.98  # 0.95, with the deviation of 400 trials


def test_as_many_runs_as_chance_explains_may_be_outside():
    far = 2 * LIMIT
    one = [moved(name, far * (name == "erm-tiny-toy-s0")) for name in EARLIER]
    assert agreement.expected(6) == 1 and verdicts(*one)[1] == 3
    two = [moved(name, far * name.startswith("erm-tiny-toy-s") * (name[-1] != "2")) for name in EARLIER]
    assert verdicts(*two)[1] == 1
    said = agreement.summary(verdicts(*two)[2], "the last commit")
    assert said == (
        "Equal to the results of the last commit in all digits: 4 of 6 runs; 2 outside. Of 6 runs that "
        "differ by chance, up to 1 are outside."
    )


def test_a_run_of_other_settings_or_data_is_not_comparable_however_close():
    earlier = copy.deepcopy(EARLIER)
    earlier["erm-tiny-toy-s0"]["made_from"] = {
        "configuration": "1",
        "training_rows": "2",
        "searched_rows": "3",
    }
    made = {"configuration": "9", "training_rows": "8", "searched_rows": "3"}
    words, status, (found,) = verdicts(moved("erm-tiny-toy-s0", 0.1, made_from=made), earlier=earlier)
    assert (words, status) == (["other inputs"], 1)
    assert (
        found.sentence
        == "made from other settings and training data than the committed run, so not comparable"
    )


def test_one_committed_seed_does_not_tell_what_chance_does():
    earlier = {name: run for name, run in EARLIER.items() if run["seed"] == 0}
    words, status, (found,) = verdicts(moved("erm-tiny-toy-s0", 0.1), earlier=earlier)
    assert (words, status) == (["outside"], 1) and "its scatter is unknown" in found.sentence


def test_runs_under_other_settings_are_no_measure_of_scatter():
    earlier = {name: run | {"recipe": f"r{run['seed']}"} for name, run in EARLIER.items()}
    assert not agreement.limits(earlier.values())


def test_a_run_without_committed_results_is_new_and_does_not_count():
    fresh = node("bin", 0, 60.0)
    assert verdicts(fresh, moved("erm-tiny-toy-s0", 0.0))[:2] == (["new", "equal"], 0)
    assert verdicts(fresh)[:2] == (["new"], 1)


def test_sentences_give_differences_and_limits():
    (found,) = verdicts(moved("erm-tiny-toy-s0", -1.25))[2]
    chance = f"{LIMIT:.1f} points of Rank-1 and {LIMIT:.1f} points of mAP"
    moves = "-1.2 points of Rank-1 and -1.2 points of mAP"
    assert found.sentence == f"differs by {moves}, within what seeds scatter ({chance})"


@pytest.fixture
def checkout(tmp_path, monkeypatch, root):
    """A clone with committed metrics, as the working folder."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t")
    (tmp_path / "params").symlink_to(root / "params")
    monkeypatch.chdir(tmp_path)
    METRICS.mkdir(parents=True)
    for run in EARLIER.values():
        write(run)
    for words in (["init", "-q", "."], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def write(run):
    (METRICS / f"{run['run']}.json").write_text(sealed.to_json(run))


def verify(capsys, *words):
    try:
        status = main(["verify", *words])
    except SystemExit as ended:
        status = ended.code
    return status, capsys.readouterr()


def test_the_command_compares_with_the_commit(checkout, capsys):
    name = "erm-tiny-toy-s0"
    status, said = verify(capsys, name)
    assert status == 0 and f"{name}: equal in all digits (the committed file itself)\n" in said.out
    write(moved(name, 0.0))
    status, said = verify(capsys, name)
    assert status == 0 and f"{name}: equal in all digits\nEqual to the results of commit " in said.out
    write(moved(name, 1.0))
    status, said = verify(capsys, name, "--json")
    shown = json.loads(said.out)
    assert status == shown["status"] == 3 and shown["runs"][name]["verdict"] == "within"
    assert shown["runs"][name]["differences"] == {"rank1": 1.0, "mAP": 1.0}
    write(moved(name, 30.0))
    assert verify(capsys, name)[0] == 1


def test_what_cannot_be_compared_is_said_in_a_sentence(checkout, capsys):
    assert "unknown run 'er'" in verify(capsys, "er")[1].err
    status, said = verify(capsys, "erm-tiny-toy-s0", "--against", "v9")
    assert status == 1 and said.err.startswith("error: there is no commit v9 here to compare with: ")
    (METRICS / "erm-tiny-toy-s0.json").write_text("{")
    subprocess.run(["git", "commit", "-qam", "damaged"], check=True)
    write(EARLIER["erm-tiny-toy-s0"])
    assert ":reports/metrics/erm-tiny-toy-s0.json is damaged" in verify(capsys, "erm-tiny-toy-s0")[1].err


def test_without_git_or_metrics_the_report_goes_on_and_verify_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert agreement.with_the_last_commit(EARLIER) == []
    with pytest.raises(UserError, match=r"there is no commit HEAD here .* git clone"):
        agreement.committed()


def test_the_page_shows_nothing_if_nothing_of_it_is_committed(checkout):
    fresh = node("bin", 0, 60.0)
    assert agreement.with_the_last_commit({fresh["run"]: fresh}) == []
    assert len(agreement.with_the_last_commit({**EARLIER, fresh["run"]: fresh})) == 7
