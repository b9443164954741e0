import json

import pytest

from dgreid.errors import UserError
from dgreid.stages.member import member


def test_a_member_follows_the_manifest_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for dataset in ("grid", "viper"):
        folder = tmp_path / "data" / "manifests" / dataset
        folder.mkdir(parents=True)
        for name in ("images", "splits"):
            (folder / f"{name}.parquet").write_text(f"{dataset} {name}")
    path = member("mine", "grid")
    before = path.read_bytes()
    assert path == path.parent / "grid.json" and set(json.loads(before)) == {
        "images.parquet",
        "splits.parquet",
    }
    (tmp_path / "data/manifests/viper/images.parquet").write_text("another")
    assert member("mine", "grid").read_bytes() == before
    (tmp_path / "data/manifests/grid/splits.parquet").write_text("another")
    assert member("mine", "grid").read_bytes() != before


@pytest.mark.parametrize("name", ["../other", "a b", "", "\u202ea"])
def test_what_is_no_name_is_refused(name):
    for names in ((name, "grid"), ("mine", name)):
        with pytest.raises(UserError, match="is no name: letters, digits") as raised:
            member(*names)
        assert str(raised.value).isprintable()


def test_a_missing_manifest_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="dgreid manifest dataset=grid"):
        member("mine", "grid")
