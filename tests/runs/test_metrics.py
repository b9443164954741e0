import json
from pathlib import Path

import pytest

from dgreid.errors import UserError
from dgreid.paths import METRICS
from dgreid.runs import metrics as results
from helpers import metrics

NODE = metrics.node("erm", 0, 50.0)
SCORES = {"rank1": 1.0}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    METRICS.mkdir(parents=True)
    return METRICS / "erm-tiny-toy-s0.json"


def test_what_evaluate_writes_is_read_as_it_is(path):
    more = {"made_from": {"configuration": "1"}, "balance": [{"layer": 1}], "later": 1}
    nodes = [NODE | {"run": "a"}, NODE | {"run": "b"} | more]
    for node in reversed(nodes):
        path.with_stem(node["run"]).write_text(json.dumps(node))
    assert results.every() == nodes


def test_metrics_under_another_name_are_refused(path):
    path.with_stem("erm-tiny-toy-s7").write_text(json.dumps(NODE))
    with pytest.raises(UserError, match=r"s7\.json holds the metrics of erm-tiny-toy-s0"):
        results.every()


def test_titles_are_those_that_the_method_has_now(path):
    file = Path("params/method/erm.yaml")
    file.parent.mkdir(parents=True)
    path.write_text(json.dumps(NODE))
    file.write_text("title: A new title\nprovenance: as written\n")
    assert results.read(path) == NODE | {"title": "A new title", "provenance": "as written"}
    file.unlink()  # a method that was removed keeps what was recorded
    assert results.read(path) == NODE


def test_metrics_that_came_with_the_project_are_read(root):
    assert {run["run"] for run in results.every()} == {path.stem for path in METRICS.glob("*.json")}


@pytest.mark.parametrize("text", [b"", b"no", json.dumps(NODE).encode()[:-40], b"[]", b"1", b'"\xff"'])
def test_a_file_that_is_no_mapping_is_a_sentence(path, text):
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"^reports/metrics/erm-tiny-toy-s0\.json is damaged: evaluate"):
        results.every()


@pytest.mark.parametrize("key", NODE)
def test_every_key_is_missed(path, key):
    path.write_text(json.dumps({name: value for name, value in NODE.items() if name != key}))
    again = r"evaluate the run again with `dvc repro evaluate@erm-tiny-toy-s0`\.$"
    with pytest.raises(UserError, match=rf"is damaged \(at {key}\): {again}"):
        results.read(path)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"cost": NODE["cost"] | {"seconds": "many"}}, "cost.seconds"),
        ({"cost": {}}, "cost.seconds"),
        ({"targets": {"GRID": SCORES}}, "targets.GRID.rank5"),
        ({"targets": {"GRID": NODE["average"] | {"splits": [SCORES]}}}, "targets.GRID.splits.0.rank5"),
        ({"average": None}, "average"),
        ({"seed": "0"}, "seed"),
        ({"changes": "method.margin=0.5"}, "changes"),
        ({"balance": {"layer": 1}}, "balance"),
        ({"average": NODE["average"] | {"mAP": float("nan")}}, "average.mAP"),
        ({"average": NODE["average"] | {"mAP": 100.5}}, "average.mAP"),
        ({"average": NODE["average"] | {"rank1": -1.0}}, "average.rank1"),
        ({"targets": {}}, "targets"),
        ({"targets": {"<b>": NODE["targets"]["VIPeR"]}}, "targets.<b>.*"),
        ({"protocol": "../../etc"}, "protocol"),
        ({"title": "two\nlines"}, "title"),
    ],
)
def test_what_stands_at_a_key_is_checked(path, changes, place):
    path.write_text(json.dumps(NODE | changes))
    with pytest.raises(UserError, match=rf"is damaged \(at {place}\)"):
        results.read(path)


def test_missing_metrics_name_the_whole_command(path):
    choice = dict(method="erm", backbone="tiny", protocol="toy", recipe="own", image="64x32", seed=0)
    words = "method=erm backbone=tiny protocol=toy recipe=own image=64x32 seed=0 'method.margin=0.2'"
    with pytest.raises(UserError, match=f"is missing: run `dgreid evaluate {words}` first"):
        results.read_metrics("erm-tiny-toy-s0", choice | {"changes": " 'method.margin=0.2'"})
