import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from dgreid import params, schema
from dgreid.errors import UserError
from dgreid.runs.config import load_run
from dgreid.selection import matrix

ROOT = Path(__file__).parents[2]

BLOCK = {"methods": ["erm"], "backbones": ["resnet_tiny"], "protocols": ["miniature"], "seeds": [0]}


def expand(*blocks):
    node = {"name": "mine", "title": "", "blocks": blocks}
    return matrix.expand(schema.validate(matrix.Selection, node))


@pytest.mark.parametrize("change", [{"recipe": "metabin"}, {"image": "128x64"}])
def test_two_blocks_that_differ_in_recipe_or_image_are_two_runs(root, change):
    runs = expand(BLOCK, BLOCK | change)["runs"]
    assert [item["recipe"] for item in runs.values()] == ["miniature", change.get("recipe", "miniature")]
    assert len(runs) == 2 and next(iter(runs)) == "erm-resnet_tiny-miniature-s0"


def test_blocks_may_overlap_where_they_agree(root):
    runs = expand(BLOCK, BLOCK | {"seeds": [0, 1], "recipe": "miniature"})["runs"]
    assert list(runs) == ["erm-resnet_tiny-miniature-s0", "erm-resnet_tiny-miniature-s1"]


def test_a_whole_axis_and_a_recipe_can_be_replaced(root, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    written = matrix.select("miniature", {"methods": "erm", "seeds": [4], "recipe": "metabin"})
    assert {(run["method"], run["seed"], run["recipe"]) for run in written["runs"].values()} == {
        ("erm", 4, "metabin")
    }
    assert matrix.read() == written


CHANGES = [[], ["method.margin=0.5", "recipe.epochs=3"], ["recipe.milestones=[1, 2]"]]


def test_changes_are_alternatives_and_runs_of_their_own(root):
    runs = expand(BLOCK | {"methods": ["erm", "metabin"], "changes": CHANGES})["runs"]
    assert [item["changes"] for item in runs.values()] == [
        "",
        " method.margin=0.5 recipe.epochs=3",
        " 'recipe.milestones=[1, 2]'",
    ] * 2
    plain = "erm-resnet_tiny-miniature-s0"
    assert len(runs) == 6 and next(iter(runs)) == plain
    assert sum(name.startswith(f"{plain}-") for name in runs) == 2


def test_a_run_depends_on_the_start_that_it_begins_with_and_no_other_run_does(root):
    others = [["recipe.weights=none"], ["recipe.weights=imagenet"], ["recipe.weights=mine.safetensors"]]
    written = expand(BLOCK | {"changes": [[], *others]}, BLOCK | {"backbones": ["mobilenet_v2_x0_25"]})
    tiny, *rest, mobile = [run["start"] for run in written["runs"].values()]
    assert tiny == "data/start/resnet_tiny.safetensors"
    assert mobile == "data/start/mobilenet_v2_x0_25.safetensors"
    assert rest == ["data/start/none"] * 3 and (root / rest[0]).is_file()
    assert written["starts"] == ["mobilenet_v2_x0_25", "resnet_tiny"]
    assert expand(BLOCK | {"changes": others})["starts"] == []


def commands(folder: Path, selected: dict) -> dict[str, str]:
    """The command of every stage item of the project's dvc.yaml on this matrix, as DVC resolves it."""
    from dvc.repo import Repo

    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "params").mkdir()
    (folder / "params/matrix.yaml").write_text(yaml.safe_dump(selected, sort_keys=False))
    return {stage.name: stage.cmd for stage in Repo.init(str(folder), no_scm=True).index.stages}


def test_dvc_makes_each_start_once_and_every_run_names_its_own(root, tmp_path):
    from dvc.repo import Repo

    selected = expand(BLOCK | {"changes": [[], ["recipe.weights=none"]]})
    found = commands(tmp_path, selected)
    assert found["pretrain@resnet_tiny"] == "dgreid pretrain backbone='resnet_tiny'"
    assert sum(name.startswith("pretrain") for name in found) == 1
    stages = {stage.name: stage for stage in Repo(str(tmp_path)).index.stages}
    begun = {run: {str(dep) for dep in stages[f"train@{run}"].deps} for run in selected["runs"]}
    drawn, none = begun.values()
    assert "data/start/resnet_tiny.safetensors" in drawn and "data/start/none" not in drawn
    assert "data/start/none" in none and "data/start/resnet_tiny.safetensors" not in none


