import copy
import hashlib
import logging
import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from PIL import Image

from dgreid.networks.norms.gates import layer_row
from dgreid.reporting import figures, style
from dgreid.reporting.figures import bank, cost, course, gradients, losses, sweeps

NAMES = ["balance", "course", "losses", "gradients", "sweeps", "bank", "cost"]
BALANCE = [
    layer_row(1, "stem", np.array([0.0, 0.5, 1.0, 1.0])),
    layer_row(2, "block.norm", np.linspace(0.2, 0.6, 5)),
]
BANK = [
    {"layer": 1, "name": "stem", "channels": 4, "domain": "day", "mean": 0.5, "variance": 1.5},
    {"layer": 1, "name": "stem", "channels": 4, "domain": "night", "mean": -0.5, "variance": 0.5},
]


@pytest.fixture
def run(root, make):
    """Makes the metrics of a run on `resnet_tiny`, with words of change."""

    def made(method, seed, rank1, *changes, **more):
        node = make(method, seed, rank1, protocol="miniature")
        digest = hashlib.sha256(" ".join(changes).encode()).hexdigest()[:6] if changes else ""
        node |= {"backbone": "resnet_tiny", "recipe": "miniature", "changes": list(changes)}
        return copy.deepcopy(node | {"run": f"{node['run']}{digest}"} | more)

    return made


@pytest.fixture
def everything(run):
    """Runs that have something for every figure, and the histories of those that learn gates."""
    rates = [f"method.gate_learning_rate={rate}" for rate in (0.01, 1)]
    found = [run("erm", 0, 40.0), run("lda", 0, 42.0, bank=BANK)]
    for seed in (0, 1):
        found += [
            run("metabin", seed, 45.0 + seed, *words, balance=BALANCE)
            for words in ([], *[[r] for r in rates])
        ]
    metrics = {node["run"]: node for node in found}
    time = {"iteration": [10, 20, 30], "epoch": [1.0, 2.0, 3.0], "cross_entropy": [3.0, 2.0, 1.0]}
    meta = {f"meta_{name}": [0.9, 0.8, 0.7] for name in ("scatter", "shuffle", "triplet", "train", "test")}
    gates = {f"balance_{what}_{layer}": [0.9, 0.8, 0.7] for what in ("mean", "std") for layer in (1, 2)}
    seldom = [0.01, np.nan, -0.02]
    slopes = {f"gradient_{w}_{name}": seldom for w in ("mean", "norm") for name in ("scatter", "triplet")}
    meta = pd.DataFrame({**time, **meta, **gates, **slopes})
    histories = {
        name: meta if node["method"] == "metabin" else pd.DataFrame(time) for name, node in metrics.items()
    }
    return metrics, histories


