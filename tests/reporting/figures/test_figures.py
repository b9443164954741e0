import logging
import re
import sys
from pathlib import Path

import pytest
from matplotlib import rc_context
from PIL import Image

from dgreid.reporting import figures, style

NAMES = ["balance", "course", "losses", "gradients", "sweeps", "bank", "cost"]


def written(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_figure_has_a_picture_a_print_and_its_numbers(everything, tmp_path, caplog, monkeypatch):
    with caplog.at_level(logging.INFO):
        drawn = figures.draw("Toy", *everything, tmp_path / "toy")
    assert not caplog.records  # fonts are put into the PDF without a word
    names = [figure.name for figure in drawn]
    assert [name for name in names if name in NAMES] == NAMES  # and those of figures added to the folder
    assert sorted(written(tmp_path / "toy")) == sorted(
        f"{n}.{s}" for n in names for s in ("csv", "pdf", "png")
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
    names = [figure.name for figure in drawn if figure.name in (*NAMES, "another")]
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
    drawn = {figure.name for figure in figures.draw("Toy", {alone["run"]: alone}, {}, tmp_path / "toy")}
    assert not drawn & set(NAMES)
    assert (tmp_path / "toy").is_dir() and {name.split(".")[0] for name in written(tmp_path / "toy")} == drawn


def test_a_users_settings_do_not_change_the_figures(everything, tmp_path):
    metrics = {name: node for name, node in everything[0].items() if not node["changes"]}
    figures.draw("Toy", metrics, {}, tmp_path / "a")
    with rc_context({"font.size": 20, "axes.grid": False, "lines.linewidth": 9}):
        figures.draw("Toy", metrics, {}, tmp_path / "b")
    assert written(tmp_path / "a") == written(tmp_path / "b")
