"""The real archives, where this machine has them: adopted by the shipped parameters, counts as published."""

import json

import pytest

from dgreid.datasets import parse, read_manifest, read_splits
from dgreid.datasets.adopt import archive
from dgreid.datasets.config import load_dataset
from dgreid.datasets.manifest import build, write_manifest
from dgreid.datasets.parsers import grid, ilids
from dgreid.datasets.splits import fingerprint, identities
from dgreid.protocols import build as build_protocol
from dgreid.protocols.config import load_protocol

FILES = {
    "market1501": "Market-1501-v15.09.15.train-only.zip",
    "cuhk01": "CUHK01.zip",
    "grid": "underground_reid.zip",
    "ilids": "QMUL-iLIDS.zip",
    "caviar4reid": "CAVIAR4REID.zip",
    "threedpes": "3DPeS.zip",
}
COUNTS = {  # kind, images, ids
    "market1501": ("partial", 12936, 751),
    "cuhk01": ("full", 3884, 971),
    "grid": ("full", 1275, 250),
    "ilids": ("full", 476, 119),
    "caviar4reid": ("full", 1220, 72),
    "threedpes": ("full", 1012, 193),
}


@pytest.fixture(scope="module")
def adopted(shared, tmp_path_factory, pytestconfig):
    """The folder of manifests of all six, built once."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pytestconfig.rootpath)
        for name, file in FILES.items():
            config = load_dataset(name)
            root = archive.adopt(config, shared / "datasets" / file, folder / "raw")
            record = archive.read_record(folder / "raw" / name)
            write_manifest(folder / name, *build(config, root, parse(config, root), record))
    return folder


@pytest.mark.parametrize("name", sorted(FILES))
def test_published_counts(adopted, name):
    frame = read_manifest(adopted / name)
    found = (frame.attrs["kind"], len(frame), frame.person_key.nunique())
    assert found == COUNTS[name]


def test_market_is_labelled_partial_and_its_cameras_are_complete(adopted):
    frame = read_manifest(adopted / "market1501")
    assert json.loads(frame.attrs["missing"]) == ["bounding_box_test", "query"]
    cameras = frame.camera.value_counts().sort_index().tolist()
    assert cameras == [2017, 1709, 2707, 920, 2338, 3245]
    assert set(read_splits(adopted / "market1501").role) == {"train"}


def test_grid_roles_and_distractors(adopted):
    frame = read_manifest(adopted / "grid")
    assert frame.official_role.value_counts().to_dict() == {"gallery": 1025, "query": 250}
    assert (frame.kind == "distractor").sum() == 775
    splits = read_splits(adopted / "grid")
    sizes = splits.groupby(["split", "role"]).size().unstack().drop_duplicates()
    assert sizes.to_dict("records") == [{"gallery": 900, "query": 125, "train": 250}]
    assert splits.split.nunique() == 10


def test_r18_the_folds_of_grid_are_those_on_record_whichever_image_is_the_probe(adopted):
    parsed = parse(load_dataset("grid"), adopted / "raw/grid/files/underground_reid")
    assert identities(parsed, [grid.OFFICIAL10]) == {"grid/official10": grid.OFFICIAL10.frozen}
    for image in parsed.images:
        image.camera = 0  # as in copies with other probes
    assert identities(parsed, [grid.OFFICIAL10]) == {"grid/official10": grid.OFFICIAL10.frozen}
    assert json.loads(read_manifest(adopted / "grid").attrs["warnings"]) == []


def test_caviar_and_cuhk01_cameras(adopted):
    caviar = read_manifest(adopted / "caviar4reid").camera.value_counts(dropna=False)
    assert (caviar[0], caviar[1]) == (500, 500)
    cuhk01 = read_manifest(adopted / "cuhk01").camera.value_counts()
    assert (cuhk01[0], cuhk01[1]) == (1942, 1942)


def test_ilids_images_per_person(adopted):
    per_person = read_manifest(adopted / "ilids").person_key.value_counts().value_counts()
    assert per_person.to_dict() == {2: 22, 3: 33, 4: 24, 5: 15, 6: 17, 7: 4, 8: 4}


def test_the_small_open_protocol(adopted, root):
    protocol = build_protocol(load_protocol("open_small"), adopted)
    assert protocol.kind == "partial"
    assert protocol.metadata["counts"] == {"domains": 4, "ids": 1987, "images": 19052}
    assert {name: len(splits) for name, splits in protocol.targets.items()} == {"GRID": 10, "iLIDS": 10}


def test_r18_the_frozen_splits_of_ilids(adopted):
    recorded = json.loads(read_manifest(adopted / "ilids").attrs["split_contents"])
    assert recorded["ilids/rand10"].startswith("8984daf0b60a")  # since the first release
    config = load_dataset("ilids")
    parsed = parse(config, adopted / "raw/ilids/files/i-LIDS_Pedestrian")
    assert identities(parsed, [ilids.RAND10]) == {"ilids/rand10": ilids.RAND10.frozen}
    splits = read_splits(adopted / "ilids")
    groups = [group.image_id for _, group in splits.groupby(["split", "role"])]
    assert fingerprint(groups) == "8f222ac72a2fe5b55d8b5cea340f9f87834e4629acadbafa7afaf5a3681f500c"
