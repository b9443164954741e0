import random

import numpy as np
import pytest
import torch
from torch import nn

from dgreid.errors import UserError
from dgreid.methods.erm import ERM
from dgreid.runs.rehearsal import check_disk, rehearse
from dgreid.runs.run import record
from helpers import tiny
from helpers.tiny import snapshot


@pytest.fixture
def ready():
    """A method before its training, what run.yaml will say of it, and a few images."""
    run = tiny.config("erm")
    method, task, _ = tiny.set_up(run)
    return method, record(run, task, {}), torch.randn(4, 3, tiny.HEIGHT, tiny.WIDTH)


def test_nothing_of_the_training_is_touched(ready):
    method, facts, images = ready
    before = snapshot(method)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    modes = [part.training for part in method.modules()]
    rehearse(method, facts, images)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert [part.training for part in method.modules()] == modes


def test_a_head_of_a_size_that_run_yaml_does_not_tell_is_refused_before_the_training(ready):
    method, facts, images = ready
    method.head = nn.Linear(3, 5)
    with pytest.raises(UserError, match=r"could not be loaded after its training.*head\.weight.*Task holds"):
        rehearse(method, facts, images)


@pytest.mark.parametrize(
    ("name", "broken", "sentence"),
    [
        ("embed", lambda self, x: x.mean((1, 2, 3)), "embeds a batch, not image by image"),
        ("embed", lambda self, x: (x, x), "embeds a batch, not image by image"),
        ("embed", lambda self, x: x, "have 3 axes, .* and a cosine compares vectors"),
        ("embed", lambda self, x: torch.full((len(x), 2), float("nan")), "before any training .* not finite"),
        ("similarity", lambda self, q, g: q @ q.T, "`similarity` of 2 and 4 embeddings is .2, 2."),
        ("similarity", lambda self, q, g: q @ g.T / 0.0, "or not finite"),
    ],
)
def test_what_could_not_be_evaluated_is_refused_before_the_training(
    ready, monkeypatch, name, broken, sentence
):
    monkeypatch.setattr(ERM, name, broken)
    with pytest.raises(UserError, match=sentence):
        rehearse(*ready)


def test_a_disk_too_full_for_checkpoints_or_the_model_is_said_first(ready, tmp_path, monkeypatch):
    method, *_ = ready
    model = sum(value.numel() * value.element_size() for value in method.state_dict().values())

    def free(size):
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": size}))

    free(4 * model)  # two checkpoints of weights and their momentum
    check_disk(method, tmp_path / "last.pt", tmp_path / "run", saves=True)
    free(3 * model)
    check_disk(method, tmp_path / "last.pt", tmp_path / "run", saves=False)
    with pytest.raises(UserError, match=r"for its checkpoints, needs [\d.]+ MB and .* has [\d.]+ MB free"):
        check_disk(method, tmp_path / "last.pt", tmp_path / "run", saves=True)
    (tmp_path / "last.pt").touch()  # one of them is there
    check_disk(method, tmp_path / "last.pt", tmp_path / "run", saves=True)
    free(model // 2)
    with pytest.raises(UserError, match=r"for its model, needs [\d.]+ MB"):
        check_disk(method, tmp_path / "last.pt", tmp_path / "run", saves=False)
