from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dgreid.datasets import inspect as looking
from dgreid.datasets import parse, read_manifest, read_splits
from dgreid.datasets.manifest import build, write_manifest
from dgreid.datasets.parsers import viper
from dgreid.errors import UserError


@pytest.fixture
def place(layouts, config, monkeypatch, tmp_path):
    """place(name): a tiny data set with its manifest; returns (configuration, root)."""

    def make(name, **changes):
        settings, root = config(name, **changes), layouts(name)
        monkeypatch.setattr(looking, "load_dataset", lambda _: settings)
        monkeypatch.setattr(looking, "images_root", lambda _: root)
        write_manifest(tmp_path / "manifests" / name, *build(settings, root, parse(settings, root)))
        return settings, root

    return make


def test_summary_counts_every_kind_role_and_split_set(place, tmp_path):
    place("market1501")
    text = looking.inspect("market1501", tmp_path / "manifests", tmp_path / "out")
    lines = [line.split() for line in text.splitlines()]
    assert ["distractor", "2", "0", "2"] in lines  # images, identities, cameras
    assert ["person", "14", "5", "4"] in lines
    assert ["query", "4", "2", "2"] in lines
    assert "split set market1501/official: 1 splits" in text
    assert "no warnings\nnothing fails" in text
    assert (tmp_path / "out/market1501/summary.txt").read_text().strip() in text
    for name in ("contact_sheet", "histograms"):
        with Image.open(tmp_path / f"out/market1501/{name}.png") as picture:
            assert picture.width > 300


@pytest.mark.parametrize("name", ["ilids", "grid", "viper"])
def test_unknown_cameras_distractors_and_generators(place, tmp_path, name):
    place(name)
    text = looking.inspect(name, tmp_path / "manifests", tmp_path / "out")
    assert ("cameras unknown" in text) == (name == "ilids")
    assert ("PCG64(0)" in text) == (name != "grid")
    assert "10 splits" in text


def test_warnings_and_missing_parts_are_shown(place, tmp_path):
    settings, root = place("viper")
    (root / "cam_a/000_45.bmp").write_bytes((root / "cam_a/003_45.bmp").read_bytes())
    for path in (root / "cam_b").iterdir():
        path.unlink()
    write_manifest(tmp_path / "m", *build(settings, root, parse(settings, root)))
    text = looking.summary(settings, root, read_manifest(tmp_path / "m"), read_splits(tmp_path / "m"))
    assert "partial data" in text and "lacks cam_b" in text
    assert "warning: 1 images occur under different identities" in text


def test_it_says_what_fails_now(place, tmp_path, monkeypatch):
    monkeypatch.setattr(viper, "LAYOUT", replace(viper.LAYOUT, split_sets=()))  # frozen for 632 identities
    settings, root = place("viper", expect={"images": 12})

    def text():
        tables = (read(tmp_path / "manifests/viper") for read in (read_manifest, read_splits))
        return looking.summary(settings, root, *tables)

    (root / "cam_a/873_45.bmp").rename(root / "cam_a/873_60.bmp")
    assert "fails: 1 files of the manifest are gone, 1 are new" in text()
    (root / "cam_a/002_60.bmp").touch()
    assert "fails: " in text() and "images 13 instead of 12" in text()
    (root / "cam_a/strange.bmp").touch()
    assert "strange.bmp" in text()


def test_contact_sheet_shows_the_images_of_a_person_side_by_side(place, tmp_path):
    _, root = place("viper")
    frame = read_manifest(tmp_path / "manifests/viper")
    sheet = np.asarray(looking.contact_sheet(frame, root))
    first = Image.open(root / "cam_a/000_45.bmp").resize((64, 128), Image.Resampling.BICUBIC)
    second = Image.open(root / "cam_b/000_90.bmp").resize((64, 128), Image.Resampling.BICUBIC)
    assert (sheet[4:132, 4:68] == np.asarray(first)).all()
    assert (sheet[4:132, 70:134] == np.asarray(second)).all()
    assert (sheet[:4] == 255).all() and (sheet[133:145, 4:68] < 255).any()  # a margin, and a label


def test_without_a_manifest(place, tmp_path):
    place("viper")
    with pytest.raises(UserError, match="dgreid manifest dataset=viper"):
        looking.inspect("viper", tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()
