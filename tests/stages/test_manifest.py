"""The stages manifest and protocol, run on drawn-like archives inside a project of their own."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from dgreid.datasets import read_manifest
from dgreid.errors import UserError
from dgreid.protocols import read_protocol
from dgreid.stages.manifest import manifest
from dgreid.stages.protocol import protocol

DATASET = "title: Mini\nparser: viper\naccess: drawn\n"
PROTOCOL = """
recipe: none
image: none
title: Test
sources: [{dataset: mini_a}, {dataset: mini_b}]
targets: [{name: C, dataset: mini_c, split_set: viper/rand10_a2b, expect: {query: 4, gallery: 4}}]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with three drawn data sets in VIPeR's layout, as archives."""
    monkeypatch.chdir(tmp_path)
    for folder in ("params/dataset", "params/protocol", "data/archives"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "params/protocol/test.yaml").write_text(PROTOCOL)
    for seed, name in enumerate(("mini_a", "mini_b", "mini_c")):
        (tmp_path / f"params/dataset/{name}.yaml").write_text(DATASET)
        draw(tmp_path / f"data/archives/{name}.zip", seed)
    return tmp_path


def draw(archive, seed):
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(archive, "w") as file:
        for person in range(8):
            for camera in "ab":
                with file.open(f"VIPeR/cam_{camera}/{person:03d}_90.bmp", "w") as target:
                    Image.fromarray(rng.integers(0, 256, (8, 4, 3), dtype=np.uint8)).save(target, "bmp")


def test_archives_become_manifests_become_a_protocol(project):
    for name in ("mini_a", "mini_b", "mini_c"):
        assert read_manifest(manifest(name)).attrs["kind"] == "miniature"
    assert read_manifest("data/manifests/mini_a").attrs["source"] == "mini_a.zip"
    made = read_protocol(protocol("test"))
    assert (made.kind, len(made.train), made.domains) == ("miniature", 32, ["mini_a", "mini_b"])
    assert [len(query) for query, _ in made.targets["C"]] == [4] * 10


def test_a_second_run_gives_the_same_bytes(project):
    def run():
        files = [manifest(name) / "images.parquet" for name in ("mini_a", "mini_b", "mini_c")]
        return [path.read_bytes() for path in [*files, *sorted(protocol("test").iterdir())]]

    assert run() == run()


def test_a_redrawn_archive_is_noticed(project):
    before = read_manifest(manifest("mini_a"))
    draw(project / "data/archives/mini_a.zip", 99)
    after = read_manifest(manifest("mini_a"))
    assert before.attrs["content"] != after.attrs["content"]


def test_no_archive(project):
    (project / "data/archives/mini_a.zip").unlink()
    with pytest.raises(UserError, match="dgreid synthesize dataset=mini_a"):
        manifest("mini_a")


def test_no_manifest(project):
    with pytest.raises(UserError, match="dgreid manifest dataset=mini_a"):
        protocol("test")


def test_unknown_data_set(project):
    with pytest.raises(UserError, match="did you mean 'mini_a'"):
        manifest("mini_aa")
