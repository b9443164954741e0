import re
import shutil

import pytest

from dgreid import params
from dgreid.errors import UserError
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import load_run

BASE = ["method=erm", "backbone=resnet_tiny", "protocol=miniature"]


@pytest.mark.parametrize("group", ["backbone", "image"])  # methods and recipes: tests/params
def test_every_shipped_choice_composes(root, group):
    names = params.names(group)
    assert names
    for name in names:
        words = dict(word.split("=") for word in BASE) | {group: name}
        run = load_run([f"{key}={value}" for key, value in words.items()])
        assert getattr(run, group).name == name


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
        (
            [*BASE, "recipe.epochs=[1"],
            r"recipe\.epochs=\[1 has no value that can be read: write a plain number",
        ),
        ([*BASE, "seed=٣"], "seed=٣ has no value that can be read: write a plain number"),
        ([*BASE, "seed='"], "seed=' has no value that can be read"),
        ([*BASE, "method.margin=.inf"], r"method\.margin: a finite number is needed \(got '\.inf'\)"),
        ([*BASE, "recipe.learning_rate_factor=1e7"], "less than or equal to 1000000"),
        ([*BASE, "word"], "'word' is not of the form key=value"),
        (
            [*BASE, "image.train.7.probability=.5"],
            "image.train has entries 0 to 1: override one of these, or all",
        ),
        ([*BASE, "image.train.flip.probability=.5"], "image.train has entries 0 to 1: "),
        ([*BASE, "image.train[0].probability=.5"], "stands behind a dot, as in image.train.0.probability"),
        ([*BASE, "method.losses.2=triplet"], "method.losses has entries 0 to 1"),
        ([*BASE, "recipe=../recipe/metabin"], "unknown recipe"),
        ([*BASE, "method.margin=???"], r"method\.margin is \?\?\?, .*: write one"),
    ],
)
def test_a_wrong_word_is_one_sentence(root, words, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        load_run(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("group", ["recipe", "method"])
def test_a_list_where_a_run_needs_a_mapping(root, tmp_path, monkeypatch, group):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    name = {"method": "erm", "recipe": "metabin"}[group]
    (tmp_path / f"params/{group}/{name}.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match=f"{group}/{name}.yaml holds a list"):
        load_run([*BASE, "recipe=metabin"])


@pytest.mark.parametrize(
    "path", ["/a b/(x)=y.pth", "/it's/x.pt", "/a,b[1]/{c}.pt", "none", "'/quoted here.pt'"]
)
def test_a_path_of_weights_is_taken_as_it_is_written(root, path):
    assert load_run([*BASE, f"recipe.weights={path}"]).recipe.weights == path.strip("'")


@pytest.mark.parametrize("value", ["true", "false", "yes", "on"])
def test_a_truth_value_is_no_number(root, value):
    with pytest.raises(UserError, match=r"recipe\.epochs: "):
        load_run([*BASE, f"recipe.epochs={value}"])


@pytest.mark.parametrize("name", ["null", "1e3", "007", "true"])
def test_a_name_that_yaml_would_read_as_something_else_is_a_name(root, tmp_path, monkeypatch, name):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    shutil.copy("params/image/64x32.yaml", f"params/image/{name}.yaml")
    assert load_run([*BASE, f"image={name}"]).image.name == name
