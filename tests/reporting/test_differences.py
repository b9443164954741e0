import numpy as np
import pandas as pd
import pytest

from dgreid.errors import UserError
from dgreid.evaluation.statistics import paired_difference, percentile_interval, resample
from dgreid.reporting import differences
from dgreid.sheets import markdown


def compare(select, runs, queries=None, **baselines):
    matrix = select(runs)
    for choice in matrix["runs"].values():
        choice |= {"baseline": baselines[choice["method"]]} if choice["method"] in baselines else {}
    return differences.differences(matrix, {run["run"]: run for run in runs}, queries or {})


def compare_in_a_frame(*arguments, **baselines):
    return differences.frame(compare(*arguments, **baselines))


def at(gaps, method, target, measure="rank1"):
    (found,) = [gap for gap in gaps if (gap.method, gap.target, gap.measure) == (method, target, measure)]
    return found


def per_query(seed, shift=0.0, identities=40):
    """Two targets, two splits, half of the identities in each; the same identities for every seed."""
    rng = np.random.default_rng(seed)
    parts = []
    for target in ("VIPeR", "i_LIDS"):
        for split in (0, 1):
            chosen = np.random.default_rng(split).permutation(identities)[: identities // 2]
            score = rng.uniform(0, 80, len(chosen)) + shift
            names = [f"toy/{identity}" for identity in chosen]
            columns = {"target": target, "split": split, "query": names, "mAP": score, "rank1": score}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def test_seeds_are_the_replicates(make, select):
    runs = [make("erm", s, 40.0 + s) for s in range(3)] + [make("metabin", s, 42.0 + 2 * s) for s in range(3)]
    gap = at(compare(select, runs), "metabin", "VIPeR")
    expected = paired_difference([42, 44, 46], [40, 41, 42])
    assert (gap.difference, gap.seeds, gap.method_mean, gap.baseline_mean) == (3, 3, 44, 41)
    assert (gap.seeds_low, gap.seeds_high) == pytest.approx(expected[1:3])
    assert gap.sentence == (
        "metabin is 3.0 points above BN baseline on VIPeR (Rank-1, miniature data), 95 % interval "
        f"{expected.low:.1f} to {expected.high:.1f}, 3 seeds."
    )
    assert at(compare(select, runs), "metabin", "Average").difference == 3


def test_one_seed_has_no_interval_over_seeds_and_says_so(make, select):
    gap = at(compare(select, [make("erm", 0, 40.0), make("metabin", 0, 37.9)]), "metabin", "i_LIDS")
    assert np.isnan(gap.seeds_low) and np.isnan(gap.seeds_high)
    assert gap.sentence == (
        "metabin is 2.1 points below BN baseline on i_LIDS (Rank-1, miniature data), one seed: how another "
        "training would end is not known."
    )


def test_an_interval_around_zero_settles_nothing(make, select):
    runs = [make("erm", 0, 40.0), make("erm", 1, 40.0), make("metabin", 0, 41.0), make("metabin", 1, 39.5)]
    assert at(compare(select, runs), "metabin", "VIPeR").sentence.endswith(
        "2 seeds. The sign is not settled."
    )


def test_the_baseline_is_the_named_one_with_the_same_settings(make, select):
    runs = [
        make(method, 0, score) for method, score in (("erm", 40.0), ("erm_pooled", 30.0), ("metabin", 45.0))
    ]
    gaps = compare(select, runs, metabin="erm_pooled")
    assert at(gaps, "metabin", "VIPeR").difference == 15
    assert at(gaps, "erm_pooled", "VIPeR").difference == -10
    assert "erm" not in {gap.method for gap in gaps}
    other = [make("erm", 0, 40.0) | {"backbone": "another"}, make("metabin", 0, 45.0)]
    assert compare(select, other) == []


def test_changes_of_a_method_are_held_against_the_unchanged_baseline(make, select):
    changed = make("metabin", 0, 47.0)
    changed |= {"run": "metabin-tiny-toy-s0-abc", "changes": ["method.margin=0.5"]}
    longer = make("metabin", 0, 60.0) | {"run": "metabin-tiny-toy-s0-def", "changes": ["recipe.epochs=9"]}
    gaps = compare(select, [make("erm", 0, 40.0), changed, longer])
    # the baseline was not run with the longer recipe
    assert {(gap.title, gap.difference) for gap in gaps} == {("metabin, margin=0.5", 7.0)}


def test_budgets_are_compared_within_themselves_and_named_where_they_differ(make, select):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 45.0), make("bin", 0, 41.0)]
    for method, score in (("erm", 60.0), ("metabin", 63.0)):
        runs.append(make(method, 0, score) | {"run": f"{method}-tiny-toy-s0-abc", "recipe": "long"})
    gaps = compare(select, runs)
    titles = list(dict.fromkeys(gap.title for gap in gaps))
    assert titles == ["metabin, recipe quick", "bin", "metabin, recipe long"]
    assert at([gap for gap in gaps if gap.recipe == "long"], "metabin", "VIPeR").baseline_mean == 60
    (sheet,) = differences.sheets("A title", gaps)
    assert len(sheet.lines) == 3 * 3  # titles, two targets and their average


