import re
import shutil

import pytest

from dgreid import params, schema
from dgreid.datasets.config import load_dataset
from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.images.config import ImageConfig
from dgreid.methods.recipe import RecipeConfig
from dgreid.paths import PARAMS
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import load_run

BASE = ["method=erm", "backbone=resnet_tiny", "protocol=miniature"]


@pytest.mark.parametrize("group", ["dataset", "protocol"])
def test_every_shipped_data_file_validates(root, group):
    load = {"dataset": load_dataset, "protocol": load_protocol}[group]
    names = params.names(group)
    assert len(names) >= 2
    for name in names:
        assert load(name).name == name


@pytest.mark.parametrize("group", ["method", "backbone", "recipe", "image"])
def test_every_shipped_choice_composes(root, group):
    names = params.names(group)
    assert names
    for name in names:
        words = dict(word.split("=") for word in BASE) | {group: name}
        run = load_run([f"{key}={value}" for key, value in words.items()])
        assert getattr(run, group).name == name


def test_every_selection_expands_and_names_its_runs(root):
    import yaml

    from dgreid.selection.matrix import Selection, expand

    for name in params.names("matrices"):
        node = yaml.safe_load((PARAMS / "matrices" / f"{name}.yaml").read_text())
        matrix = expand(schema.validate(Selection, {"name": name, **node}))
        for run, item in matrix["runs"].items():
            plain = "{method}-{backbone}-{protocol}-s{seed}".format(**item)
            assert re.fullmatch(f"{plain}(-[0-9a-f]{{6}})?", run)  # the hash of what departs from files
            assert run != plain or not item["changes"]


def test_the_protocol_proposes_recipe_and_image_and_the_user_overrides(root):
    protocol = load_protocol("miniature")
    assert load_run(BASE).recipe.name == protocol.recipe
    words = [*BASE, "recipe=metabin", "image=256x128", "seed=3", "method.learning_rate=0.5"]
    changed = load_run(words)
    assert (changed.recipe.name, changed.image.height, changed.seed) == ("metabin", 256, 3)
    assert changed.method.learning_rate == 0.5
    assert re.fullmatch("erm-resnet_tiny-miniature-s3-[0-9a-f]{6}", changed.run)
    assert load_run([*BASE, "recipe=miniature", "image=64x32"]).run == "erm-resnet_tiny-miniature-s0"


def test_a_run_with_changes_has_a_name_of_its_own(root):
    names = {load_run([*BASE, *words]).run for words in ([], ["recipe.epochs=2"], ["recipe.epochs=3"])}
    assert len(names) == 3
    one, other = "recipe.epochs=2", "method.margin=1"
    assert load_run([*BASE, one, other]).run == load_run([*BASE, other, one]).run


def test_a_method_may_bring_its_own_recipe_and_image(root):
    words = ["method=qaconv", "backbone=resnet50", "protocol=m3l_market", "recipe=own", "image=own"]
    run = load_run(words)
    assert (run.recipe.name, run.image.name) == ("qaconv", "384x128")
    assert run.run == load_run([*words[:3], "recipe=qaconv", "image=384x128"]).run  # one run, one name
    assert load_run(words[:3]).recipe.name == load_protocol("m3l_market").recipe  # only if it is asked for
    proposed = load_run(["method=m3l", "backbone=resnet50_m3l", "protocol=m3l_market", "recipe=own"])
    assert proposed.run == "m3l-resnet50_m3l-m3l_market-s0"  # its own is what the protocol proposes


def test_a_selection_may_take_the_own_recipe_of_each_method(root):
    from dgreid.selection.matrix import Selection, expand

    block = {"methods": ["metabin", "snr"], "backbones": ["resnet50"], "protocols": ["lda_p1"], "seeds": [0]}
    node = {"name": "x", "title": "", "blocks": [block | {"recipe": "own"}]}
    runs = expand(schema.validate(Selection, node))["runs"].values()
    assert [(run["method"], run["recipe"]) for run in runs] == [("metabin", "metabin"), ("snr", "snr")]


