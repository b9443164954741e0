"""Processes that end in the middle of a write, or find the disk full: the next call goes on by itself."""

import random
import shutil
import subprocess

import pytest

from attack.harness import LEFT, SAME, SILENT, STUCK, TRACEBACK, few_or_many
from attack.project import EMBED, EVALUATE, RUN, SEARCH, TRAIN, leftovers, replica, results, write

REPORTS = ("index.html", "site", "tables", "papers", "figures")
STEPS = {  # the command, and what it makes
    "select": ("select attacked", ["params/matrix.yaml"]),
    "synthesize": ("synthesize dataset=mini_viper", ["data/archives/mini_viper.zip"]),
    "adopt": ("adopt wide --copy --from source/wide", ["data/raw/wide"]),
    "manifest": ("manifest dataset=wide", ["data/manifests/wide"]),
    "unpack": ("manifest dataset=mini_viper", ["data/manifests/mini_viper", "data/raw/mini_viper"]),
    "splits": ("splits import wide --from splits.json --name theirs", ["data/splits"]),
    "protocol": ("protocol protocol=attacked", ["data/protocols/attacked"]),
    "train": (TRAIN, [f"data/runs/{RUN}", f"data/checkpoints/{RUN}"]),
    "pack": (EVALUATE, ["data/packs"]),
    "evaluate": (EVALUATE, [f"reports/metrics/{RUN}.json", f"data/queries/{RUN}.parquet"]),
    "report": ("report", [f"reports/{name}" for name in REPORTS]),
    "embed": (EMBED, ["out/crops.parquet"]),
    "search": (SEARCH, ["out/found"]),
}
ALLOWED = {"kill": -9, "torn": -9, "interrupt": 130}
STATES = ("nothing", "checkpoint", "results")
OFTEN = {"train": 3, "evaluate": 2, "adopt": 2, "unpack": 2}  # times as many tries


@pytest.mark.parametrize("step", STEPS)
@few_or_many(1, 16)
def test_the_next_call_goes_on_from_a_kill(server, built, tmp_path, tally, step, tries):
    line, outputs = STEPS[step]
    counted, rng, folder = tally(f"killed: {step}", "kills"), random.Random(step), tmp_path / "project"
    acts, expected = {}, {}
    for number in range(tries * (OFTEN.get(step, 1) if tries > 1 else 1)):
        state = STATES[number % 3] if step != "pack" else "nothing"  # other packs lie there
        if state not in acts:
            acts[state], made = undisturbed(server, ready(built, folder, state, outputs), line, outputs)
            expected = expected or made
            assert made == expected
        kinds = [kind for kind in ("torn", "kill", "interrupt") if acts[state][kind]]
        kind = kinds[(number // 3 + number + len(step)) % len(kinds)]
        at = rng.randint(1, acts[state][kind])
        before = results(ready(built, folder, state, outputs), outputs)
        said = server.call(line, folder, fault=kind, at=at)
        outcome = after(server, folder, said, kind, line, outputs, before, expected)
        if said.status != 0 or outcome != SAME:  # else it was too late for a kill
            counted.add(outcome, f"{kind} at {at} from {state}", said)
    counted.close()


def undisturbed(server, folder, line, outputs):
    """What each kind of fault can meet while a command makes its outputs, and these."""
    said = server.call(line, folder)
    assert said.status == 0, said
    return said.acts, results(folder, outputs)


def ready(built, folder, state, outputs):
    """A replica in which a step has left nothing, its results, or, if it is a training, a checkpoint."""
    replica(built, folder)
    if state != "results":
        for name in outputs:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if state == "checkpoint" and any("checkpoints" in name for name in outputs):
        write(folder / f"data/checkpoints/{RUN}/last.pt", (built / "interrupted.pt").read_bytes())
    return folder


def after(server, folder, said, kind, line, outputs, before, expected):
    """The outcome of a kill: what lies there is whole, and the next call makes all of it."""
    if said.status not in (0, ALLOWED[kind]) or "Traceback" in said.err:
        return said.outcome or STUCK
    left = {name: hash_ for name, hash_ in results(folder, outputs).items() if "checkpoints/" not in name}
    left = {name: hash_ for name, hash_ in left.items() if "/.tmp-" not in name}
    if any(hash_ not in (before.get(name), expected.get(name)) for name, hash_ in left.items()):
        return SILENT  # a file that is not whole has its final name
    again = server.call(line, folder)
    if again.status != 0:
        return again.outcome if again.outcome not in (None, "refused in one sentence") else STUCK
    if results(folder, outputs) != expected:
        return SILENT
    return LEFT if leftovers(folder) else SAME


@pytest.mark.parametrize("step", STEPS)
@few_or_many(1, 4)
def test_a_full_disk_is_one_sentence_and_the_next_call_goes_on(server, built, tmp_path, tally, step, tries):
    line, outputs = STEPS[step]
    counted, rng = tally(f"disk full: {step}", "full disks"), random.Random(step)
    folder = tmp_path / "project"
    acts, expected = undisturbed(server, ready(built, folder, "nothing", outputs), line, outputs)
    for _ in range(tries):
        at = rng.randint(1, acts["full"])
        said = server.call(line, ready(built, folder, "nothing", outputs), fault="full", at=at)
        outcome = said.outcome
        if outcome in (None, "refused in one sentence"):
            again = server.call(line, folder)
            if again.status != 0 or leftovers(folder):
                outcome = STUCK
            elif results(folder, outputs) != expected:
                outcome = SILENT
        counted.add(outcome or SAME, f"at {at}", said)
    counted.close()


DVC = {
    "dvc.yaml": "stages:\n  one: {cmd: cp in.txt one.txt, deps: [in.txt], outs: [one.txt]}\n"
    "  two: {cmd: cp one.txt two.txt; cp one.txt more.txt, deps: [one.txt], outs: [two.txt, more.txt]}\n",
    "in.txt": "1",
    "params/matrix.yaml": "",
    ".gitignore": "*.txt\n",
    ".dvc/config": "[core]\n    analytics = false\n",
}
RECORDED = ["dvc.lock", "one.txt", "two.txt", "more.txt"]


@few_or_many(3, 60)
def test_the_next_repro_goes_on_from_a_kill(server, tmp_path, tally, tries):
    counted, rng, folder = tally("killed: dvc repro", "kills"), random.Random(0), tmp_path / "project"
    said = server.call("repro", dvc(folder), "dvc")
    expected = results(folder, RECORDED)
    assert said.status == 0 and len(expected) == len(RECORDED), said
    kinds = [kind for kind in ("kill", "torn", "interrupt") if said.acts[kind]]
    acts = said.acts
    for number in range(tries):
        kind = kinds[number % len(kinds)]
        at = rng.randint(1, acts[kind])
        said = server.call("repro", dvc(folder), "dvc", fault=kind, at=at)
        outcome = TRACEBACK if "Traceback" in said.out + said.err else None
        again = server.call("repro", folder, "dvc")
        if again.status != 0:
            outcome = STUCK
        elif results(folder, RECORDED) != expected:
            outcome = SILENT
        elif leftovers(folder):
            outcome = LEFT
        counted.add(outcome or SAME, f"{kind} at {at}", again if outcome == STUCK else said)
    counted.close()


def dvc(folder):
    """A project of two stages, nothing of it run."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in DVC.items():
        write(folder / name, text)
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    return folder