def test_splits_are_resampled_as_wholes(make, select):
    runs = [make("erm", s, 40.0) for s in (0, 1)]
    runs += [make("metabin", s, 42.0, splits=(-3.0, 0.0, 3.0)) for s in (0, 1)]
    gap = at(compare(select, runs), "metabin", "VIPeR")
    drawn = resample([0, 2, 4] * 2, [0, 1, 2] * 2)  # seeds share their splits: three units, not six
    assert (gap.splits, gap.splits_low, gap.splits_high) == (3, *percentile_interval(drawn))
    assert (gap.splits_low, gap.splits_high) == (0, 4)


def test_queries_are_resampled_as_images_over_splits_and_seeds(make, select):
    runs = [make("erm", 0, 40.0), make("erm", 1, 40.0), make("metabin", 0, 45.0), make("metabin", 1, 45.0)]
    queries = {run["run"]: per_query(i, 10.0 * (run["method"] == "metabin")) for i, run in enumerate(runs)}
    gaps = compare(select, runs, queries)
    gap = at(gaps, "metabin", "VIPeR")
    identities = set(queries[runs[0]["run"]].query("target == 'VIPeR'")["query"])
    assert gap.queries == len(identities)
    assert gap.queries_low < 10 < gap.queries_high
    average = at(gaps, "metabin", "Average")  # two targets drawn apart: narrower by the root of two
    width, one = average.queries_high - average.queries_low, gap.queries_high - gap.queries_low
    assert 0.55 < width / one < 0.9
    again = at(compare(select, runs, queries), "metabin", "VIPeR")
    assert (again.queries_low, again.queries_high) == (gap.queries_low, gap.queries_high)


def test_the_other_way_round_everything_is_negated(make, select):
    runs = [make("erm", 0, 40.0), make("erm", 1, 43.0), make("other", 0, 45.0), make("other", 1, 44.0)]
    queries = {run["run"]: per_query(i) for i, run in enumerate(runs)}
    forth = compare_in_a_frame(select, runs, queries, other="erm")
    back = compare_in_a_frame(select, runs, queries, erm="other", other="other")
    assert set(forth["method"]) == {"other"} and set(back["method"]) == {"erm"}
    for what in ("seeds", "queries", "splits"):
        assert forth[f"{what}_low"].to_numpy() == pytest.approx(-back[f"{what}_high"].to_numpy(), nan_ok=True)
        assert forth[f"{what}_high"].to_numpy() == pytest.approx(-back[f"{what}_low"].to_numpy(), nan_ok=True)
    assert (forth["difference"] == -back["difference"]).all()


def test_without_the_queries_of_both_there_is_no_interval_over_them(make, select):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 45.0)]
    gap = at(compare(select, runs, {runs[0]["run"]: per_query(0)}), "metabin", "VIPeR")
    assert gap.queries == 0 and np.isnan(gap.queries_low)


def test_queries_without_a_match_are_left_out(make, select):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 45.0)]
    queries = {run["run"]: per_query(0, 10.0 * (run["method"] == "metabin")) for run in runs}
    for frame in queries.values():
        frame.loc[frame["query"] == "toy/3", ["mAP", "rank1"]] = np.nan
    gap = at(compare(select, runs, queries), "metabin", "VIPeR")
    assert gap.queries == queries[runs[0]["run"]].dropna().query("target == 'VIPeR'")["query"].nunique()
    assert (gap.queries_low, gap.queries_high) == pytest.approx((10, 10))


def test_other_queries_are_refused(make, select):
    runs = [make("erm", 0, 40.0), make("metabin", 0, 45.0)]
    queries = {runs[0]["run"]: per_query(0), runs[1]["run"]: per_query(0, identities=44)}
    with pytest.raises(UserError, match="evaluated on VIPeR with different queries; evaluate both again"):
        compare(select, runs, queries)


def test_the_sheet_says_the_data_kind_the_intervals_and_their_worth(make, select):
    runs = [make("erm", s, 40.0) for s in (0, 1)] + [make("metabin", s, 45.0 + s) for s in (0, 1)]
    text = markdown(differences.sheets("Toy", compare(select, runs)))
    assert text.startswith("# Toy: differences to the baseline, miniature data, protocol toy\n")
    assert "| metabin | BN baseline | tiny_net | VIPeR | 2 | +5.5 | [-0.9, +11.9] |" in text
    assert "- metabin is 5.5 points above BN baseline on average (mAP, miniature data)" in text
    assert "2 seeds give the spread between trainings only within a factor of 0.4 to 31.9" in text
    assert "One seed has no interval" in differences.caution(1)


def test_a_selection_without_baseline_has_an_empty_frame(make, select):
    gaps = compare(select, [make("metabin", 0, 45.0)])
    frame = differences.frame(gaps)
    assert gaps == [] and frame.empty and [frame.columns[0], frame.columns[-1]] == ["data", "sentence"]
    assert differences.sheets("Toy", gaps) == []


def test_only_an_interval_that_excludes_zero_has_a_direction(make, select):
    runs = [make("erm", 0, 40.0), make("erm", 1, 40.0), make("metabin", 0, 41.0), make("metabin", 1, 41.0)]
    gap = compare(select, runs)[0]
    nan = float("nan")
    for low, high, way in ((nan, nan, ""), (0.1, 2.0, "up"), (-2.0, -0.1, "down"), (-2.0, 0.1, "")):
        assert gap._replace(seeds_low=low, seeds_high=high).way == way
