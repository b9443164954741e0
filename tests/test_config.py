import pytest

from dgreid import config
from dgreid.errors import UserError

BASE = ["method=erm", "backbone=resnet_tiny", "protocol=miniature"]


@pytest.mark.parametrize("group", ["dataset", "protocol"])
def test_every_shipped_data_file_validates(root, group):
    load = {"dataset": config.load_dataset, "protocol": config.load_protocol}[group]
    names = config.choices(group)
    assert len(names) >= 2
    for name in names:
        assert load(name).name == name


@pytest.mark.parametrize("group", ["method", "backbone", "recipe", "image"])
def test_every_shipped_choice_composes(root, group):
    names = config.choices(group)
    assert names
    for name in names:
        words = dict(word.split("=") for word in BASE) | {group: name}
        run = config.load_run([f"{key}={value}" for key, value in words.items()])
        assert getattr(run, group).name == name


def test_every_selection_expands_and_names_its_runs(root):
    import yaml

    from dgreid.matrix import Selection, expand

    for name in config.choices("matrices"):
        node = yaml.safe_load((config.PARAMS / "matrices" / f"{name}.yaml").read_text())
        matrix = expand(config.validate(Selection, {"name": name, **node}))
        for run, item in matrix["runs"].items():
            assert run == "{method}-{backbone}-{protocol}-s{seed}".format(**item)


def test_the_protocol_proposes_recipe_and_image_and_the_user_overrides(root):
    protocol = config.load_protocol("miniature")
    assert config.load_run(BASE).recipe.name == protocol.recipe
    words = [*BASE, "recipe=metabin", "image=256x128", "seed=3", "method.learning_rate=0.5"]
    changed = config.load_run(words)
    assert (changed.recipe.name, changed.image.height, changed.seed) == ("metabin", 256, 3)
    assert changed.method.learning_rate == 0.5
    assert changed.run == "erm-resnet_tiny-miniature-s3"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["method=metabim", *BASE[1:]], "unknown method 'metabim': did you mean 'metabin'"),
        (BASE[1:], "which method"),
        ([*BASE, "methid.x=1"], "did you mean 'method'"),
        ([*BASE, "method.learning_rte=1"], "did you mean 'learning_rate'"),
        ([*BASE, "recipe.epochz=1"], "did you mean 'epochs'"),
        ([*BASE, "recipe.epochs=many"], "recipe.epochs: .*'many'"),
        ([*BASE, "seed=-1"], "seed"),
        ([*BASE, "recipe.epochs=[1"], "cannot be composed"),
        ([*BASE, "word"], "unknown key 'word'"),
    ],
)
def test_a_wrong_word_is_one_sentence(root, words, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        config.load_run(words)
    assert "\n" not in str(caught.value)


def test_an_unknown_dataset_names_the_nearest(root):
    with pytest.raises(UserError, match="did you mean 'market1501'"):
        config.load_dataset("market1051")


@pytest.mark.parametrize(
    ("group", "model", "spared"),
    [
        ("recipe", config.RecipeConfig, {"name"}),
        ("image", config.ImageConfig, {"name"}),
        ("backbone", config.BackboneConfig, {"name", "width", "depth"}),  # one of the two, by architecture
    ],
)
def test_every_number_of_a_run_stands_in_its_file(root, group, model, spared):
    # DVC tracks the files: a default in the code could change without anything being trained again
    import yaml

    for name in config.choices(group):
        written = yaml.safe_load((config.PARAMS / group / f"{name}.yaml").read_text())
        assert set(written) >= set(model.model_fields) - spared, name
