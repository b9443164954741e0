"""The real Snakefile and the real `dvc repro` on one temporary project, counted by what really ran.

Every stage appends a line to logs/executions.tsv when it succeeds; the tools' own messages are not trusted.
The steps build on each other, so they are one test: each line of `steps` is what a user would do.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

PROTOCOL = """
recipe: tiny
image: 64x32
title: Tiny
sources: [{dataset: mini_cuhk02}, {dataset: mini_cuhk03}]
targets: [{name: VIPeR, dataset: mini_viper, split_set: viper/rand10_a2b, splits: 2}]
"""
RECIPE = """
epochs: 2
iterations_per_epoch: 2
identities_per_domain: 2
images_per_identity: 2
weights: none
"""
MATRIX = """
title: Tiny
blocks: [{methods: [erm, metabin], backbones: [resnet_tiny], protocols: [tiny], seeds: [0]}]
"""
FRESH = {
    *(f"synthesize dataset={name}" for name in ("mini_cuhk02", "mini_cuhk03", "mini_viper")),
    *(f"manifest dataset={name}" for name in ("mini_cuhk02", "mini_cuhk03", "mini_viper")),
    *(f"member protocol=tiny dataset={name}" for name in ("mini_cuhk02", "mini_cuhk03", "mini_viper")),
    "protocol protocol=tiny",
    *(f"{stage} {method}" for stage in ("train", "evaluate") for method in ("erm", "metabin")),
    "report",
}


class Project:
    """A copy of this working tree as a git repository of its own, with a tiny selection."""

    def __init__(self, folder: Path):
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith(("reports/", "tests/", "dvc.lock")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        for name, text in (("protocol", PROTOCOL), ("recipe", RECIPE), ("matrices", MATRIX)):
            (folder / "params" / name / "tiny.yaml").write_text(text)
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),  # the code that runs is the copy
            **{f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.environment.pop("DGREID_THREADS", None)
        self.run("git init -q .")
        self.run("dgreid select tiny")
        self.commit("start")

    def run(self, command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if check and done.returncode:
            logs = "\n".join(log.read_text()[-1500:] for log in self.folder.glob("logs/**/*.log"))
            pytest.fail(f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{logs}")
        return done.stdout + done.stderr

    def commit(self, message: str) -> None:
        self.run(f"git add -A && git commit -qm {message}")

    def executed(self, command: str) -> list[str]:
        """Run a command; the stage items that really ran meanwhile, with runs named by their method."""
        log = self.folder / "logs" / "executions.tsv"
        before = len(log.read_text().splitlines()) if log.exists() else 0
        self.run(command)
        rows = [line.split("\t") for line in log.read_text().splitlines()[before:]] if log.exists() else []
        short = {stage: 1 for stage in ("train", "evaluate")}
        return [
            f"{stage} {keys.split()[0].removeprefix('method=')}"
            if stage in short
            else f"{stage} {keys}".strip()
            for stage, keys, *_ in rows
        ]

    def set_rate(self, method: str, rate: float | None) -> None:
        """State a rate in a method's file; None: leave it to the file's base again."""
        text = (ROOT / f"params/method/{method}.yaml").read_text()
        path = self.folder / f"params/method/{method}.yaml"
        path.write_text(text if rate is None else f"{text}learning_rate: {rate}\n")

    def append(self, name: str, line: str) -> None:
        with (self.folder / "src" / "dgreid" / name).open("a") as file:
            file.write(f"{line}\n")

    def planned(self) -> set[str]:
        """What `snakemake -n` lists: the items of stages, with runs named by their method."""
        said = self.run("snakemake -n")
        items = re.findall(r"(?m)^rule (\w+):\n(?:    .*\n)*?    log: (\S+)", said)
        return {f"{rule} {Path(log).stem.split('-')[0]}" for rule, log in items}

    def stale(self) -> set[str]:
        """The stages' items that `dvc status` names."""
        return set(re.findall(r"(?m)^(\S+):$", self.run("dvc status")))

    def kill_training(self, method: str) -> None:
        """Start snakemake and kill the training process of `method` with SIGKILL once it runs."""
        job = subprocess.Popen(
            ["snakemake", "--cores", "2"], cwd=self.folder, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.time() + 60
        while time.time() < deadline:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = entry.read_bytes().split(b"\0")
                    if os.readlink(entry.parent / "cwd") != str(self.folder):
                        continue
                except OSError:  # the process ended while we looked
                    continue
                # the interpreter itself, not the shell that started it
                training = {b"train", f"method={method}".encode()} <= set(words)
                if training and words[1].endswith(b"/dgreid"):
                    os.kill(int(entry.parent.name), signal.SIGKILL)
                    assert job.wait(timeout=60) != 0
                    return
            time.sleep(0.05)
        job.kill()
        pytest.fail("the training process never started")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills by /proc")
def test_one_graph_two_front_ends(tmp_path):
    project = Project(tmp_path.resolve())
    only = lambda method: [f"train {method}", f"evaluate {method}", "report"]  # noqa: E731

    built = project.executed("snakemake --cores 2")
    assert sorted(built) == sorted(FRESH)  # each item, once
    project.commit("built")
    assert project.executed("dvc repro") == []
    assert "Nothing to be done" in project.run("snakemake --cores all")

    project.append("methods/metabin.py", "# a remark")  # and a data set that nothing selected uses
    shutil.copy(project.folder / "params/dataset/mini_grid.yaml", project.folder / "params/dataset/mine.yaml")
    assert "Nothing to be done" in project.run("snakemake -n") and not project.stale()
    project.append("methods/metabin.py", "CHANGED = True")
    assert project.stale() == {"code"}
    assert project.planned() == {"train metabin", "evaluate metabin", "report report"}
    run = "metabin-resnet_tiny-tiny-s0"
    assert project.stale() == {f"train@{run}", f"evaluate@{run}"}
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
    assert not (run / "model.safetensors").exists()
    assert "train@erm" in project.run("dvc status")
    assert project.executed("snakemake --cores 2") == only("erm")
    assert (run / "model.safetensors").exists()
    assert project.executed("dvc repro") == []


@pytest.mark.slow
def test_the_snakefile_refuses_other_rerun_triggers(tmp_path):
    project = Project(tmp_path.resolve())
    said = project.run("snakemake --cores 1 --rerun-triggers code --until synthesize", check=False)
    assert "profiles/default is needed" in said
    assert not list((project.folder / "data").glob("archives/*"))
