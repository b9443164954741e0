"""A copy of this working tree as a project with a tiny selection, driven through the real front ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


class Project:
    """A copy of this working tree as a git repository of its own, with a tiny selection.

    Args:
        stub: the stages write small files at once instead of doing their work (helpers/stub.py).
    """

    def __init__(self, room: Path, stub: bool = False):
        self.folder = folder = room.resolve() / "project"
        commands = {"dvc": "from dgreid.selection.guard import main"}  # as pyproject.toml installs it
        if stub:
            commands["dgreid"] = "from helpers.stub import main"
        for name, line in commands.items():
            script = room / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(f"#!{sys.executable}\nimport sys\n{line}\nsys.exit(main())\n")
            script.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{room / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{folder / 'src'}:{ROOT / 'tests'}",  # the code that runs is the copy
            **{f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.environment.pop("DGREID_THREADS", None)

    def run(self, command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if check and done.returncode:
            logs = "\n".join(log.read_text()[-1500:] for log in self.folder.glob("logs/**/*.log"))
            pytest.fail(f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{logs}")
        return done.stdout + done.stderr

    def start(self, command: str) -> subprocess.Popen:
        """Start a command in a process group of its own; its output goes to one file per command."""
        return subprocess.Popen(
            command.split(), cwd=self.folder, env=self.environment, start_new_session=True,
            stdout=(self.folder.parent / f"{len(list(self.folder.parent.iterdir()))}.out").open("w"),
            stderr=subprocess.STDOUT,
        )  # fmt: skip

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


def make(room: Path, stub: bool = False) -> Project:
    """Make a project in `room`, with a commit and nothing run."""
    project = Project(room, stub)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("reports/", "tests/", "dvc.lock")):
            (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project.folder / name)
    for name, text in (("protocol", PROTOCOL), ("recipe", RECIPE), ("matrices", MATRIX)):
        (project.folder / "params" / name / "tiny.yaml").write_text(text)
    project.run("git init -q .")
    project.run("dgreid select tiny")
    project.commit("start")
    return project