def test_every_own_recipe_and_image_of_a_method_exists(root):
    for name in params.names("method"):
        node = params.read("method", name)
        assert node.get("recipe", "m3l") in params.names("recipe"), name
        assert node.get("image", "64x32") in params.names("image"), name


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*BASE, "recipe=own"], "recipe=own: params/method/erm.yaml names no recipe of its own"),
        ([*BASE, "image=own"], "image=own: .* names no image of its own"),
        ([*BASE, "method.recipe=m3l"], "'method.recipe=m3l' would not change the run: say recipe=m3l"),
        (["method=_erm", *BASE[1:]], "unknown method '_erm': did you mean 'erm'"),
        (["method=metabim", *BASE[1:]], "unknown method 'metabim': did you mean 'metabin'"),
        (BASE[1:], "which method"),
        ([*BASE, "methid.x=1"], "did you mean 'method'"),
        ([*BASE, "method.learning_rte=1"], "did you mean 'learning_rate'"),
        ([*BASE, "recipe.epochz=1"], "did you mean 'epochs'"),
        ([*BASE, "recipe.epochs=many"], "recipe.epochs: .*'many'"),
        ([*BASE, "seed=-1"], "seed"),
        ([*BASE, "recipe.epochs=[1"], "cannot be composed"),
        ([*BASE, "word"], "'word' is not of the form key=value"),
        ([*BASE, "recipe=../recipe/metabin"], "unknown recipe"),
    ],
)
def test_a_wrong_word_is_one_sentence(root, words, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        load_run(words)
    assert "\n" not in str(caught.value)


def test_an_unknown_dataset_names_the_nearest(root):
    with pytest.raises(UserError, match="did you mean 'market1501'"):
        load_dataset("market1051")


@pytest.mark.parametrize(
    ("group", "model", "spared"),
    [
        ("recipe", RecipeConfig, {"name"}),  # in the file or its base
        ("image", ImageConfig, {"name", "views"}),
    ],
)
def test_every_number_of_a_run_stands_in_its_file(root, group, model, spared):
    # DVC tracks the files: a default in the code could change without anything being trained again
    for name in params.names(group):
        assert set(params.read(group, name)) >= set(model.model_fields) - spared, name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1,\n  2\n", "cannot be read: expected .* in line 3"),
        ("- a\n- b\n", "holds a list"),
        ("word", "title: Field required"),
        ("\0", "cannot be read"),
        ("", "title: Field required"),
    ],
)
@pytest.mark.parametrize("group", ["dataset", "protocol"])
def test_a_broken_file_is_named(tmp_path, monkeypatch, group, text, sentence):
    monkeypatch.setattr(params, "PARAMS", tmp_path)
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(text)
    load = {"dataset": load_dataset, "protocol": load_protocol}[group]
    with pytest.raises(UserError, match=sentence) as caught:
        load("mine")
    assert "mine" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("group", ["recipe", "method"])
def test_a_list_where_a_run_needs_a_mapping(root, tmp_path, monkeypatch, group):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    name = {"method": "erm", "recipe": "metabin"}[group]
    (tmp_path / f"params/{group}/{name}.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match=f"{group}/{name}.yaml holds a list"):
        load_run([*BASE, "recipe=metabin"])


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5", ""])
def test_threads_must_be_a_number(monkeypatch, value):
    monkeypatch.setenv("DGREID_THREADS", value)
    with pytest.raises(UserError, match=f"DGREID_THREADS={value} .*1 or more"):
        threads()


def test_threads_are_one_unless_told(monkeypatch):
    monkeypatch.delenv("DGREID_THREADS", raising=False)
    assert threads() == 1
    monkeypatch.setenv("DGREID_THREADS", "3")
    assert threads() == 3
