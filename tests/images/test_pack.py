import hashlib

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