def test_dvc_passes_the_changes_on_and_runs_without_keep_their_command(root, tmp_path):
    selected = expand(BLOCK | {"changes": CHANGES})
    resolved = commands(tmp_path, selected)
    for name in selected["runs"]:
        for stage in ("train", "evaluate"):
            words = shlex.split(resolved[f"{stage}@{name}"])
            assert words[:2] == ["dgreid", stage]
            assert load_run(words[2:]).run == name  # the folder dvc.yaml expects
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    plain = "train@erm-resnet_tiny-miniature-s0"
    assert resolved[plain] == lock[plain]["cmd"]  # what was trained before blocks had changes stays so


@pytest.mark.parametrize("word", ["margin=0.5", "method.margin", "method=metabin"])
def test_a_change_is_a_dotted_word(word):
    with pytest.raises(UserError, match=rf"'{word}' is not a change such as method\.gate_learning_rate=0\.2"):
        expand(BLOCK | {"changes": [[word]]})


def test_a_change_of_what_a_method_does_not_have_is_one_sentence(root):
    with pytest.raises(UserError, match="did you mean 'margin'"):
        expand(BLOCK | {"changes": [["method.margim=0.5"]]})


def test_a_change_may_name_one_of_several_weights(root):
    words = ["method=metabin", "backbone=resnet_tiny", "protocol=miniature"]
    run = load_run([*words, "method.meta_train_losses.scatter=0.5"])
    assert run.method.meta_train_losses == {"scatter": 0.5, "shuffle": 1.0, "triplet": 1.0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("blocks: [", "matrices/mine.yaml cannot be read: .*expected .* in line 2"),
        ("- a", "matrices/mine.yaml holds a list"),
        ("title: t", "blocks is missing"),
        ("{title: t, blocks: [a]}", "blocks.0"),
        (yaml.safe_dump({"title": "t", "blocks": [BLOCK | {"seeed": [1]}]}), "did you mean 'seeds'"),
    ],
)
def test_a_broken_selection_is_one_sentence(tmp_path, monkeypatch, text, sentence):
    monkeypatch.setattr(params, "PARAMS", tmp_path)
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    (tmp_path / "matrices").mkdir()
    (tmp_path / "matrices/mine.yaml").write_text(text + "\n")
    with pytest.raises(UserError, match=sentence) as caught:
        matrix.select("mine", {"seeds": [1]})
    assert "\n" not in str(caught.value) and not matrix.MATRIX.exists()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A place for one's own selection: the project's params, and a matrix.yaml beside them."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)

    def write(name="mine", **more):
        node = {"title": "t", "blocks": [BLOCK]} | more
        Path(f"params/matrices/{name}.yaml").write_text(yaml.safe_dump(node))

    return write


@pytest.mark.parametrize("name", ["../../../outside", "../../workflow", "other", "a b", ""])
@pytest.mark.usefixtures("mine")
def test_a_selection_is_named_as_its_file(name):
    path = Path("params/matrices/mine.yaml")
    path.write_text(yaml.safe_dump({"name": name, "title": "t", "blocks": [BLOCK]}))
    with pytest.raises(UserError, match="its name is its file's, mine"):
        matrix.compose("mine", {})


@pytest.mark.parametrize(
    "name", ["../method/erm", "../matrices/mine", "./mine", "/etc/passwd", "mine.yaml", "a b"]
)
def test_a_selection_is_found_by_its_name_alone(mine, name):
    mine()
    mine("a b")
    with pytest.raises(UserError, match="unknown matrix"):
        matrix.compose(name, {})


