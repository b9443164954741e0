import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from dgreid.config import load_run
from dgreid.errors import UserError
from dgreid.methods.base import Training
from dgreid.stages import report, train

TARGET = {"rank1": 40.0, "rank5": 50.0, "rank10": 60.0, "mAP": 45.0, "mAP_trapezoid": 42.0, "mINP": 45.0}
FILES = [
    "figures/toy-balance.csv",
    "figures/toy-balance.pdf",
    "figures/toy-balance.png",
    "index.html",
    "tables/toy.csv",
    "tables/toy.md",
    "tables/toy.tex",
]


def save(method, path):
    save_file({name: tensor.contiguous() for name, tensor in method.state_dict().items()}, path)


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """Two runs with their metrics and untrained networks, one of them with BIN layers."""
    runs = {}
    for name in ("erm", "metabin"):
        config = load_run([f"method={name}", "backbone=resnet_tiny", "protocol=miniature"])
        training = Training(classes=4, domains=2, iterations=2, iterations_per_epoch=2)
        method = train.build(config.method, config.backbone, config.recipe, training)
        runs[config.run] = config, method, training
    monkeypatch.chdir(tmp_path)
    shutil.copytree(root / "data" / "reference", "data/reference")
    choices = {}
    for run, (config, method, training) in runs.items():
        folder = train.RUNS / run
        folder.mkdir(parents=True)
        save(method, folder / "model.safetensors")
        facts = train.record(config, training, method, {})
        (folder / "run.yaml").write_text(yaml.safe_dump(facts))
        node = {
            "data": "miniature",
            "protocol": "miniature",
            "method": config.method.name,
            "title": config.method.title,
            "provenance": config.method.provenance,
            "backbone": "resnet_tiny",
            "recipe": "miniature",
            "image": "64x32",
            "seed": 0,
            "targets": {"VIPeR": {**TARGET, "splits": [TARGET, TARGET]}},
            "average": TARGET,
            "cost": {"seconds": 1, "images_per_second": 1, "peak_memory_bytes": 1, "parameters": 1},
        }
        report.METRICS.mkdir(parents=True, exist_ok=True)
        (report.METRICS / f"{run}.json").write_text(json.dumps(node))
        choices[run] = {"method": config.method.name, "code": config.method.code, "seed": 0}
        choices[run] |= {"backbone": "resnet_tiny", "protocol": "miniature", "recipe": "miniature"}
    return {"name": "toy", "title": "Toy", "datasets": {}, "protocols": ["miniature"], "runs": choices}


def written():
    return {str(p.relative_to("reports")): p.read_bytes() for p in report.REPORTS.rglob("*") if p.is_file()}


def test_writes_every_declared_file_and_the_same_bytes_again(project):
    report.report(project)
    first = written()
    assert [name for name in sorted(first) if not name.startswith("metrics")] == FILES
    report.report(project)
    assert written() == first


def test_balance_is_read_in_forward_order(project):
    run = "metabin-resnet_tiny-miniature-s0"
    path = train.RUNS / run / "model.safetensors"
    layers = report.read_balance(path.parent)
    assert layers[0][0] == "network.backbone.bn1"  # the stem, although its name sorts last
    assert all(np.all(balance == 1) for _, balance in layers)  # where training starts
    method, _ = train.restore(path.parent)
    with torch.no_grad():
        dict(method.named_parameters())["network.backbone.bn1.balance"][:] = 0.25
    save(method, path)
    assert np.all(report.read_balance(path.parent)[0][1] == 0.25)
    report.report(project)
    lines = (report.REPORTS / "figures" / "toy-balance.csv").read_text().splitlines()
    assert lines[1].startswith(f"{run},1,network.backbone.bn1,")
    assert not any(line.startswith("erm") for line in lines)


def test_without_balance_the_files_are_still_written(project):
    del project["runs"]["metabin-resnet_tiny-miniature-s0"]
    report.report(project)
    assert set(FILES) <= set(written())
    assert "No run of this selection has balance parameters" in (report.REPORTS / "index.html").read_text()


def test_missing_metrics_name_the_run_and_the_command(project):
    (report.METRICS / "erm-resnet_tiny-miniature-s0.json").unlink()
    with pytest.raises(
        UserError,
        match=r"erm-resnet_tiny-miniature-s0.json is missing: run `dgreid evaluate method=erm .*seed=0`",
    ):
        report.report(project)


def test_missing_model_is_named(project):
    (train.RUNS / "metabin-resnet_tiny-miniature-s0" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="metabin-resnet_tiny-miniature-s0 holds no trained model"):
        report.report(project)