def written(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_figure_has_a_picture_a_print_and_its_numbers(everything, tmp_path, caplog, monkeypatch):
    with caplog.at_level(logging.INFO):
        drawn = figures.draw("Toy", *everything, tmp_path / "toy")
    assert not caplog.records  # fonts are put into the PDF without a word
    assert [figure.name for figure in drawn] == NAMES
    assert sorted(written(tmp_path / "toy")) == sorted(
        f"{n}.{s}" for n in NAMES for s in ("csv", "pdf", "png")
    )
    for figure in drawn:
        assert figure.stem == tmp_path / "toy" / figure.name and figure.title
        assert figure.caption.endswith(".") and ". " not in figure.caption  # one sentence
        width, height = Image.open(f"{figure.stem}.png").size
        assert width / 160 <= style.WIDTH + 0.01 and height > 100  # fits a printed page

    monkeypatch.setattr("time.time", lambda: 2e9)  # the same numbers: the same bytes, without dates
    figures.draw("Toy", *everything, tmp_path / "again")
    first = written(tmp_path / "toy")
    assert first == written(tmp_path / "again")
    for name, content in first.items():
        assert b"CreationDate" not in content and b"/Type3" not in content, name
        if name.endswith("png"):
            assert "Software" not in Image.open(tmp_path / "toy" / name).info


def test_a_figure_is_one_file_and_its_order_is_its_own(everything, tmp_path, monkeypatch):
    text = (Path(figures.__file__).parent / "cost.py").read_text()
    other = re.sub("^ORDER, TITLE = .*", 'ORDER, TITLE = 1.5, "New"', text, flags=re.M)
    (tmp_path / "another.py").write_text(other)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    try:
        few = {name: node for name, node in everything[0].items() if not node["changes"]}
        drawn = figures.draw("Toy", few, {}, tmp_path / "toy")
    finally:
        sys.modules.pop("dgreid.reporting.figures.another")
    names = [figure.name for figure in drawn]
    assert names[:2] == [NAMES[0], "another"] and set(names[2:]) < set(NAMES)
    assert len({kind.ORDER for kind in figures.kinds().values()}) == len(figures.kinds())


def data_of(metrics, histories):
    groups = style.grouped(metrics.values())
    return {name: kind.data(groups, histories) for name, kind in figures.kinds().items()}


@pytest.mark.parametrize("changed", NAMES)
def test_a_number_stands_in_one_figure(everything, changed):
    metrics, histories = everything
    before = data_of(metrics, histories)
    first = next(name for name, node in metrics.items() if node["method"] == "metabin")
    column = {"course": "balance_std_2", "losses": "meta_shuffle", "gradients": "gradient_norm_scatter"}
    if changed in column:
        histories = histories | {first: histories[first].copy()}
        histories[first].loc[0, column[changed]] += 0.05
    elif changed == "balance":
        metrics[first]["balance"][0]["mean"] = 0.3
    elif changed == "sweeps":  # a variant: `cost` shows the unchanged
        next(node for node in metrics.values() if node["changes"])["average"]["rank1"] += 1
    elif changed == "bank":
        next(node for node in metrics.values() if "bank" in node)["bank"][0]["mean"] = 0.6
    else:
        metrics[first]["cost"]["seconds"] = 20.0
    after = data_of(metrics, histories)
    assert [name for name in NAMES if not before[name].equals(after[name])] == [changed]


def test_a_changed_number_changes_the_files_that_show_it_alone(everything, tmp_path):
    metrics = {name: node for name, node in everything[0].items() if not node["changes"]}
    figures.draw("Toy", metrics, {}, tmp_path / "a")
    next(node for node in metrics.values() if "bank" in node)["bank"][0]["mean"] = 0.6
    figures.draw("Toy", metrics, {}, tmp_path / "b")
    before, after = written(tmp_path / "a"), written(tmp_path / "b")
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["bank.csv", "bank.pdf", "bank.png"]


def test_what_has_no_data_is_not_drawn(everything, run, tmp_path):
    few = {name: node for name, node in everything[0].items() if not node["changes"]}
    assert figures.draw("Toy", few, {}, tmp_path / "toy")
    alone = run("erm", 0, 40.0)
    assert figures.draw("Toy", {alone["run"]: alone}, {}, tmp_path / "toy") == []
    assert (tmp_path / "toy").is_dir() and written(tmp_path / "toy") == {}


def test_losses_in_parts_or_as_a_sum(everything, run):
    metrics, histories = everything
    other = run("m3l", 0, 41.0)
    sums = pd.DataFrame(
        {"iteration": [1, 2], "epoch": [1, 2], "meta_train": [2.0, 1.0], "meta_test": [3.0, 2.0]}
    )
    groups = style.grouped([*metrics.values(), other])
    frame = losses.data(groups, histories | {other["run"]: sums}).groupby("run")["loss"].unique()
    assert list(frame[other["run"]]) == ["meta_train", "meta_test"]
    first = next(name for name, node in metrics.items() if node["method"] == "metabin")
    assert list(frame[first]) == ["meta_scatter", "meta_shuffle", "meta_triplet", "meta_test"]
    assert not any("erm" in name for name in frame.index)


def test_gradients_are_drawn_where_they_were_measured(everything):
    metrics, histories = everything
    frame = gradients.data(style.grouped(metrics.values()), histories)
    assert set(frame["loss"]) == {"scatter", "triplet"} and set(frame["iteration"]) == {10, 30}


def test_the_course_has_every_layer_and_row(everything):
    metrics, histories = everything
    first = next(name for name, node in metrics.items() if node["method"] == "metabin")
    frame = course.data(style.grouped(metrics.values()), {first: histories[first]})
    assert list(frame["layer"]) == [1, 1, 1, 2, 2, 2] and list(frame["mean"]) == [0.9, 0.8, 0.7] * 2


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


def boxes(texts):
    return [text.get_window_extent() for text in texts if text.get_text()]


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


@pytest.mark.parametrize("across", [1, 2])
def test_a_long_title_takes_several_lines_in_the_page(across):
    with style.applied():
        drawn, panels = style.panels(across)
        before = drawn.get_figheight()
        style.title(drawn, "Scores and their cost: " + "a selection of many words " * 6)
        drawn.draw_without_rendering()
    (box,) = boxes(drawn.texts)
    assert box.x0 > 0 and box.x1 < drawn.bbox.width
    assert drawn.get_figheight() > before and box.y0 > panels[0].get_window_extent().y1
    style.title(drawn, "Short")
    assert drawn.get_suptitle() == "Short"


def test_cost_compares_methods_on_one_kind_of_device(run):
    found = [run("erm", 0, 40.0), run("metabin", 0, 45.0), run("metabin", 0, 46.0, "method.margin=0.1")]
    for node in found:
        node["cost"]["threads"] = 1
    frame = cost.data(style.grouped(found), {})
    assert list(frame["run"]) == [
        node["run"] for node in found[:2]
    ]  # the variant costs what it costs unchanged
    assert set(frame["panel"]) == {"miniature (miniature data), cpu, 1 thread"}
    assert list(frame["parameters"]) == [1.234567] * 2
    found[0]["cost"]["device"] = "NVIDIA X"
    assert cost.data(style.grouped(found), {}).empty


def test_seconds_of_training_are_plain_numbers_that_do_not_meet(run):
    found = [run("erm", 0, 40.0), run("bin", 0, 42.0), run("metabin", 0, 45.0)]
    for node, seconds in zip(found, (28.0, 60.0, 505.0), strict=True):
        node["cost"]["seconds"] = seconds
    with style.applied():
        drawn = cost.figure(cost.data(style.grouped(found), {}))
        drawn.draw_without_rendering()
    panel = drawn.axes[0]
    low, high = panel.get_xlim()
    labels = [text for text in panel.get_xticklabels() if low <= text.get_position()[0] <= high]
    assert [text.get_text() for text in labels] == ["50", "100", "200", "500"]
    assert not any(text.get_text() for text in panel.get_xticklabels(minor=True))
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes(labels)))


