"""A finished project of a few images, and copies of it to attack; what a command should have made."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import yaml

from attack.harness import ROOT, Server
from helpers import random_project

RUN = "erm-resnet_tiny-attacked-s0"
KEYS = "backbone=resnet_tiny protocol=attacked seed=0"
TRAIN, EVALUATE = f"train method=erm {KEYS}", f"evaluate method=erm {KEYS}"
EMBED = f"embed --run {RUN} --images crops --out out/crops.parquet"
SEARCH = f"search --run {RUN} --query crops/0.png --gallery embedded.parquet --out out/found --copy"
SIZES = {"mini_cuhk02": {"identities": 8}, "mini_viper": {"identities": 12}}
FILES = {
    "recipe/brief": "{epochs: 2, iterations_per_epoch: 2, identities_per_domain: 2, images_per_identity: 2, "
    "weights: none, warmup_epochs: 0, checkpoint_every: 1}",
    "protocol/attacked": "{recipe: brief, image: 64x32, title: Attacked, sources: [wide, mini_cuhk02], "
    "targets: [{name: VIPeR, set: 'mini_viper:rand10_a2b', splits: 2}]}",
    "matrices/attacked": "{title: Attacked, blocks: [{methods: [erm, erm_in], backbones: [resnet_tiny], "
    "protocols: [attacked], seeds: [0]}]}",
}
STEPS = (
    "select attacked",
    "synthesize dataset=mini_cuhk02",
    "synthesize dataset=mini_viper",
    "adopt wide --copy --from source/wide",
    "manifest dataset=wide",
    "splits import wide --from splits.json --name theirs",
    "manifest dataset=wide",
    "manifest dataset=mini_cuhk02",
    "manifest dataset=mini_viper",
    "protocol protocol=attacked",
    TRAIN,
    TRAIN.replace("method=erm", "method=erm_in"),
    EVALUATE,
    EVALUATE.replace("method=erm", "method=erm_in"),
    "report",
    f"embed --run {RUN} --images crops --out embedded.parquet",
    EMBED,
    SEARCH,
)
VOLATILE = ("seconds", "images_per_second", "peak_memory_bytes", "date", "commit", "adopted", "sealed")
IGNORED = (".lock", ".part", ".done")


def build(server: Server, folder: Path) -> None:
    """Make the project by the commands themselves; a file `interrupted.pt` is a checkpoint of the run."""
    folder.mkdir(parents=True)
    random_project.make(folder)
    shutil.copytree(ROOT / "data/reference", folder / "data/reference")
    for name, sizes in SIZES.items():
        path = folder / f"params/dataset/{name}.yaml"
        node = yaml.safe_load(path.read_text()) | {"expect": {}}
        node["miniature"]["sizes"] = sizes
        path.write_text(yaml.safe_dump(node))
    for name, text in FILES.items():
        (folder / f"params/{name}.yaml").write_text(f"{text}\n")
    shutil.copytree(folder / "source/wide/bounding_box_train", folder / "crops")
    for number, path in enumerate(sorted((folder / "crops").iterdir())):
        path.rename(path.with_name(f"{number}.png")) if number < 6 else path.unlink()
    (folder / "splits.json").write_text(json.dumps(splits(folder / "source/wide")))
    for line in STEPS:
        said = server.call(line, folder)
        assert said.status == 0, f"{line}: {said.err}"
    _interrupt(server, folder)


def splits(root: Path) -> list[dict]:
    """Two splits of the data set wide, as torchreid writes them."""
    names = sorted(path.name for path in (root / "bounding_box_train").iterdir())
    found = []
    for shift in (0, 4):
        people = sorted({name[:4] for name in names})
        people = people[shift:] + people[:shift]
        rows = [[f"bounding_box_train/{n}", people.index(n[:4]), int(n[6]) - 1] for n in names]
        first = {"train": [row for row in rows if row[1] < 4]}
        for role, camera in (("query", 0), ("gallery", 1)):
            first[role] = [row for row in rows if row[1] >= 4 and row[2] == camera]
        found.append(first)
    return found


def _interrupt(server: Server, folder: Path) -> None:
    checkpoint = folder / f"data/checkpoints/{RUN}/last.pt"
    copy = replica(folder, folder.parent / "interrupted")
    acts = server.call(TRAIN, copy).acts
    for at in range(acts["kill"], 0, -1):
        server.call(TRAIN, copy, fault="kill", at=at)
        made = copy / checkpoint.relative_to(folder)
        if made.exists():
            shutil.copy(made, folder / "interrupted.pt")
            break
    shutil.rmtree(copy)
    assert (folder / "interrupted.pt").exists()


def replica(built: Path, to: Path) -> Path:
    """Copy a project by hard links, because results are replaced and never written in place."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(built, to, symlinks=True, copy_function=os.link)
    (to / "logs/executions.tsv").unlink(missing_ok=True)  # is appended to
    return to


def write(path: Path, content: bytes | str) -> None:
    """Replace a file of a replica, not what it is linked to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def results(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Digest of every file below these paths, without what differs between repetitions."""
    found = {}
    for name in names:
        top = folder / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and (path.name == "dvc.lock" or not path.name.endswith(IGNORED)):
                found[str(path.relative_to(folder))] = _digest(path)
    return found


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".json":
        with suppress(ValueError):
            content = json.dumps(_constant(json.loads(content)), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _constant(node):
    if isinstance(node, dict):
        return {key: _constant(value) for key, value in node.items() if key not in VOLATILE}
    return [_constant(value) for value in node] if isinstance(node, list) else node


def outside(folder: Path) -> dict[str, tuple]:
    """What lies beside a project and, in it, where no command should write."""
    kept = ("data", "reports", "logs", "out", "__pycache__")
    found = {}
    for path in sorted([*folder.parent.iterdir(), *folder.rglob("*")]):
        inside = path.is_relative_to(folder) and path != folder
        if inside and (path.relative_to(folder).parts[0] in kept or path.name == "matrix.yaml"):
            continue
        if path != folder and not path.name.startswith("said."):
            facts = path.lstat()
            found[str(path)] = (facts.st_size, facts.st_mtime_ns) if path.is_file() else ()
    return found


def leftovers(folder: Path) -> list[Path]:
    """Temporary folders that a kill left and nobody removed."""
    return list(folder.rglob(".tmp-*"))
