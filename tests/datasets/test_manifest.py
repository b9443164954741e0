import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dgreid.datasets import parse, read_manifest, read_splits
from dgreid.datasets.images import open_image
from dgreid.datasets.manifest import IMAGES, build, write_manifest
from dgreid.datasets.parsers import ilids
from dgreid.errors import UserError


@pytest.fixture
def made(layouts, config, tmp_path):
    """made(layout): the manifest folder of a tiny data set."""

    def make(layout, **changes):
        settings = config(layout, **changes)
        root, folder = layouts(layout), tmp_path / "manifests" / settings.name
        write_manifest(folder, *build(settings, root, parse(settings, root)))
        return folder

    return make


def test_one_row_per_image_in_the_documented_schema(made, tmp_path):
    frame = read_manifest(made("market1501"))
    assert list(frame.columns) == IMAGES.names
    assert list(frame.image_id) == sorted(frame.image_id)
    row = frame[frame.path == "query/0003_c4s3_000341_02.jpg"].iloc[0]
    content = (tmp_path / "market1501" / row.path).read_bytes()
    pixels = open_image(tmp_path / "market1501", row.path).tobytes()
    assert row.image_id == "market1501/original/query/0003_c4s3_000341_02.jpg"
    assert (row.person_key, row.person_raw, row.kind) == ("market1501:0003", "0003", "person")
    assert (row.camera, row.camera_raw, row.camera_known) == (3, "c4", True)
    assert (row.width, row.height, row.format, row.bytes) == (6, 12, "jpg", len(content))
    assert row.sha256 == hashlib.sha256(content).digest()
    assert row.pixel_sha256 == hashlib.sha256(pixels).digest()
    assert (row.sequence, row.frame, row["index"], row.official_role) == (3, 341, 2, "query")


def test_unknown_is_null(made):
    frame = read_manifest(made("ilids"))
    assert frame.camera.isna().all()
    assert not frame.camera_known.any()
    market = read_manifest(made("market1501"))
    assert (market.person_key.isna() == (market.kind != "person")).all()


def test_metadata_travel_with_the_frame(made):
    folder = made("grid")
    frame = read_manifest(folder / "images.parquet")
    assert frame.attrs["kind"] == "unverified"  # its configuration expects no counts
    assert frame.attrs["dataset"] == "grid"
    assert len(frame.attrs["content"]) == 64
    assert read_splits(folder).attrs["content"] == frame.attrs["content"]


def test_drawn_identities_have_keys_of_their_own(made):
    frame = read_manifest(made("viper", name="mini_viper", access="drawn"))
    assert frame.attrs["kind"] == "miniature"
    assert set(frame.person_key.str.split(":").str[0]) == {"mini_viper"}


def test_splits_are_long_and_ordered(made):
    splits = read_splits(made("viper"))
    first = splits[(splits.split == 0) & (splits.role == "query")]
    assert list(first.order) == [0, 1, 2]
    assert splits.groupby(["split", "role"]).size().unique().tolist() == [3, 6]
    assert set(splits.split_set) == {"viper/rand10_a2b"}


def test_corrupt_image_is_named(layouts, config):
    settings, root = config("grid"), layouts("grid")
    file = next((root / "probe").iterdir())
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(UserError, match=file.name.replace(".", r"\.")):
        build(settings, root, parse(settings, root))


def test_threads_do_not_change_the_result(layouts, config, monkeypatch):
    settings, root = config("prid2011"), layouts("prid2011")
    contents = []
    for threads in ("1", "4"):
        monkeypatch.setenv("DGREID_THREADS", threads)
        images, _, metadata = build(settings, root, parse(settings, root))
        contents.append((metadata["content"], images))
    assert contents[0][0] == contents[1][0]
    assert contents[0][1].equals(contents[1][1])


def test_content_hash_sees_one_changed_pixel(made, draw, layouts, config):
    settings, root = config("viper"), layouts("viper")
    before = build(settings, root, parse(settings, root))[2]["content"]
    file = root / "cam_a/000_45.bmp"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert build(settings, root, parse(settings, root))[2]["content"] != before


