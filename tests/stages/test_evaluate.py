import json
import logging
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import save_file

from dgreid import protocols, sealed
from dgreid.errors import UserError
from dgreid.evaluation.queries import agree, as_percent, read_scores
from dgreid.files import sha256, whole
from dgreid.methods.base import Task
from dgreid.methods.erm import ERM
from dgreid.paths import METRICS, PROTOCOLS, RUNS, SUMMARY
from dgreid.runs import folder, recorded
from dgreid.runs import metrics as results
from dgreid.runs.config import load_run
from dgreid.runs.folder import read_facts, write
from dgreid.runs.run import build, record, restore
from dgreid.selection.code import digest
from dgreid.stages import evaluate
from helpers.damage import damaged

WORDS = ["method=erm", "backbone=resnet_tiny", "protocol=miniature"]


def save(method, path):
    save_file({name: tensor.contiguous() for name, tensor in method.state_dict().items()}, path)


@pytest.fixture
def config(root):
    return load_run(WORDS)


@pytest.fixture
def project(config, tmp_path, monkeypatch):
    """A folder with a protocol of two splits and an untrained network as the run."""
    task = Task(classes=4, domains=2, iterations=2, iterations_per_epoch=2)
    method = build(config.method, config.backbone, config.recipe, task)
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 64, 32, 3), dtype=np.uint8)
    pack = SimpleNamespace(open=lambda dataset, image: pixels)
    monkeypatch.setattr(evaluate, "Pack", pack)

    def frame(rows, camera):
        columns = {"dataset": "toy", "image_id": [str(row) for row in rows], "path": "", "row": rows}
        people = {
            "identity": [row // 2 for row in rows],
            "camera": camera,
            "pixel_sha256": [bytes(32)] * len(rows),
        }
        return pd.DataFrame(columns | people)

    splits = [(frame(range(a, a + 10, 2), 0), frame(range(a + 1, a + 11, 2), 1)) for a in (0, 10)]
    rows = frame(range(4), 0).assign(domain=0)
    metadata = {"name": "miniature", "kind": "miniature", "domains": ["toy"], "targets": {"Toy": {}}}
    metadata |= {"kinds": {"toy": "miniature"}, "content": {"toy": "0"}, "counts": {}, "choices": {}}
    protocol = protocols.Protocol("miniature", "miniature", rows, {"Toy": splits}, ["toy"], metadata)
    path = PROTOCOLS / "miniature"
    protocols.write(path, protocol)

    folder = RUNS / config.run
    folder.mkdir(parents=True)
    save(method, folder / "model.safetensors")
    facts = record(config, task, {"sha256": sha256(path / "train.parquet")})
    (folder / "run.yaml").write_text(yaml.safe_dump(facts, sort_keys=False))
    (folder / "cost.json").write_text('{"seconds": 1.5}')
    return tmp_path


def test_metrics_file(project, config, caplog):
    path = evaluate.evaluate(config)
    assert path == METRICS / "erm-resnet_tiny-miniature-s0.json"
    node = json.loads(path.read_text())
    assert (node["data"], node["protocol"], node["provenance"]) == ("miniature", "miniature", "baseline")
    assert node["seed"] == 0 and node["cost"] == {"seconds": 1.5}
    target = node["targets"]["Toy"]
    assert target["queries"] == 5 and len(target["splits"]) == 2
    assert 20 <= target["mAP"] <= 100  # one match among five: at worst on place five
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert not [message for message in warned if "not above" not in message]  # it is untrained


def test_the_summary_for_dvc_is_of_this_evaluation(project, config):
    scores = json.loads(evaluate.evaluate(config).read_text())
    shown = json.loads((SUMMARY / f"{config.run}.json").read_text())
    assert shown["average"] == {key: round(scores["average"][key], 2) for key in ("rank1", "mAP")}
    assert shown["Toy"] == {"rank1": round(scores["targets"]["Toy"]["rank1"], 2)}


def test_what_every_query_scored_is_kept_beside_the_metrics(project, config):
    metrics = json.loads(evaluate.evaluate(config).read_text())
    frame = as_percent(read_scores(evaluate.QUERIES / f"{config.run}.parquet"))
    assert agree(frame, metrics)
    ranks = frame.groupby("split")["rank1"].mean().to_list()
    assert ranks == [split["rank1"] for split in metrics["targets"]["Toy"]["splits"]]
    assert frame["query"].to_list() == [f"toy/{row}" for row in range(0, 20, 2)]


def test_scores_are_reproducible(project, config):
    first = evaluate.evaluate(config).read_bytes()
    assert evaluate.evaluate(config).read_bytes() == first


def test_the_metrics_say_what_they_were_made_from(project, config):
    node = json.loads(evaluate.evaluate(config).read_text())
    folder = PROTOCOLS / "miniature"
    facts = yaml.safe_load((RUNS / config.run / "run.yaml").read_text())
    assert node["made_from"] == {
        "evaluation_code": digest("evaluate", config),
        "configuration": facts["config_sha256"],
        "training_rows": sha256(folder / "train.parquet"),
        "searched_rows": sha256(folder / "targets.parquet"),
    }


def test_dvc_can_draw_the_metrics(project, config):
    from dvc.render.converter.vega import get_datapoints

    node = json.loads(evaluate.evaluate(config).read_text())  # an empty list in it would be an error to DVC
    assert [row["rank1"] for row in get_datapoints(node)] == [
        split["rank1"] for split in node["targets"]["Toy"]["splits"]
    ]


def test_the_metrics_of_a_method_that_adapts_say_that_it_sees_the_target(project, config, monkeypatch):
    node = json.loads(evaluate.evaluate(config).read_text())
    assert "sees_target" not in node and "sees target" not in recorded.title(node)
    looks = []
    monkeypatch.setattr(ERM, "adapt", lambda self, images: looks.append(sum(map(len, images))))
    seen = json.loads(evaluate.evaluate(config).read_text())
    assert seen["sees_target"] and recorded.title(seen).startswith("BN baseline (sees target")
    assert looks == [10, 10]  # all images of either camera, over both splits


def test_a_model_is_not_scored_under_another_configuration(project, config):
    path = RUNS / config.run / "run.yaml"
    facts = yaml.safe_load(path.read_text())
    facts["config"]["method"]["margin"] = 0.5
    path.write_text(yaml.safe_dump(facts))
    with pytest.raises(UserError, match="trained with another method than asked for"):
        evaluate.evaluate(config)
    assert not METRICS.exists()


def test_a_title_that_was_edited_since_is_no_other_configuration(project, config):
    path = RUNS / config.run / "run.yaml"
    facts = sealed.read_yaml(path)
    facts["config"]["method"]["title"] = "Its former title"
    facts["config"]["recipe"] |= {"name": "other", "checkpoint_every": 7}
    path.write_text(sealed.to_yaml(facts))
    assert json.loads(evaluate.evaluate(config).read_text())["title"] == config.method.title


def test_a_model_is_not_scored_after_its_training_data_changed(project, config):
    folder = PROTOCOLS / "miniature"
    protocol = protocols.read_protocol(folder)
    protocol.train = protocol.train[::-1]
    protocols.write(folder, protocol)
    with pytest.raises(UserError, match="another training data"):
        evaluate.evaluate(config)


@pytest.mark.parametrize("name", ["train.parquet", "targets.parquet"])
def test_damaged_rows_are_named_with_what_makes_them_again(project, config, name):
    rows = PROTOCOLS / "miniature" / name
    rows.write_bytes(rows.read_bytes() + b"0")
    with pytest.raises(UserError, match=rf"{name} is damaged: make it again with `dgreid protocol p"):
        evaluate.evaluate(config)


@pytest.mark.parametrize("text", [None, "", '{"seconds": 1', "[]", "\udcff"])
def test_a_missing_or_damaged_cost_is_a_sentence(project, config, text):
    path = RUNS / config.run / "cost.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"its cost\.json is (missing|damaged): train the run again"):
        evaluate.evaluate(config)
    assert not METRICS.exists() and not evaluate.QUERIES.exists()


def test_a_missing_run_is_named(root, tmp_path, monkeypatch):
    config = load_run([*WORDS, "seed=7"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="erm-resnet_tiny-miniature-s7 holds no trained model"):
        evaluate.evaluate(config)


COST = {"seconds": 1.5, "images_per_second": 8.0, "peak_memory_bytes": 9, "parameters": 10}


def files_read(config):
    folder, rows = RUNS / config.run, PROTOCOLS / "miniature"
    names = ("model.safetensors", "run.yaml", "cost.json")
    return [folder / name for name in names] + [rows / name for name in ("train.parquet", "targets.parquet")]


def test_damage_to_what_evaluate_reads_is_named_or_without_effect(project, config):
    """No flipped bit, lost end or page of zeros becomes a score."""
    method, facts = restore(RUNS / config.run)
    shutil.rmtree(RUNS / config.run)
    with whole(RUNS / config.run) as part:  # as train writes it
        history = pd.DataFrame({"iteration": [1], "cross_entropy": [1.0]})
        state = {name: tensor.contiguous() for name, tensor in method.state_dict().items()}
        write(part, state, facts, history, COST)
    expected = evaluate.evaluate(config).read_bytes()
    refused = 0
    for path in files_read(config):
        content = path.read_bytes()
        for way, bad in damaged(content, flips=4):
            path.write_bytes(bad)
            try:
                found = evaluate.evaluate(config).read_bytes()
            except UserError as error:
                assert "\n" not in str(error) and path.name in str(error), way
                refused += 1
            else:
                assert found == expected, f"{path}: {way}"
        path.write_bytes(content)
    assert refused > 55  # of 65


def test_damage_to_what_evaluate_wrote_is_named_or_without_effect(project, config):
    (RUNS / config.run / "cost.json").write_text(json.dumps(COST))
    metrics = evaluate.evaluate(config)
    for path, read in ((metrics, results.read), (evaluate.QUERIES / f"{config.run}.parquet", read_scores)):
        content, expected = path.read_bytes(), str(read(path))
        for way, bad in damaged(content, flips=100):
            path.write_bytes(bad)
            try:
                assert str(read(path)) == expected, way
            except UserError as error:
                assert str(path) in str(error) and "evaluate the run again" in str(error)
        path.write_bytes(content)


def test_a_model_that_cannot_be_read_is_not_called_damaged(project, config):
    facts = read_facts(RUNS / config.run)
    (RUNS / config.run / "model.safetensors").unlink()
    (RUNS / config.run / "model.safetensors").mkdir()  # root reads whatever its mode
    with pytest.raises(sealed.Unreadable, match=r"model\.safetensors cannot be read"):
        folder.read_model(RUNS / config.run, facts)
