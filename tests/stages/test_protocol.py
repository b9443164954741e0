import pytest

from dgreid.errors import UserError
from dgreid.paths import MANIFESTS
from dgreid.protocols import read_protocol
from dgreid.stages.protocol import protocol
from helpers.manifests import SOURCE_A, SOURCE_B, TARGET, TARGET_SPLITS, save

TEXT = """
recipe: none
image: none
title: Test
sources: [{dataset: a}, {dataset: b}]
targets: [{name: T, dataset: t, split_set: t/two, expect: EXPECT}]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with the manifests of two sources and a target."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params/protocol").mkdir(parents=True)
    (tmp_path / "params/protocol/test.yaml").write_text(TEXT.replace("EXPECT", "{}"))
    for name, rows, splits in (("a", SOURCE_A, ()), ("b", SOURCE_B, ()), ("t", TARGET, TARGET_SPLITS)):
        save(MANIFESTS, name, rows, splits)
    return tmp_path


def test_manifests_become_a_protocol(project):
    made = read_protocol(protocol("test"))
    assert made.name == "test" and len(made.train) == 10 and list(made.targets) == ["T"]


def test_a_protocol_that_breaks_a_rule_leaves_the_earlier_one(project):
    folder = protocol("test")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path = project / "params/protocol/test.yaml"
    path.write_text(TEXT.replace("EXPECT", "{query: 9}"))
    with pytest.raises(UserError, match="query instead of 9"):
        protocol("test")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_manifest_names_the_command(project):
    (MANIFESTS / "b/images.parquet").unlink()
    with pytest.raises(UserError, match="dgreid manifest dataset=b"):
        protocol("test")