def test_r18_a_whole_copy_must_have_the_frozen_splits(layouts, config, monkeypatch):
    settings, root = config("ilids", expect={"ids": 7}), layouts("ilids")
    other = replace(ilids.RAND10, frozen="0" * 64)
    monkeypatch.setattr(ilids, "LAYOUT", replace(ilids.LAYOUT, split_sets=(other,)))
    with pytest.raises(UserError, match="ilids/rand10 are not the frozen ones"):
        build(settings, root, parse(settings, root))
    drawn = config("ilids", access="drawn")  # a miniature has splits of its own
    metadata = build(drawn, root, parse(drawn, root))[2]
    assert set(json.loads(metadata["split_contents"])) == {"ilids/rand10"}
    assert "PCG64(0)" in json.loads(metadata["generators"])["ilids/rand10"]


def test_doubts_that_are_no_error_stand_in_the_metadata(layouts, config):
    settings, root = config("viper", expect={"ids": 6}, recalled={"images": 13}), layouts("viper")
    for _ in range(2):
        frozen, recalled = sorted(
            json.loads(build(settings, root, parse(settings, root))[2]["warnings"]), reverse=True
        )
        assert "viper/rand10_a2b are not the frozen ones" in frozen
        assert recalled == "images 12; 13 are remembered, unverified"


SCRIPT = """
import os, sys
class Turned:
    # what os.scandir gives, in the opposite order
    def __init__(self, entries): self.entries = iter(entries)
    def __enter__(self): return self
    def __exit__(self, *args): pass
    def __iter__(self): return self
    def __next__(self): return next(self.entries)
if os.environ["TURNED"] == "1":
    scandir, listdir = os.scandir, os.listdir
    os.scandir = lambda *a: Turned(sorted(scandir(*a), key=lambda e: e.name, reverse=True))
    os.listdir = lambda *a: sorted(listdir(*a), reverse=True)
from pathlib import Path
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets import parse
from dgreid.datasets.manifest import build, write_manifest
out, *words = sys.argv[1:]
for name, root in zip(words[::2], words[1::2]):
    config = DatasetConfig(name=name, title=name, parser=name, access="open",
                           options={"shared": 6} if name == "prid2011" else {})
    write_manifest(Path(out, name), *build(config, Path(root), parse(config, Path(root))))
"""


def test_r17_same_bytes_under_another_hash_seed_locale_and_directory_order(layouts, tmp_path):
    names = ("market1501", "viper", "prid2011", "grid", "ilids", "cuhk02")
    words = [word for name in names for word in (name, layouts(name))]
    outputs = []
    for number, (seed, locale) in enumerate([("0", "C"), ("12345", "tr_TR.UTF-8")]):
        out = tmp_path / f"out{number}"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": f"UTC+{number}"}
        environment["TURNED"] = str(number)
        subprocess.run([sys.executable, "-c", SCRIPT, out, *words], env=environment, check=True)
        tables = [(name, table) for name in names for table in ("images", "splits")]
        outputs.append({pair: (out / "{}/{}.parquet".format(*pair)).read_bytes() for pair in tables})
    assert [pair for pair in tables if outputs[0][pair] != outputs[1][pair]] == []


def test_no_manifest_names_the_remedy(tmp_path):
    with pytest.raises(UserError, match="dgreid manifest dataset=grid"):
        read_manifest(tmp_path / "grid")


def test_damaged_manifest(tmp_path):
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid/images.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not a parquet file"):
        read_manifest(tmp_path / "grid")


def test_unknown_option_of_a_parser(layouts, config):
    with pytest.raises(UserError, match="did you mean 'shared'"):
        parse(config("prid2011", options={"shard": 6}), layouts("prid2011"))


def test_plain_pandas_works_on_it(made):
    frame = read_manifest(made("market1501"))
    people = frame[frame.kind == "person"].groupby("person_key").size()
    assert people.max() == 4
    assert isinstance(pd.concat([frame, frame]), pd.DataFrame)
    assert np.array_equal(frame.camera.to_numpy(int), [int(c[1:]) - 1 for c in frame.camera_raw])
