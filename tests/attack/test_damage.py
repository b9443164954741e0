"""Damaged files of ours: refused by name, made again, or read as what was written; never another number."""

import random
import shutil

import pytest

from attack.harness import REBUILT, REFUSED, SAME, SILENT, TAKEN, few_or_many
from attack.project import EVALUATE, RUN, SEARCH, TRAIN, replica, results
from attack.project import write as replace
from dgreid import sealed
from helpers.damage import damaged

PROTOCOL, REPORT, MANIFEST = "protocol protocol=attacked", "report", "manifest dataset=wide"
TRAINED, MODEL = [f"data/runs/{RUN}"], f"data/runs/{RUN}/model.safetensors"
SCORES = [f"reports/metrics/{RUN}.json", f"data/queries/{RUN}.parquet"]
MADE = ["data/protocols/attacked"]
EMBEDS = f"embed --run {RUN} --images crops --out out/crops.parquet"
SLOW = {"history.csv", "metrics", "queries", "selection"}  # a whole report each time
ARCHIVE = "generated archive"
FILES = {  # the file, the command that reads it, what that command makes
    "checkpoint": (f"data/checkpoints/{RUN}/last.pt", TRAIN, TRAINED),
    "pack of a source": ("data/packs/wide-*.npy", TRAIN, TRAINED),
    "pack of a target": ("data/packs/mini_viper-*.npy", EVALUATE, SCORES),
    "manifest, images": ("data/manifests/wide/images.parquet", PROTOCOL, MADE),
    "manifest, splits": ("data/manifests/mini_viper/splits.parquet", PROTOCOL, MADE),
    "protocol, sources": ("data/protocols/attacked/train.parquet", TRAIN, TRAINED),
    "protocol, targets": ("data/protocols/attacked/targets.parquet", EVALUATE, SCORES),
    "model": (MODEL, EMBEDS, ["out/crops.parquet"]),
    "run.yaml": (f"data/runs/{RUN}/run.yaml", EVALUATE, SCORES),
    "cost.json": (f"data/runs/{RUN}/cost.json", EVALUATE, SCORES),
    "history.csv": (f"data/runs/{RUN}/history.csv", REPORT, ["reports"]),
    "metrics": (f"reports/metrics/{RUN}.json", REPORT, ["reports"]),
    "queries": (f"data/queries/{RUN}.parquet", REPORT, ["reports"]),
    "selection": ("params/matrix.yaml", REPORT, ["reports"]),
    "record of adoption": ("data/raw/wide/adopted.json", MANIFEST, ["data/manifests/wide"]),
    ARCHIVE: (
        "data/archives/mini_cuhk02.zip",
        "manifest dataset=mini_cuhk02",
        ["data/manifests"],
    ),
    "imported splits": ("data/splits/wide-theirs.json", MANIFEST, ["data/manifests/wide"]),
    "embedded gallery": ("embedded.parquet", SEARCH, ["out/found"]),
}
FEW = 3
SETTINGS = ("selection",)  # a user writes it: another valid value is another wish


@pytest.mark.parametrize("kind", FILES)
@few_or_many(FEW, 24)
def test_a_damaged_file(server, built, tmp_path, tally, kind, tries):
    pattern, line, outputs = FILES[kind]
    tries = tries // 3 if kind in SLOW else tries
    counted, folder = tally(f"damaged: {kind}"), tmp_path / "project"

    def ready():
        replica(built, folder)
        if kind == "checkpoint":
            replace(folder / pattern, (built / "interrupted.pt").read_bytes())
        if kind == ARCHIVE:
            shutil.rmtree(folder / "data/raw/mini_cuhk02")
        return next(folder.glob(pattern))

    path = ready()
    content = path.read_bytes()
    assert server.call(line, folder).status == 0
    expected, rows = results(folder, outputs), tables(folder, outputs)
    ways = list(damaged(content, flips=max(2, tries - 9)))
    for way, bad in ways if tries >= len(ways) else random.Random(kind).sample(ways, tries):
        if bad == content:
            continue
        replace(ready(), bad)
        said = server.call(line, folder)
        outcome = said.outcome
        if outcome is None:
            again = not path.exists() or path.read_bytes() != bad
            same = differing(results(folder, outputs), expected) <= {str(path.relative_to(folder))}
            outcome = (REBUILT if again else SAME) if same or kind in SETTINGS else SILENT
            if outcome == SILENT and kind == ARCHIVE and tables(folder, outputs) == rows:
                outcome = TAKEN  # the archive has another hash, and the same images
            if outcome == SILENT and f"{path.name} is damaged" in said.err:
                outcome = REFUSED  # the report goes on without it, and says so
        counted.add(outcome, way, said)
    counted.close()


def tables(folder, outputs):
    """The rows of every table below some folders, without what is said of them."""
    files = [path for name in outputs for path in sorted((folder / name).rglob("*.parquet"))]
    return [sealed.read_table(path).replace_schema_metadata() for path in files]


def differing(made, expected):
    """The files that are not alike."""
    return {name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name)}
