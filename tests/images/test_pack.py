import hashlib
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dgreid.config import ImageConfig
from dgreid.errors import UserError
from dgreid.images import pack
from dgreid.images.pack import Pack, load

IMAGE = ImageConfig(name="small", height=32, width=16)


def draw(folder, count=7, seed=0):
    """Pictures of several sizes, formats and modes, and their manifest."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        shape = rng.integers(20, 90), rng.integers(10, 50), 3
        picture = Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8))
        path = f"images/{number:03d}.{('jpg', 'png', 'bmp')[number % 3]}"
        (folder / path).parent.mkdir(exist_ok=True)
        (picture.convert("L") if number == 4 else picture).save(folder / path)
        rows.append({"path": path, "pixel_sha256": hashlib.sha256(picture.tobytes()).digest()})
    manifest = folder / "data/manifests/drawn"
    manifest.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(manifest / "images.parquet")
    return rows


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pack, "images_root", lambda name: tmp_path)
    return draw(tmp_path)


def test_a_pack_equals_the_per_image_path_bit_for_bit(drawn, tmp_path):
    opened = Pack.open("drawn", IMAGE)
    assert len(opened) == 7
    rows = np.array([5, 0, 4])
    expected = [
        Image.open(tmp_path / drawn[row]["path"]).convert("RGB").resize((16, 32), Image.Resampling.BICUBIC)
        for row in rows
    ]
    assert (opened[rows] == np.stack([np.asarray(picture) for picture in expected])).all()
    assert (opened[rows][0] == load(tmp_path, drawn[5]["path"], IMAGE)).all()
    assert opened.images.dtype == np.uint8 and not opened.images.flags.writeable


def test_it_is_built_once_and_again_for_other_content_or_size(drawn, tmp_path, monkeypatch):
    first = Pack.open("drawn", IMAGE).path
    built = first.stat().st_mtime_ns
    monkeypatch.setattr(pack, "CHUNK", 2)
    assert Pack.open("drawn", IMAGE).path == first and first.stat().st_mtime_ns == built
    assert Pack.open("drawn", IMAGE.model_copy(update={"height": 64})).path != first
    draw(tmp_path, seed=1)
    other = Pack.open("drawn", IMAGE)
    assert other.path != first and (other[np.arange(7)] != Pack(first)[np.arange(7)]).any()


def test_an_unreadable_image_leaves_no_pack(drawn, tmp_path):
    (tmp_path / drawn[3]["path"]).write_bytes(b"not an image")
    with pytest.raises(UserError, match="003"):
        Pack.open("drawn", IMAGE)
    assert not list((tmp_path / "data/packs").glob("*.npy"))
    draw(tmp_path)
    assert len(Pack.open("drawn", IMAGE)) == 7


SLOW = """
import sys, time
from pathlib import Path
from dgreid.config import ImageConfig
from dgreid.images import pack
load = pack.load
pack.CHUNK, pack.images_root = 2, lambda name: Path(sys.argv[1])
pack.load = lambda *args: time.sleep(0.05) or load(*args)
pack.Pack.open("drawn", ImageConfig(name="small", height=32, width=16))
"""


def test_a_killed_build_starts_afresh_and_leaves_nothing_behind(drawn, tmp_path):
    draw(tmp_path, count=60)
    packs = tmp_path / "data/packs"
    process = subprocess.Popen([sys.executable, "-c", SLOW, tmp_path], cwd=tmp_path, env=os.environ)
    limit = time.time() + 60
    while not list(packs.glob(".tmp-*/*.npy")) and time.time() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(packs.glob(".tmp-*/*.npy")) and not list(packs.glob("*.npy"))  # half a pack is no pack
    opened = Pack.open("drawn", IMAGE)
    assert (opened[np.array([59])][0] == load(tmp_path, "images/059.bmp", IMAGE)).all()
    assert not list(packs.glob(".tmp-*"))


def test_a_build_decodes_a_chunk_at_a_time(drawn, tmp_path, monkeypatch):
    draw(tmp_path, count=30)
    ahead = []  # images decoded and not yet written, at every flush
    decoded = []
    monkeypatch.setattr(pack, "CHUNK", 8)
    monkeypatch.setattr(pack, "load", lambda *args: decoded.append(1) or load(*args))

    class Bar:
        def __init__(self, **settings):
            assert settings["total"] == 30 and settings["disable"] is None  # quiet when nobody watches

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, number):
            ahead.append(len(decoded))

    monkeypatch.setattr(pack, "tqdm", Bar)
    monkeypatch.setenv("DGREID_THREADS", "3")
    opened = Pack.open("drawn", IMAGE)
    assert ahead == [8, 16, 24, 30]
    for row, picture in enumerate(opened.images):
        path = f"images/{row:03d}.{('jpg', 'png', 'bmp')[row % 3]}"
        assert (picture == load(tmp_path, path, IMAGE)).all()


def test_a_full_disk_is_said_before_anything_is_written(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(pack.shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"needs 0\.0 GB for drawn-32x16"):
        Pack.open("drawn", IMAGE)
    assert not list((tmp_path / "data/packs").glob("*.npy"))
