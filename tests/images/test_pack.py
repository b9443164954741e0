import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image, ImageOps

from dgreid.datasets.images import open_image
from dgreid.datasets.manifest import IMAGES
from dgreid.errors import UserError
from dgreid.images import pack
from dgreid.images.config import ImageConfig
from dgreid.images.pack import WORDS, Pack, add, load
from helpers import tables
from helpers.damage import damaged

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
        rows.append({"path": path})
    note(folder, rows)
    return rows


def note(folder, rows):
    """Write the manifest of images as they are."""
    hashes = [hashlib.sha256(open_image(folder, row["path"]).tobytes()).digest() for row in rows]
    frame = pd.DataFrame(rows).assign(pixel_sha256=hashes)
    tables.write(folder / "data/manifests/drawn/images.parquet", frame, IMAGES)


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


def test_an_image_that_changed_after_the_manifest_is_not_packed(drawn, tmp_path):
    path = tmp_path / drawn[1]["path"]  # a PNG
    before = path.read_bytes()
    picture = Image.open(path).convert("RGB")
    picture.putpixel((0, 0), tuple(value ^ 1 for value in picture.getpixel((0, 0))))
    picture.save(path)
    with pytest.raises(
        UserError, match=r"001\.png: its pixels are not those that the manifest was made from"
    ):
        Pack.open("drawn", IMAGE)
    assert not list((tmp_path / "data/packs").glob("*.npy"))
    path.write_bytes(before)
    assert len(Pack.open("drawn", IMAGE)) == 7


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
from dgreid.images.config import ImageConfig
from dgreid.images import pack
load = pack.load
pack.CHUNK, pack.images_root = 2, lambda name: Path(sys.argv[1])
pack.load = lambda *args: time.sleep(0.05) or load(*args)
pack.Pack.open("drawn", ImageConfig(name="small", height=32, width=16))
"""


def killed(tmp_path, chunks):
    """Start a build in another process and kill it after some chunks; returns how many images it finished."""
    packs = tmp_path / "data/packs"
    process = subprocess.Popen([sys.executable, "-c", SLOW, tmp_path], cwd=tmp_path, env=os.environ)
    limit = time.time() + 60

    def done():
        marks = list(packs.glob("*.done"))
        return json.loads(marks[0].read_text())["images"] if marks else 0

    while done() < 2 * chunks and time.time() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(packs.glob("*.npy"))  # half a pack is no pack
    return done()


@pytest.fixture
def counted(monkeypatch):
    """The paths that `load` is asked for."""
    asked = []
    monkeypatch.setattr(pack, "load", lambda *args: asked.append(args[1]) or load(*args))
    return asked


def test_a_killed_build_goes_on_where_it_was(drawn, tmp_path, counted):
    rows = draw(tmp_path, count=60)
    finished = killed(tmp_path, 3)
    assert 6 <= finished < 60
    resumed = Pack.open("drawn", IMAGE)
    assert counted == [row["path"] for row in rows[finished:]]
    content = resumed.path.read_bytes()
    assert [path.name for path in (tmp_path / "data/packs").iterdir() if path.suffix != ".lock"] == [
        resumed.path.name
    ]
    resumed.path.unlink()
    assert Pack.open("drawn", IMAGE).path.read_bytes() == content  # as if it had never been interrupted
    assert len(counted) == 60 - finished + 60


def test_a_part_of_other_images_or_another_size_is_not_continued(drawn, tmp_path, counted):
    draw(tmp_path, count=60)
    killed(tmp_path, 2)
    (part,) = (tmp_path / "data/packs").glob("*.part")
    draw(tmp_path, count=60, seed=1)
    Pack.open("drawn", IMAGE.model_copy(update={"height": 64}))
    assert len(counted) == 60 and part.exists()  # another size: that part may be continued yet
    opened = Pack.open("drawn", IMAGE)
    assert len(counted) == 120 and not list((tmp_path / "data/packs").glob("*.part"))
    assert (opened[np.array([0])][0] == load(tmp_path, "images/000.jpg", IMAGE)).all()


@pytest.mark.parametrize("mark", ["", "no number", "9999", "-2"])
def test_a_part_that_cannot_be_trusted_is_begun_again(drawn, tmp_path, counted, mark):
    draw(tmp_path, count=20)
    killed(tmp_path, 2)
    (done,) = (tmp_path / "data/packs").glob("*.done")
    done.write_text(mark)
    Pack.open("drawn", IMAGE)
    assert len(counted) == 20


def test_a_mark_without_its_part_is_forgotten(drawn, tmp_path, counted, monkeypatch):
    path = Pack.open("drawn", IMAGE).path
    path.unlink()
    done = path.with_name(path.name + ".done")
    done.write_text("7")
    (tmp_path / drawn[0]["path"]).write_bytes(b"not an image")
    with pytest.raises(UserError, match="000"):  # killed or failed before the first mark of its own
        Pack.open("drawn", IMAGE)
    assert not done.exists()


def test_a_part_somebody_is_at_work_on_stays(drawn, tmp_path):
    first = Pack.open("drawn", IMAGE).path
    other = first.with_name("drawn-32x16-0123456789ab.npy.part")
    other.touch()
    first.unlink()
    with FileLock(first.with_name("drawn-32x16-0123456789ab.lock")):
        Pack.open("drawn", IMAGE)
    assert other.exists()
    first.unlink()
    Pack.open("drawn", IMAGE)
    assert not other.exists()


def test_a_turned_image_is_turned_back_in_the_pack_as_alone(drawn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    path = tmp_path / drawn[0]["path"]
    Image.open(path).copy().save(path, exif=exif, quality=95)
    note(tmp_path, drawn)
    expected = ImageOps.exif_transpose(Image.open(path)).resize((16, 32), Image.Resampling.BICUBIC)
    opened = Pack.open("drawn", IMAGE)
    assert (opened[np.array([0])][0] == np.asarray(expected)).all()
    assert (opened[np.array([0])][0] == load(tmp_path, drawn[0]["path"], IMAGE)).all()
    assert (opened[np.array([0])][0] != np.asarray(Image.open(path).resize((16, 32)))).any()


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
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"-32x16-\w+\.npy needs 10\.8 kB and data/packs has 100 bytes free"):
        Pack.open("drawn", IMAGE)
    assert not list((tmp_path / "data/packs").glob("*.npy"))


def test_a_damaged_pack_is_built_again(drawn, counted, caplog):
    """Whatever happened to it; nothing but the right pixels comes out."""
    path = Pack.open("drawn", IMAGE).path
    content, expected = path.read_bytes(), np.load(path)
    built = 0
    for way, bad in damaged(content, flips=40):
        path.unlink()
        path.write_bytes(bad)
        counted.clear()
        caplog.clear()
        opened = Pack.open("drawn", IMAGE)
        assert (opened.images == expected).all(), way
        assert bool(counted) == ("is damaged, or of an earlier version: it is built again" in caplog.text)
        built += bool(counted)
    assert built > 40


@pytest.mark.parametrize("other", [np.zeros((7, 32, 16, 3), np.uint8), np.zeros((7, 32, 16, 3)), np.zeros(3)])
def test_an_array_that_is_no_pack_of_ours_is_built_again(drawn, other):
    path = Pack.open("drawn", IMAGE).path
    expected = np.load(path)
    path.unlink()
    np.save(path, other)
    assert (Pack.open("drawn", IMAGE).images == expected).all()


def test_a_pack_is_read_to_its_end_once_in_a_process(drawn, monkeypatch):
    first = Pack.open("drawn", IMAGE)
    monkeypatch.setattr(pack, "_checked", set())  # as another process
    blocks = []
    monkeypatch.setattr(
        pack, "add", lambda total, at, block: blocks.append(len(block)) or add(total, at, block)
    )
    for _ in range(3):
        assert Pack.open("drawn", IMAGE).path == first.path
    assert sum(blocks) == first.images.size


def test_a_damaged_part_is_not_continued(drawn, tmp_path, counted):
    draw(tmp_path, count=60)
    killed(tmp_path, 3)
    (part,) = (tmp_path / "data/packs").glob("*.part")
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    part.write_bytes(content)
    opened = Pack.open("drawn", IMAGE)
    assert len(counted) == 60
    assert (opened[np.array([0])][0] == load(tmp_path, "images/000.jpg", IMAGE)).all()


@pytest.mark.parametrize("size", [8, 1001, 8 * WORDS - 3, 8 * WORDS, 16 * WORDS + 40])
def test_the_checksum_does_not_depend_on_parts_and_sees_every_change(size):
    rng = np.random.default_rng(0)
    content = rng.bytes(size)
    whole = add(0, 0, content)
    for cut in {0, 8, size // 16 * 8, (size - 1) // 8 * 8}:
        assert add(add(0, 0, content[:cut]), cut, content[cut:]) == whole
    for at in {0, size - 1, *rng.integers(0, size, 50).tolist()}:
        for bit in range(8):
            changed = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            assert add(0, 0, changed) != whole
    zeros = content[: size // 2] + bytes(size - size // 2)
    swapped = content[size // 2 :] + content[: size // 2]
    assert len({whole, add(0, 0, zeros), add(0, 0, swapped), add(0, 0, bytes(size))}) == 4