def test_values_of_every_run_can_be_set(mine):
    mine(blocks=[BLOCK | {"changes": [["recipe.epochs=9"], ["method.margin=0.5"]]}])
    written = matrix.select("mine", {"recipe.milestones": "[1, 2]", "recipe.epochs": "2", "seeds": [3]})
    assert [shlex.split(run["changes"]) for run in written["runs"].values()] == [
        ["recipe.milestones=[1, 2]", "recipe.epochs=2"],
        ["method.margin=0.5", "recipe.milestones=[1, 2]", "recipe.epochs=2"],
    ]
    assert matrix.read() == written
    first = shlex.split(matrix.MATRIX.read_text().splitlines()[0].split("`")[1])
    axes = dict(word.split("=", 1) for word in first[3:])
    assert axes == {"recipe.milestones": "[1, 2]", "recipe.epochs": "2", "seeds": "[3]"}
    for key, value in (("recipe.epochz", "2"), ("recipe.epochs", r"\${seed}"), ("recipe.epochs", "yes")):
        with pytest.raises(UserError, match=r"recipe\.epoch"):
            matrix.compose("mine", {key: value})


def test_more_runs_than_dvc_can_hold_are_refused_at_once(mine):
    mine(blocks=[BLOCK | {"seeds": list(range(20_000))}])
    with pytest.raises(UserError, match="these are 20,000 runs, and 2,000 are the most"):
        matrix.compose("mine", {})


def test_a_file_that_cannot_be_named_is_said_where_it_is_asked_for(mine):
    evil = "m$(touch PWNED)v"
    shutil.copy("params/dataset/mini_viper.yaml", f"params/dataset/{evil}.yaml")
    assert evil not in params.names("dataset")
    with pytest.raises(UserError, match="cannot be named, so rename it"):
        params.read("dataset", evil)
    protocol = yaml.safe_load(Path("params/protocol/miniature.yaml").read_text())
    protocol["sources"] = [{"dataset": evil}]
    Path("params/protocol/miniature.yaml").write_text(yaml.safe_dump(protocol))
    mine()
    with pytest.raises(UserError, match="this is no name"):
        matrix.compose("mine", {})


def written_by_hand(**changes):
    run = {"method": "erm", "backbone": "b", "protocol": "p", "recipe": "r", "image": "i", "seed": 0}
    node = {"name": "mine", "datasets": {}, "protocols": ["p"], "runs": {"a": run}}
    return yaml.safe_dump(node | changes)


@pytest.mark.parametrize(
    "text",
    [
        written_by_hand(runs={}),
        written_by_hand(runs={"a": 1}),
        written_by_hand(runs=["a"]),
        written_by_hand(runs={"a": {"method": "erm"}}),
        written_by_hand(runs={"../a": {}}),
        written_by_hand(name="../../workflow"),
        written_by_hand(protocols=[]),
        written_by_hand(protocols=["a;b"]),
        written_by_hand(datasets={"m$(touch PWNED)v": {"source": "x"}}),
        written_by_hand(drawn=["a b"]),
        written_by_hand(more=1),
    ],
)
def test_a_matrix_of_another_form_is_one_sentence(tmp_path, monkeypatch, text):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    matrix.MATRIX.write_text(written_by_hand())
    assert matrix.read()["name"] == "mine"
    matrix.MATRIX.write_text(text)
    with pytest.raises(UserError, match="was not written by `dgreid select NAME`") as caught:
        matrix.read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "is missing: write it with"),
        ("a: [", "cannot be read"),
        ("- a", "holds a list"),
        ("", "was not written by `dgreid select NAME`"),
        ("name: x\nruns: [a]", "was not written by `dgreid select NAME`"),
    ],
)
def test_a_broken_matrix_is_one_sentence(tmp_path, monkeypatch, text, sentence):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    if text is not None:
        matrix.MATRIX.write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        matrix.read()
    assert "\n" not in str(caught.value)


def test_each_seed_is_the_run_that_its_words_compose(root):
    block = BLOCK | {"seeds": [2, 0], "recipe": "metabin", "changes": [[], ["method.margin=0.5"]]}
    runs = expand(block)["runs"]
    assert [item["seed"] for item in runs.values()] == [2, 2, 0, 0]
    assert all(matrix.config_of(item).run == name for name, item in runs.items())
    with pytest.raises(UserError, match="seeds"):
        expand(BLOCK | {"seeds": [0, -1]})


def test_a_selection_may_take_the_own_recipe_of_each_method(root):
    block = {"methods": ["metabin", "snr"], "backbones": ["resnet50"], "protocols": ["lda_p1"], "seeds": [0]}
    runs = expand(block | {"recipe": "own"})["runs"].values()
    assert [(run["method"], run["recipe"]) for run in runs] == [("metabin", "metabin"), ("snr", "snr")]
