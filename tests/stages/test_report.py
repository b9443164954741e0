import json
import shutil

import numpy as np
import pytest

from dgreid.config import load_run
from dgreid.errors import UserError
from dgreid.evaluation.balance import layer_row
from dgreid.stages import report

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


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """The metrics of two runs, one of them with BIN layers."""
    words = "backbone=resnet_tiny", "protocol=miniature"
    configs = [load_run([f"method={name}", *words]) for name in ("erm", "metabin")]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(root / "data" / "reference", "data/reference")
    choices = {}
    for config in configs:
        run = config.run
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
            "balance": [layer_row(1, "stem", np.full(4, 0.25))] if config.method.name == "metabin" else [],
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


def test_the_figure_shows_the_balance_of_the_metrics(project):
    run = "metabin-resnet_tiny-miniature-s0"
    report.report(project)
    lines = (report.REPORTS / "figures" / "toy-balance.csv").read_text().splitlines()
    assert lines[1].startswith(f"{run},1,stem,4,0.25")
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
