import errno
import json
import logging
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from dgreid.errors import UserError
from dgreid.files import sha256
from dgreid.images.normalise import normalise
from dgreid.inference import embed as embedding
from dgreid.inference.embed import Embedder, embed
from dgreid.methods.erm import ERM
from helpers import tiny, trained_run


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    method = trained_run.make("mine", tiny.config("erm"))
    trained_run.crops(tmp_path / "crops", ["b.png", "deep/a.JPG"])
    (tmp_path / "crops/deep/note.txt").touch()
    (tmp_path / "crops/folder.png").mkdir()
    return method, tmp_path


def test_one_row_per_image_equal_to_the_method(project):
    method, folder = project
    big = Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 20, 3), dtype=np.uint8))
    big.save(folder / "crops/b.png")
    frame = pd.read_parquet(embed("mine", folder / "crops", folder / "out.parquet"))
    assert list(frame.path) == ["b.png", "deep/a.JPG"]
    picture = big.resize((tiny.WIDTH, tiny.HEIGHT), Image.Resampling.BICUBIC)
    with torch.no_grad():
        expected = method.embed(normalise(torch.from_numpy(np.asarray(picture).copy())[None]))[0]
    assert np.allclose(frame.embedding[0], expected, atol=1e-5)


def test_the_file_says_what_made_it(project):
    _, folder = project
    facts = pq.read_schema(embed("mine", folder / "crops", folder / "out.parquet")).metadata
    assert facts[b"run"] == b"mine"
    assert facts[b"model_sha256"].decode() == sha256("data/runs/mine/model.safetensors")
    assert json.loads(facts[b"shape"]) == [128]
    assert facts[b"folder"].decode() == str(folder / "crops")


def test_a_method_that_adapts_says_that_here_it_does_not(project, monkeypatch, caplog):
    _, folder = project
    plain = pd.read_parquet(embed("mine", folder / "crops", folder / "plain.parquet"))
    assert "mine adapts" not in caplog.text
    monkeypatch.setattr(ERM, "adapt", lambda self, images: pytest.fail("there are no cameras"))
    again = pd.read_parquet(embed("mine", folder / "crops", folder / "again.parquet"))
    assert plain.equals(again)
    (said,) = [text for text in map(logging.LogRecord.getMessage, caplog.records) if "adapts to" in text]
    assert said.startswith("run mine adapts to each camera's images") and "scores in tables" in said


def test_batches_and_row_groups_do_not_show(project, monkeypatch):
    _, folder = project
    trained_run.crops(folder / "crops", [f"{number:02d}.png" for number in range(11)])
    whole = pd.read_parquet(embed("mine", folder / "crops", folder / "whole.parquet"))
    monkeypatch.setattr(embedding, "BATCH", 3)
    monkeypatch.setattr(embedding, "READ_AT_ONCE", 4)
    monkeypatch.setattr(embedding, "ROW_GROUP", 5 * 128 * 4)
    path = embed("mine", folder / "crops", folder / "parts.parquet")
    parts = pd.read_parquet(path)
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [6, 6, 1]
    assert list(parts.path) == list(whole.path) and len(parts) == 13
    assert np.allclose(np.stack(parts.embedding), np.stack(whole.embedding), atol=1e-5)


def test_embeddings_of_several_axes_are_stored_row_by_row(project, monkeypatch):
    method, folder = project
    pooled = nn.AdaptiveAvgPool2d((2, 1))
    monkeypatch.setattr(ERM, "embed", lambda self, images: pooled(self.network.backbone(images)))
    path = embed("mine", folder / "crops", folder / "out.parquet")
    assert json.loads(pq.read_schema(path).metadata[b"shape"]) == [128, 2, 1]
    pixels = np.array(Image.open(folder / "crops/b.png"))[None]
    with torch.no_grad():
        expected = pooled(method.network.backbone(normalise(torch.from_numpy(pixels))))[0]
    stored = np.reshape(pd.read_parquet(path).embedding[0], (128, 2, 1))
    assert np.allclose(stored, expected, atol=1e-5)


