"""Snakemake and DVC with stages that are stubs: nothing is lost, one works at a time, content decides."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from helpers.project import Project, make

MODEL = "data/runs/erm-resnet_tiny-tiny-s0/model.safetensors"
MINE = ["train erm", "evaluate erm", "report"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes as on Linux")]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    project = make(tmp_path_factory.mktemp("built"), stub=True)
    project.run("snakemake --cores 4")
    project.commit("built")
    return project.folder


@pytest.fixture
def project(built, tmp_path) -> Project:
    """A finished project of its own for each test."""
    shutil.copytree(built, tmp_path / "project", symlinks=True)
    return Project(tmp_path, stub=True)


def wait(condition) -> None:
    deadline = time.time() + 120
    while not condition():
        assert time.time() < deadline
        time.sleep(0.05)


def trainings(project: Project) -> list[int]:
    """The processes that train in the project now."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if os.readlink(entry / "cwd") == str(project.folder) and b"train" in words:
                found += [int(entry.name)] * words[1].endswith(b"/dgreid")
        except OSError:
            continue
    return found


def begin(project: Project, command: str = "snakemake --cores 2"):
    """Change a setting of erm and start a call, which stands in the training until `hold` is removed."""
    project.set_rate("erm", 0.5)
    (project.folder / "hold").touch()
    call = project.start(command)
    wait(lambda: trainings(project))
    return call


def said(project: Project) -> str:
    return "".join(path.read_text() for path in project.folder.parent.glob("*.out"))


def test_content_decides_and_dates_do_not(project):
    params, model = project.folder / "params/method/erm.yaml", project.folder / MODEL
    first = model.read_bytes()
    shutil.copy2(params, project.folder.parent / "backup")
    project.set_rate("erm", 0.5)
    ledger = (project.folder / "dvc.lock").read_bytes()
    assert project.planned() == {"train erm", "evaluate erm", "report report"}
    assert (project.folder / "dvc.lock").read_bytes() == ledger
    assert project.executed("snakemake --cores 2") == MINE
    os.replace(project.folder.parent / "backup", params)  # with its old date
    assert project.planned() == {"train erm", "evaluate erm", "report report"}
    assert project.executed("snakemake --cores 2") == []  # from DVC's cache
    assert model.read_bytes() == first and not project.stale()

    for path in (project.folder / "params").rglob("*.yaml"):
        path.touch()
    project.set_rate("erm", 0.5)
    assert project.planned()
    project.set_rate("erm", None)
    assert "Nothing to be done" in project.run("snakemake -n")
    model.write_text("written by hand, and newer than all inputs")
    assert "train erm" in project.planned()
    os.utime(model, (1, 1))
    assert "train erm" in project.planned()


@pytest.mark.parametrize("command", ["snakemake --cores 2", "dvc repro", f"dvc checkout {MODEL}"])
def test_a_deleted_result_comes_back(project, command):
    model = project.folder / MODEL
    content = model.read_bytes()
    model.unlink()
    assert project.executed(command) == []  # from DVC's cache
    assert model.read_bytes() == content and not project.stale()


@pytest.mark.parametrize("command", ["snakemake --cores 2", "dvc repro"])
def test_what_an_earlier_job_made_survives_a_failure_and_a_kill(project, command):
    outputs = sorted((project.folder / MODEL).parent.iterdir())
    outputs[1].write_text("made by hand: DVC has no copy of it")
    before = [path.read_bytes() for path in outputs]
    (project.folder / "fail").touch()
    project.set_rate("erm", 0.5)
    assert "it failed" in project.run(f"{command}; cat logs/train/erm*", check=False)
    assert [path.read_bytes() for path in outputs] == before
    (project.folder / "fail").unlink()
    call = begin(project, command)
    assert not outputs[0].exists() or outputs[0].read_bytes() != before[0]  # half of them are new
    os.killpg(call.pid, signal.SIGKILL)
    for training in trainings(project):
        os.kill(training, signal.SIGKILL)
    (project.folder / "hold").unlink()
    (project.folder / "fail").touch()
    project.run(command, check=False)
    assert [path.read_bytes() for path in outputs] == before
    (project.folder / "fail").unlink()
    assert project.executed(command) == MINE and not project.stale()


@pytest.mark.parametrize("second", ["snakemake --cores 2", "dvc repro"])
def test_the_second_front_end_waits_for_the_first(project, second):
    first = begin(project)
    other = project.start(second)
    wait(lambda: "works in this project: waiting" in said(project))
    assert "what is listed here is not final" in project.run("snakemake -n")
    (project.folder / "hold").unlink()
    assert (first.wait(120), other.wait(120)) == (0, 0)
    assert not project.stale() and project.executed(second) == []


def test_jobs_that_outlive_their_snakemake_are_waited_for(project):
    first = begin(project)
    os.kill(first.pid, signal.SIGKILL)
    assert trainings(project)
    other = project.start("snakemake --cores 2")
    wait(lambda: "a job of an earlier call" in said(project))
    assert len(trainings(project)) == 1
    (project.folder / "hold").unlink()
    assert other.wait(120) == 0 and not project.stale()
    assert "0.5" in (project.folder / MODEL).read_text()


def test_after_ctrl_c_the_next_call_goes_on(project):
    before = (project.folder / MODEL).read_bytes()
    call = begin(project)
    os.killpg(call.pid, signal.SIGINT)
    assert call.wait(60) != 0 and "Traceback" not in said(project)
    assert "the same command goes on from here" in said(project)
    wait(lambda: not trainings(project))
    (project.folder / "hold").unlink()
    assert project.executed("snakemake --cores 2") == MINE and not project.stale()
    assert (project.folder / MODEL).read_bytes() != before


def test_an_edit_while_a_run_is_trained_is_not_recorded_as_its_setting(project):
    call = begin(project)
    project.set_rate("erm", 0.7)
    (project.folder / "hold").unlink()
    assert call.wait(120) == 0
    assert "train erm" in project.planned()
    project.set_rate("erm", 0.5)
    assert project.planned() == {"report report"}  # it shows the settings, and read the other value


def test_a_project_without_git_and_with_linked_folders_works(project):
    shutil.rmtree(project.folder / ".git")
    for name in ("runs", "archives", "queries"):
        shutil.move(project.folder / "data" / name, project.folder.parent / name)
        (project.folder / "data" / name).symlink_to(project.folder.parent / name)
    assert project.planned() == set()
    project.set_rate("erm", 0.5)
    assert project.executed("snakemake --cores 2") == MINE
    assert project.executed("dvc repro") == []
