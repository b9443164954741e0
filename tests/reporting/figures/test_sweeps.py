from itertools import pairwise

import pytest

from dgreid.reporting import style
from dgreid.reporting.figures import sweeps
from helpers.figures import boxes


def test_a_sweep_has_two_changed_numbers_and_the_unchanged_run_where_params_put_it(run):
    key = "method.gate_learning_rate"
    found = [run("metabin", seed, 50.0 + seed) for seed in (0, 1)]
    found += [run("metabin", 0, rank1, f"{key}={rate}") for rate, rank1 in ((0.01, 30.0), (1, 40.0))]
    found += [run("metabin", 0, 45.0, "method.norm=bin_shared")]  # no number
    found += [run("metabin", 0, 45.0, "method.margin=0.1")]  # one number is no sweep
    frame = sweeps.data(style.grouped(found), {})
    assert list(frame["setting"].unique()) == [key]
    assert list(zip(frame["value"], frame["rank1"], frame["unchanged"], strict=True)) == [
        (0.01, 30.0, False),
        (1.0, 40.0, False),
        (0.1, 50.0, True),
        (0.1, 51.0, True),
    ]
    assert frame["memory_mib"].isna().all()  # of a CPU it says nothing


def test_runs_of_a_sweep_agree_in_all_else(run):
    key = "method.gate_learning_rate"
    apart = [
        run("metabin", 0, 30.0, f"{key}=0.01"),
        run("metabin", 0, 30.0, f"{key}=1") | {"image": "128x64"},
    ]
    assert sweeps.data(style.grouped(apart), {}).empty
    both = [run("metabin", 0, 30.0, f"{key}={rate}", "method.margin=0.1") for rate in (0.01, 1)]
    frame = sweeps.data(style.grouped(both), {})
    assert list(frame["setting"]) == [key, key] and frame["sweep"].str.endswith("method.margin=0.1").all()


def test_memory_is_drawn_where_a_gpu_measured_it(run, tmp_path):
    gpu = {"cost": {"seconds": 9.0, "peak_memory_bytes": 3 * 2**20, "parameters": 5, "device": "NVIDIA X"}}
    found = [run("metabin", 0, 30.0, f"method.meta_train_domains={n}", **gpu) for n in (1, 2)]
    frame = sweeps.data(style.grouped(found), {})
    assert list(frame["memory_mib"]) == [3.0, 3.0]
    scores, memory = sweeps.figure(frame).axes
    assert not {line.get_color() for line in memory.lines} & {line.get_color() for line in scores.lines}


@pytest.mark.parametrize("rates", [(0.0, 0.01, 1.0), (0.0, 0.5, 1.0), (0.01, 0.2, 1.0), (-1.0, 0.0)])
def test_the_values_of_a_sweep_stand_apart(run, rates):
    nodes = [run("metabin", 0, 30.0)]  # 0.1
    nodes += [run("metabin", 0, 30.0, f"method.gate_learning_rate={rate}") for rate in rates]
    with style.applied():
        drawn = sweeps.figure(sweeps.data(style.grouped(nodes), {}))
        drawn.draw_without_rendering()
    (panel,) = drawn.axes
    shown = boxes(panel.get_xticklabels())
    assert len(shown) == len(rates) + 1
    assert all(left.x1 < right.x0 for left, right in pairwise(shown))
    (low, _), (high, _) = panel.transAxes.inverted().transform([shown[0].min, shown[-1].max])
    assert low < 0.1 and high > 0.9  # no room is left unused
    assert "unchanged" in [text.get_text() for text in drawn.legends[0].get_texts()]
