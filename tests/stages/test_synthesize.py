import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dgreid.errors import UserError
from dgreid.stages.synthesize import synthesize

PRID = """
title: PRID2011 (miniature)
parser: prid2011
access: drawn
miniature: {seed: 3, sizes: {shared_identities: 4, only_a_identities: 2, only_b_identities: 3}}
"""
CUHK03 = """
title: CUHK03 (miniature)
parser: cuhk03
access: drawn
miniature: {seed: 3, sizes: {identities: 5, test_identities: 2}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with two small miniature data sets, as the current directory."""
    folder = tmp_path / "params/dataset"
    folder.mkdir(parents=True)
    (folder / "tiny_prid.yaml").write_text(PRID)
    (folder / "tiny_cuhk03.yaml").write_text(CUHK03)
    (folder / "real.yaml").write_text("title: Real\nparser: prid2011\naccess: open\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DGREID_THREADS", raising=False)
    return tmp_path


def digest(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


OLD_PROCESSOR = "AVX2 FMA3 AVX512F AVX512_SKX AVX512_ICL X86_V3 X86_V4"  # instructions NumPy shall not use


def in_a_fresh_process(*datasets: str) -> list[str]:
    code = f"from dgreid.stages.synthesize import synthesize\nfor name in {datasets}: synthesize(name)"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "DGREID_THREADS": "2"}
    environment["NPY_DISABLE_CPU_FEATURES"] = OLD_PROCESSOR
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=environment)
    return [digest(Path("data/archives") / f"{dataset}.zip") for dataset in datasets]


def test_the_archive_is_complete_and_labelled(project):
    path = synthesize("tiny_prid")
    assert path == Path("data/archives/tiny_prid.zip")
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 4 + 2 + 4 + 3
        assert archive.testzip() is None
        assert b"no real person" in archive.comment
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny_prid.zip"]


def test_equal_parameters_give_equal_bytes(project):
    """In another process, with another hash seed, on an older processor and with more processes."""
    names = "tiny_prid", "tiny_cuhk03"
    assert in_a_fresh_process(*names) == [digest(synthesize(name)) for name in names]


def test_another_seed_gives_other_identities(project):
    first = digest(synthesize("tiny_prid"))
    path = project / "params/dataset/tiny_prid.yaml"
    path.write_text(PRID.replace("seed: 3", "seed: 4"))
    assert digest(synthesize("tiny_prid")) != first


def test_real_data_cannot_be_drawn(project):
    with pytest.raises(UserError, match="no `miniature` section"):
        synthesize("real")


def test_a_failure_leaves_no_archive(project):
    path = project / "params/dataset/tiny_prid.yaml"
    path.write_text(PRID.replace("only_a_identities: 2, ", ""))
    with pytest.raises(UserError, match="only_a_identities"):
        synthesize("tiny_prid")
    assert not list((project / "data/archives").iterdir())
