"""The real Snakefile and the real `dvc repro` on one temporary project, counted by what really ran.

Every stage appends a line to logs/executions.tsv when it succeeds; the tools' own messages are not trusted.
The steps build on each other, so they are one test: each line of `steps` is what a user would do.
"""

import shutil
import sys

import pytest
import yaml

from helpers.project import ROOT, make

FRESH = {
    *(f"synthesize dataset={name}" for name in ("mini_cuhk02", "mini_cuhk03", "mini_viper")),
    *(f"manifest dataset={name}" for name in ("mini_cuhk02", "mini_cuhk03", "mini_viper")),
    *(f"member protocol=tiny dataset={name}" for name in ("mini_cuhk02", "mini_cuhk03", "mini_viper")),
    "protocol protocol=tiny",
    *(f"{stage} {method}" for stage in ("train", "evaluate") for method in ("erm", "metabin")),
    "report",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by /proc")
def test_one_graph_two_front_ends(tmp_path):
    project = make(tmp_path)
    only = lambda method: [f"train {method}", f"evaluate {method}", "report"]  # noqa: E731

    built = project.executed("snakemake --cores 2")
    assert sorted(built) == sorted(FRESH)  # each item, once
    project.commit("built")
    assert project.executed("dvc repro") == []
    assert "Nothing to be done" in project.run("snakemake --cores all")

    project.append("methods/metabin.py", "# a remark")  # and a data set that nothing selected uses
    shutil.copy(project.folder / "params/dataset/mini_grid.yaml", project.folder / "params/dataset/mine.yaml")
    assert "Nothing to be done" in project.run("snakemake -n") and project.stale() == {"code"}
    project.append("methods/metabin.py", "CHANGED = True")
    ledger = (project.folder / "dvc.lock").read_bytes()
    assert project.planned() == {"train metabin", "evaluate metabin", "report report"}
    run = "metabin-resnet_tiny-tiny-s0"
    assert (project.folder / "dvc.lock").read_bytes() == ledger  # to look changes nothing
    assert project.stale() == {"code", f"train@{run}", f"evaluate@{run}"}
    assert project.executed("dvc repro") == only("metabin")
    assert "Nothing to be done" in project.run("snakemake --cores all") and not project.stale()
    project.commit("metabin-code")

    rate = yaml.safe_load((ROOT / "params/method/_erm.yaml").read_text())["learning_rate"]
    project.set_rate("erm", rate * 50)
    assert project.executed("snakemake --cores 2") == only("erm")
    assert project.executed("dvc repro") == []
    project.commit("erm-rate")
    difference = project.run("dvc metrics diff HEAD~1")
    assert "erm-resnet_tiny-tiny-s0.json" in difference and "/metabin-" not in difference
    assert {line.split("/")[1] for line in difference.splitlines() if "/" in line} == {"summary"}

    project.set_rate("erm", None)  # put back: restored from DVC's run cache
    assert project.executed("dvc repro") == []
    assert project.executed("snakemake --cores 2") == []

    project.set_rate("metabin", rate * 50)
    assert project.executed("dvc repro") == only("metabin")
    assert "Nothing to be done" in project.run("snakemake --cores all")

    project.set_rate("erm", rate * 20)
    project.kill_training("erm")
    run = project.folder / "data" / "runs" / "erm-resnet_tiny-tiny-s0"
    assert (run / "model.safetensors").exists()  # the earlier one: nothing is lost
    assert "train@erm" in project.run("dvc status")
    assert project.executed("snakemake --cores 2") == only("erm")
    assert (run / "model.safetensors").exists()
    assert project.executed("dvc repro") == []


@pytest.mark.slow
def test_the_snakefile_refuses_other_rerun_triggers(tmp_path):
    project = make(tmp_path)
    said = project.run("snakemake --cores 1 --rerun-triggers code --until synthesize", check=False)
    assert "profiles/default is needed" in said
    assert not list((project.folder / "data").glob("archives/*"))
