import pytest
import torch
import yaml

from dgreid.errors import UserError
from dgreid.methods.base import Task
from dgreid.paths import RUNS
from dgreid.runs.run import Misfit, build, configuration_hash, decisive, find, rebuilt, record, restore
from helpers import tiny, trained_run

MEMBERS = torch.tensor([[1, 1, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config(**changes):
    return tiny.config("erm").model_copy(update=changes)


def test_a_run_is_found_by_its_name_and_else_the_nearest_is_named():
    trained_run.make("erm-tiny-toy-s0", config())
    assert find("erm-tiny-toy-s0") == RUNS / "erm-tiny-toy-s0"
    with pytest.raises(UserError, match="unknown run 'erm-tiny-toy-s1': did you mean 'erm-tiny-toy-s0'"):
        find("erm-tiny-toy-s1")


def test_a_trained_method_comes_back_in_eval_mode():
    made = trained_run.make("mine", config())
    method, facts = restore(RUNS / "mine")
    assert not method.training and facts["run"] == config().run
    images = torch.randn(3, 3, tiny.HEIGHT, tiny.WIDTH)
    torch.testing.assert_close(method.embed(images), made.embed(images), rtol=0, atol=0)


def test_the_task_comes_back_with_the_identities_of_every_domain():
    run = config()
    size = run.image.height, run.image.width
    task = Task(6, 3, 20, 10, MEMBERS, size, ("a", "b", "c"), 40)
    facts = record(run, task, {"sha256": "0"})
    assert facts["training"]["membership"] == ["0-2, 5", "3", ""]
    found = rebuilt(yaml.safe_load(yaml.safe_dump(facts))).task
    assert torch.equal(found.membership, MEMBERS)
    assert found._replace(membership=None) == task._replace(membership=None)


def test_what_differs_between_repetitions_is_not_recorded():
    task = Task(4, 2, 2, 2)
    assert record(config(), task, {}) == record(config(), task, {})
    assert record(config(), task, {})["config"]["protocol"] == config().protocol.name


def test_only_what_decides_the_result_is_hashed():
    run = config()
    titled = run.model_copy(update={"method": run.method.model_copy(update={"title": "Another"})})
    assert configuration_hash(titled) == configuration_hash(run)
    assert configuration_hash(config(seed=1)) != configuration_hash(run)
    assert "title" not in decisive(run)["method"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda facts: facts.pop("training"),
        lambda facts: facts["training"].pop("classes"),
        lambda facts: facts["training"].update(membership=["0-x"]),
        lambda facts: facts["training"].update(membership=["0-99"], classes="many"),
        lambda facts: facts["config"].pop("recipe"),
        lambda facts: facts["config"]["method"].update(code="gone"),
        lambda facts: facts["config"]["backbone"].update(depth=5),
    ],
)
def test_facts_that_no_method_of_this_version_can_be_built_from(damage):
    trained_run.make("mine", config())
    path = RUNS / "mine/run.yaml"
    facts = yaml.safe_load(path.read_text())
    damage(facts)
    with pytest.raises(Misfit):
        rebuilt(facts)
    path.write_text(yaml.safe_dump(facts))
    with pytest.raises(UserError, match=r"mine: its run\.yaml is damaged or from another version"):
        restore(RUNS / "mine")


def test_tensors_of_another_network_are_one_sentence():
    trained_run.make("mine", config())
    path = RUNS / "mine/run.yaml"
    facts = yaml.safe_load(path.read_text())
    facts["training"] |= {"classes": 9, "membership": []}
    path.write_text(yaml.safe_dump(facts))
    with pytest.raises(UserError, match=r"its model\.safetensors is damaged or from another version"):
        restore(RUNS / "mine")


def test_weights_may_be_left_out_although_the_recipe_names_some():
    run = config()
    recipe = run.recipe.model_copy(update={"weights": "nowhere/weights.pth"})
    task = Task(4, 2, 2, 2, image=(tiny.HEIGHT, tiny.WIDTH))
    with pytest.raises(UserError, match="nowhere"):
        build(run.method, run.backbone, recipe, task)
    assert build(run.method, run.backbone, recipe, task, weights="none").task is task