@pytest.mark.parametrize("broken", [lambda self, x: (x, x), lambda self, x: x.mean((1, 2, 3)), None])
def test_embeddings_that_cannot_be_stored_are_refused(project, monkeypatch, broken):
    _, folder = project
    sentence = "embeds a batch"
    if broken is None:
        sentence = r"b\.png: run mine gives an embedding that is not finite"
        broken = lambda self, x: torch.full((len(x), 2), float("nan"))  # noqa: E731
    monkeypatch.setattr(ERM, "embed", broken)
    with pytest.raises(UserError, match=sentence):
        embed("mine", folder / "crops", folder / "out.parquet")
    assert not (folder / "out.parquet").exists()


def test_errors_are_sentences(project):
    _, folder = project
    with pytest.raises(UserError, match="did you mean 'mine'"):
        embed("mein", folder / "crops", folder / "out.parquet")
    for unfinished in (".tmp-mine", "torso"):  # a killed training; a model that is elsewhere
        (folder / "data/runs" / unfinished / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=r"Known: mine\.$"):
        embed("nope", folder / "crops", folder / "out.parquet")
    with pytest.raises(UserError, match="not a folder"):
        embed("mine", folder / "nowhere", folder / "out.parquet")
    with pytest.raises(UserError, match="is a folder"):
        embed("mine", folder / "crops", folder)
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        embed("mine", folder / "empty", folder / "out.parquet")
    assert not (folder / "out.parquet").exists()


def test_unreadable_images_are_all_named_before_anything_is_embedded(project, monkeypatch, caplog):
    _, folder = project
    (folder / "crops/bad.png").write_bytes(b"no")
    whole = (folder / "crops/b.png").read_bytes()
    (folder / "crops/deep/cut.png").write_bytes(whole[:-60])
    monkeypatch.setattr(Embedder, "batches", None)
    with pytest.raises(UserError, match=r"2 of 4 images cannot be read: bad\.png, deep/cut\.png; .*--skip"):
        embed("mine", folder / "crops", folder / "out.parquet")
    assert not (folder / "out.parquet").exists()

    monkeypatch.undo()
    monkeypatch.chdir(folder)
    frame = pd.read_parquet(embed("mine", folder / "crops", folder / "out.parquet", skip_unreadable=True))
    assert list(frame.path) == ["b.png", "deep/a.JPG"] and "leaving them out" in caplog.text
    for name in ("b.png", "deep/a.JPG"):
        (folder / "crops" / name).write_bytes(b"no")
    with pytest.raises(UserError, match="4 of 4 images cannot be read"):
        embed("mine", folder / "crops", folder / "out.parquet", skip_unreadable=True)


def test_a_long_list_of_unreadable_images_is_cut(project):
    _, folder = project
    for number in range(12):
        (folder / f"crops/x{number:02d}.png").touch()
    with pytest.raises(UserError, match=r"x09\.png and 2 more; x00\.png: corrupt image \(not an im"):
        embed("mine", folder / "crops", folder / "out.parquet")


def test_crops_are_found_through_links_and_what_is_not_taken_is_said(project, caplog):
    _, folder = project
    (folder / "crops/linked").symlink_to(folder / "crops/deep")
    trained_run.crops(folder / "elsewhere", ["c.png"])
    (folder / "crops/cam2").symlink_to(folder / "elsewhere")
    (folder / "crops/.ipynb_checkpoints").mkdir()
    frame = pd.read_parquet(embed("mine", folder / "crops", folder / "out.parquet"))
    assert list(frame.path) == ["b.png", "cam2/c.png", "deep/a.JPG"]
    (said,) = [message for message in caplog.messages if "not taken" in message]
    assert ".ipynb_checkpoints (hidden)" in said and "deep/note.txt (no image by its suffix)" in said
    assert "linked (link to a folder taken already)" in said


def test_an_image_that_may_not_be_read_is_not_called_damaged(project, monkeypatch):
    _, folder = project
    path = os.open

    def refuse(name, *arguments, **more):
        if str(name).endswith("b.png"):
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return path(name, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"b\.png: cannot be read \(Permission denied\); fix that"):
        embed("mine", folder / "crops", folder / "out.parquet")
