import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

import tiny
from dgreid.embedding import embed
from dgreid.errors import UserError
from dgreid.images.augment import normalise
from dgreid.methods.base import Training
from dgreid.stages import train


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tiny.config("erm")
    training = Training(classes=4, domains=2, iterations=2, iterations_per_epoch=2)
    method = train.build(config.method, config.backbone, config.recipe, training)
    folder = train.RUNS / "mine"
    folder.mkdir(parents=True)
    save_file(
        {name: value.contiguous() for name, value in method.state_dict().items()},
        folder / "model.safetensors",
    )
    (folder / "run.yaml").write_text(yaml.safe_dump(train.record(config, training, {})))
    rng = np.random.default_rng(0)
    for name in ("b.png", "deep/a.JPG", "deep/note.txt"):
        path = tmp_path / "crops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.touch()
        else:
            Image.fromarray(rng.integers(0, 256, (48, 20, 3), dtype=np.uint8)).save(path)
    return method.eval(), tmp_path


def test_one_row_per_image_equal_to_the_method(project):
    method, folder = project
    frame = pd.read_parquet(embed("mine", folder / "crops", folder / "out.parquet"))
    assert list(frame.path) == ["b.png", "deep/a.JPG"]
    picture = Image.open(folder / "crops/b.png").resize((tiny.WIDTH, tiny.HEIGHT), Image.Resampling.BICUBIC)
    with torch.no_grad():
        expected = method.embed(normalise(torch.from_numpy(np.asarray(picture).copy())[None]))[0]
    assert np.allclose(frame.embedding[0], expected, atol=1e-5)


def test_errors_are_sentences(project):
    _, folder = project
    with pytest.raises(UserError, match="did you mean 'mine'"):
        embed("mein", folder / "crops", folder / "out.parquet")
    with pytest.raises(UserError, match="not a folder"):
        embed("mine", folder / "nowhere", folder / "out.parquet")
    (folder / "crops/b.png").write_bytes(b"no")
    with pytest.raises(UserError, match=r"b\.png: corrupt image"):
        embed("mine", folder / "crops", folder / "out.parquet")
    assert not (folder / "out.parquet").exists()
