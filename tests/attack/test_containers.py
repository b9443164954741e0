"""Damaged files of other programs that hold images or weights: refused, or taken as what they say."""

import random

import torch
import yaml

from attack.harness import SAME, TAKEN, few_or_many
from attack.project import RUN, TRAIN, replica, results, write
from dgreid import sealed
from dgreid.runs.folder import read_model
from helpers.damage import damaged

SIZES = {"identities": 14, "test_identities": 7}  # of the generated CUHK03
MANIFEST = "manifest dataset=mini_cuhk03"


def flipped(content, rng, tries):
    """Damaged bytes: half of the flips are where a container describes itself, the rest anywhere."""
    yield from damaged(content, 0)
    for number in range(tries):
        changed = bytearray(content)
        for _ in range(rng.choice([1, 1, 4])):
            reach = 4096 if number % 2 else len(content)
            at = rng.randrange(min(reach, len(content)))
            at = at if number % 4 < 2 else len(content) - 1 - at
            changed[at] ^= 1 << rng.randrange(8)
        yield f"flips, {number}", bytes(changed)


@few_or_many(3, 40)
def test_a_matlab_file(server, built, tmp_path, tally, tries):
    counted, folder = tally("containers: MATLAB"), replica(built, tmp_path / "project")
    path = folder / "params/dataset/mini_cuhk03.yaml"
    node = yaml.safe_load(path.read_text()) | {"expect": {}}
    node["miniature"]["sizes"] = SIZES
    write(path, yaml.safe_dump(node))
    for line in ("synthesize dataset=mini_cuhk03", MANIFEST):
        said = server.call(line, folder)
        assert said.status == 0, said
    expected = results(folder, ["data/manifests/mini_cuhk03"])
    mat = next((folder / "data/raw/mini_cuhk03").rglob("*.mat"))
    content = mat.read_bytes()
    cases = list(flipped(content, random.Random(0), tries))
    for way, bad in cases if tries > 9 else cases[:: len(cases) // tries]:
        write(mat, bad)
        said = server.call(MANIFEST, folder)
        same = results(folder, ["data/manifests/mini_cuhk03"]) == expected
        counted.add(said.outcome or (SAME if same else TAKEN), way, said)
    counted.close()


@few_or_many(2, 24)
def test_a_weight_file(server, built, tmp_path, tally, tries):
    counted, folder = tally("containers: weights"), replica(built, tmp_path / "project")
    run = folder / f"data/runs/{RUN}"
    state = read_model(run, sealed.read_yaml(run / "run.yaml"))
    prefix = "network.backbone."
    state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    torch.save(state, folder / "w.pth")
    line = f"{TRAIN} recipe.weights=w.pth recipe.epochs=1"
    said = server.call(line, folder)
    assert said.status == 0, said
    outputs = ["data/runs"]
    expected = results(folder, outputs)
    cases = list(flipped((folder / "w.pth").read_bytes(), random.Random(0), tries))
    for way, bad in cases if tries > 9 else cases[:: len(cases) // tries]:
        write(folder / "w.pth", bad)
        said = server.call(line, folder)
        same = results(folder, outputs) == expected
        counted.add(said.outcome or (SAME if same else TAKEN), way, said)
    counted.close()
