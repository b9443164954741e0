import random
import resource

import numpy as np
import pytest
import torch

from dgreid import trouble
from dgreid.runs.run import chosen
from dgreid.sealed import Unreadable
from dgreid.training.checkpoint import Checkpoint, fingerprint, random_state, set_random_state
from helpers import tiny
from helpers.damage import damaged
from helpers.tiny import snapshot


@pytest.fixture
def method():
    return tiny.set_up(tiny.config("erm"))[0]


def test_progress_and_weights_come_back(method, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run" / "last.pt", "print")
    assert checkpoint.load(method) is None
    checkpoint.save(method, {"iteration": 3, "sums": {"loss": torch.tensor(1.5, dtype=torch.float64)}})
    expected = snapshot(method)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
    progress = checkpoint.load(method)
    assert progress == {"iteration": 3, "sums": {"loss": 1.5}}
    assert all(torch.equal(value, expected[key]) for key, value in method.state_dict().items())
    checkpoint.remove()
    assert checkpoint.load(method) is None


def test_other_code_or_settings_start_over(method, tmp_path):
    Checkpoint(tmp_path / "last.pt", "one").save(method, {"iteration": 3})
    assert Checkpoint(tmp_path / "last.pt", "two").load(method) is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file"])
def test_a_damaged_file_starts_over(method, tmp_path, damage):
    path = tmp_path / "last.pt"
    path.write_bytes(damage)
    assert Checkpoint(path, "one").load(method) is None


def same(method, state):
    return all(torch.equal(value, state[name]) for name, value in method.state_dict().items())


def test_a_damaged_checkpoint_never_becomes_another_model(method, tmp_path, caplog):
    """Training starts over with one sentence, or goes on with every bit of what was saved."""
    path = tmp_path / "last.pt"
    Checkpoint(path, "one").save(method, {"iteration": 3})
    saved, content, refused = snapshot(method), path.read_bytes(), 0
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
    fresh = snapshot(method)
    for way, bad in damaged(content, flips=60):
        path.write_bytes(bad)
        caplog.clear()
        method.load_state_dict(fresh)
        progress = Checkpoint(path, "one").load(method)
        if progress is None:
            assert same(method, fresh), way
            (said,) = caplog.messages
            assert str(path) in said and "training starts over" in said and "\n" not in said
            refused += 1
        else:
            assert progress == {"iteration": 3} and same(method, saved), way
    assert refused > 60


def test_what_is_no_checkpoint_of_ours_starts_over(method, tmp_path, caplog):
    path = tmp_path / "last.pt"
    state = {"fingerprint": "one", "progress": None}
    for content in ([1, 2], {"state_dict": {}}, state, "text"):
        torch.save(content, path)  # without a seal
        assert Checkpoint(path, "one").load(method) is None
    assert len(caplog.messages) == 4
    assert caplog.messages[0].startswith(f"{path} is damaged, or not a checkpoint of this version: training")


def test_a_checkpoint_that_cannot_be_read_is_not_overwritten(method, tmp_path):
    (tmp_path / "last.pt").mkdir()  # root reads whatever its mode
    with pytest.raises(Unreadable, match=r"last\.pt cannot be read \(Is a directory\)"):
        Checkpoint(tmp_path / "last.pt", "one").load(method)


def test_whoever_takes_a_change_back_goes_on_from_the_checkpoint_before_it(method, tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "run" / "last.pt"
    Checkpoint(path, "one").save(method, {"iteration": 3})
    changed = Checkpoint(path, "two")
    assert changed.load(method) is None and "It is kept as other-one.pt" in caplog.text
    changed.save(method, {"iteration": 1})
    assert Checkpoint(path, "one").load(method) == {"iteration": 3}
    assert changed.load(method) == {"iteration": 1}
    changed.remove()
    assert not path.parent.exists()


def test_a_full_disk_keeps_the_checkpoint_before(method, tmp_path):
    path = tmp_path / "last.pt"
    Checkpoint(path, "one").save(method, {"iteration": 3})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            Checkpoint(path, "one").save(method, {"iteration": 4})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert trouble.sentence(raised.value).startswith(f"{path}: File too large; raise the limit")
    assert Checkpoint(path, "one").load(method) == {"iteration": 3} and [*tmp_path.iterdir()] == [path]


def test_random_states_come_back():
    state = random_state()
    first = random.random(), np.random.rand(), torch.rand(1)
    set_random_state(state)
    assert (random.random(), np.random.rand(), torch.rand(1)) == first


def test_fingerprint_sees_settings_code_data_and_weights(method):
    def of(data="rows", code=None, **changes):
        code = code or {"dgreid/methods/erm.py": "digest"}
        return fingerprint(chosen(tiny.config("erm", **changes)), code, data, method, torch.device("cpu"))

    first = of()
    assert of() == first
    assert of(epochs=3) != first
    assert of(changes={"margin": 0.2}) != first
    assert of("other rows") != first
    assert of(code={"dgreid/methods/erm.py": "another"}) != first
    with torch.no_grad():
        method.network.classifier.weight[0, 0] += 1
    assert of() != first
