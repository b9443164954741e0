import random

import numpy as np
import pytest
import torch

from dgreid.runs.run import chosen
from dgreid.training.checkpoint import Checkpoint, fingerprint, random_state, set_random_state
from helpers import tiny


@pytest.fixture
def method():
    return tiny.set_up(tiny.config("erm"))[0]


def test_progress_and_weights_come_back(method, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run" / "last.pt", "print")
    assert checkpoint.load(method) is None
    checkpoint.save(method, {"iteration": 3, "sums": {"loss": torch.tensor(1.5, dtype=torch.float64)}})
    expected = {key: value.clone() for key, value in method.state_dict().items()}
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