def test_bank_is_shown_against_the_average_of_the_domains(everything):
    frame = bank.data(style.grouped(everything[0].values()), {})
    assert list(frame["shift"]) == [0.5, -0.5] and list(frame["ratio"]) == [1.5, 0.5]


def test_the_lines_of_a_deep_network_have_no_markers(everything):
    metrics, _ = everything
    for node in metrics.values():
        if "bank" in node:
            node["bank"] = [{**row, "layer": layer} for layer in range(1, 54) for row in BANK]
    frame = bank.data(style.grouped(metrics.values()), {})
    markers = [
        {line.get_marker() for panel in bank.figure(part).axes for line in panel.lines}
        for part in (frame, frame[frame["layer"] < style.FEW])
    ]
    assert markers == [{"None"}, {"o", "s"}]


def test_systems_are_labelled_by_what_tells_them_apart(run):
    one, two = run("erm", 0, 40.0), run("erm", 0, 40.0) | {"backbone": "resnet50", "run": "other"}
    assert [group.label for group in style.grouped([one])] == ["BN baseline"]
    assert [group.label for group in style.grouped([one, two])] == [
        "BN baseline, resnet_tiny",
        "BN baseline, resnet50",
    ]
    assert [len(group.runs) for group in style.grouped([one, run("erm", 1, 41.0)])] == [2]


def test_a_users_settings_do_not_change_the_figures(everything, tmp_path):
    metrics = {name: node for name, node in everything[0].items() if not node["changes"]}
    figures.draw("Toy", metrics, {}, tmp_path / "a")
    with rc_context({"font.size": 20, "axes.grid": False, "lines.linewidth": 9}):
        figures.draw("Toy", metrics, {}, tmp_path / "b")
    assert written(tmp_path / "a") == written(tmp_path / "b")
