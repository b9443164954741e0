import json

import pandas as pd
import pytest
import torch
import yaml

from dgreid.errors import UserError
from dgreid.files import sha256
from dgreid.runs import folder
from dgreid.runs.folder import check_trained, read_cost, read_facts, read_history, read_model

STATE = {"weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(4)}
HISTORY = pd.DataFrame({"iteration": [5, 10], "epoch": [0.5, 1.0], "loss": [2.0, 1.5]})
FACTS = {"run": "mine", "config": {"seed": 0}}
COST = {"seconds": 3.5, "device": "cpu"}


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "mine"
    folder.write(path, STATE, FACTS, HISTORY, COST)
    return path


def test_what_is_written_is_read(run):
    facts = read_facts(run)
    assert {key: facts[key] for key in FACTS} == FACTS
    read = read_model(run, facts)
    assert read.keys() == STATE.keys() and all(torch.equal(read[key], STATE[key]) for key in STATE)
    pd.testing.assert_frame_equal(read_history(run, facts), HISTORY)
    assert read_cost(run) == COST
    check_trained(run)


def test_run_yaml_has_the_hashes_of_what_cannot_be_sealed(run):
    files = read_facts(run)["files"]
    assert files == {name: sha256(run / name) for name in ("model.safetensors", "history.csv")}


def test_the_same_training_gives_the_same_bytes(run, tmp_path):
    folder.write(tmp_path / "again", STATE, FACTS, HISTORY, COST)
    for path in run.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


READERS = {
    "run.yaml": lambda run, facts: read_facts(run),
    "model.safetensors": read_model,
    "history.csv": read_history,
    "cost.json": lambda run, facts: read_cost(run),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_damage_is_one_sentence_that_says_how_to_get_the_file_again(run, name, damage):
    facts, path = read_facts(run), run / name
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:middle])
    else:
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(UserError, match=rf"mine: its {name} is .*`dvc repro train@mine`.*`dvc checkout`"):
        READERS[name](run, facts)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.yaml", "config: a word"),
        ("run.yaml", "run: mine"),
        ("run.yaml", yaml.safe_dump(FACTS | {"files": ["model.safetensors"]})),
        ("history.csv", "iteration,loss\n1,2.0\n"),
        ("history.csv", "iteration,epoch,loss\n1,1,much\n"),
        ("cost.json", json.dumps([1])),
    ],
)
def test_a_file_of_another_form_is_refused(run, name, text):
    """Also without a seal or hash, as earlier versions wrote them."""
    (run / name).write_text(text)
    with pytest.raises(UserError, match=f"its {name} is "):
        READERS[name](run, FACTS)


def test_a_folder_without_a_model_is_not_trained(run):
    (run / "model.safetensors").unlink()
    with pytest.raises(UserError, match="mine holds no trained model: train the run first"):
        check_trained(run)
