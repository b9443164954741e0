"""Speeds of training: recorded by runs, reported, or measured."""

import json

import pytest

from dgreid.errors import UserError
from dgreid.paths import RUNS
from dgreid.selection import costs
from dgreid.selection.plan import budget_of, plan
from helpers import metrics
from helpers.plans import cells, cost, matrix, run


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", '[{"images_per_second": null}]'])
def test_damaged_measurements_are_a_sentence_and_stay(made, text):
    costs.COSTS.write_text(text)
    with pytest.raises(UserError, match=r"data/costs\.json is damaged: delete it"):
        plan(matrix(run()))
    assert costs.COSTS.read_text() == text


def test_hours_come_from_the_same_method_backbone_size_precision_device_and_threads(made, monkeypatch):
    each = run("pair", "erm", "recipe.epochs=1000")
    images = budget_of(each).images
    assert images == 2 * 1000 * 32
    others = {
        "method": (run("pair", "erm_in"), {}),
        "image": (run("pair", "erm", "image=128x64"), {}),
        "device": (run(), {"device": "a GPU"}),
        "threads": (run(), {"threads": 2}),
        "precision": (run("pair", "erm", "recipe.precision=float32"), {}),
    }
    for name, (other, changes) in others.items():
        cost(RUNS / name, other, 1.0, **changes)
    assert "the speed of 1 is unknown, add --measure" in plan(matrix(each))
    assert cells(plan(matrix(each)), each.run)[-1].strip() == "unknown"
    for number, rate in enumerate((8.0, 10.0, 90.0)):
        cost(RUNS / f"same{number}", run("alone"), rate)
    row = cells(plan(matrix(each)), each.run)
    assert [cell.strip() for cell in row[-3:]] == ["10.0", "runs", f"{images / 10 / 3600:.2f}"]
    monkeypatch.setenv("DGREID_THREADS", "2")
    assert cells(plan(matrix(each)), each.run)[-3].strip() == "1.0"


def test_reports_of_maybe_another_machine_are_named_and_yield_to_runs(made):
    (made / "reports/metrics").mkdir(parents=True)
    node = metrics.node("erm", 0, 50.0) | {"run": "else", "backbone": "resnet_tiny"}
    node["recipe"] = run().recipe.name
    node["cost"] |= {"images_per_second": 5.0, "threads": 1}
    (made / "reports/metrics/else.json").write_text(json.dumps(node))
    assert costs.speed(run()) == (5.0, "reports")
    assert costs.speed(run("pair", "erm", "recipe.precision=float32")) is None
    cost(RUNS / "same", run(), 7.0)
    assert costs.speed(run()) == (7.0, "runs")


def test_measure_times_each_missing_combination_once_and_keeps_it(made, monkeypatch):
    monkeypatch.setattr(costs, "SECONDS_TIMED", 0.3)
    runs = [run("pair", method, f"seed={seed}") for method in ("erm", "metabin") for seed in (0, 1)]
    text = plan(matrix(*runs), measure=True)
    kept = json.loads((made / "data/costs.json").read_text())
    assert [(entry["method"], entry["machine"], entry["threads"]) for entry in kept] == [
        ("erm", "abacus", 1),
        ("metabin", "abacus", 1),
    ]
    assert all(entry["images_per_second"] > 0 and entry["iterations"] > 0 for entry in kept)
    assert "unknown" not in text and text.count("measured  ") == 4
    monkeypatch.setattr(costs, "measure", None)  # would fail if anything were measured again
    assert plan(matrix(*runs), measure=True) == text
    monkeypatch.setattr(costs, "machine", lambda: ("cpu", "another"))
    assert "the speed of 4 is unknown" in plan(matrix(*runs))


def test_every_sampler_can_be_measured(project, monkeypatch):
    monkeypatch.setattr(costs, "SECONDS_TIMED", 0.0)
    each = run("pair", "erm", "recipe.batch_size=24")
    rows = costs.crowd(each, domains=3)
    assert rows.domain.nunique() == 3 and (rows.groupby("identity").camera.nunique() == 2).all()
    assert costs.measure(each, domains=3).images_per_second > 0
