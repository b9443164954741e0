"""What holds for the schemas of all sections of params/."""

import pkgutil
from importlib import import_module

import pytest
from pydantic import Field

import dgreid
from dgreid.errors import UserError
from dgreid.names import is_name, is_run
from dgreid.runs.config import load_run
from dgreid.runs.metrics import _Known
from dgreid.schema import Name, Strict, validate

RUN = ["method=erm", "backbone=resnet_tiny", "protocol=miniature"]


def sections():
    """Every schema of the package, found by importing all of it."""
    for module in pkgutil.walk_packages(dgreid.__path__, "dgreid."):
        if not module.name.endswith("__main__") and not module.name.startswith("dgreid.cli"):
            import_module(module.name)
    waiting, found = [Strict, _Known], {}
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__module__.startswith("dgreid."):
                waiting.append(kind)
                found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return found


def unbounded(node, place=""):
    """Where a JSON schema has a number without a lowest or a highest value."""
    if isinstance(node, list):
        for number, inner in enumerate(node):
            yield from unbounded(inner, f"{place}[{number}]")
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number") and not {"enum", "const"} & node.keys():
            low = {"minimum", "exclusiveMinimum"} & node.keys()
            high = {"maximum", "exclusiveMaximum"} & node.keys()
            if not (low and high):
                yield place
        for key, inner in node.items():
            yield from unbounded(inner, f"{place}.{key}")


def test_every_number_of_every_section_has_bounds():
    found = sections()
    assert len(found) > 35 and "dgreid.methods.recipe.RecipeConfig" in found
    for name, kind in found.items():
        if name != "dgreid.runs.config.RunConfig":  # its method and backbone are sections of their own
            assert list(unbounded(kind.model_json_schema())) == [], name


class Free(Strict):
    count: int
    share: float = Field(0.5, ge=0)


def test_the_walk_finds_a_number_without_bounds():
    assert list(unbounded(Free.model_json_schema())) == [".properties.count", ".properties.share"]


WORDS = [
    *(
        "seed=99999999999999999999999",
        "seed=-1",
        "seed=true",
        "seed=1.5",
        "recipe.epochs=1e12",
        "recipe.epochs=yes",
    ),
    *(
        "recipe.epochs='5'",
        "recipe.iterations_per_epoch=1e12",
        "recipe.momentum=-1",
        "recipe.weight_decay=-1",
    ),
    *("recipe.identities_per_domain=1e12", "recipe.batch_size=1e12", "recipe.images_per_identity=100000"),
    *("recipe.learning_rate_factor=nan", "recipe.learning_rate_factor=inf", "recipe.warmup_factor=-1"),
    *("recipe.milestones=[true]", "recipe.milestones=[-1]", "method.margin=nan", "method.margin='0.3'"),
]


@pytest.mark.parametrize("word", WORDS)
def test_a_number_that_is_none_or_means_nothing_is_a_sentence_with_its_key(root, word):
    with pytest.raises(UserError, match=rf"^{word.partition('=')[0]}"):
        load_run([*RUN, word])


def test_a_batch_that_no_memory_holds_is_refused(root):
    with pytest.raises(UserError, match=r"16,384 images of each domain in a batch, and 4,096 are the most"):
        load_run([*RUN, "recipe.images_per_identity=128", "recipe.identities_per_domain=128"])


@pytest.mark.parametrize(
    "word",
    [
        r"recipe.weights=\${x}",
        "recipe.weights=${seed}",
        "recipe.weights=a\nb",
        "recipe.weights=\0",
        "recipe.milestones=" + "[" * 400 + "]" * 400,
        "recipe.epochs=" + "9" * 5000,
    ],
)
def test_a_word_that_others_would_read_in_another_way_is_refused(root, word):
    with pytest.raises(UserError) as caught:
        load_run([*RUN, word])
    assert "\n" not in str(caught.value)


class Named(Strict):
    name: Name


BAD = ["m$(touch PWNED)v", "a b", "a@b", "../x", "..", ".x", "-x", "a/b", "a..b", "a.", "", "x" * 49]
BAD += ["ä", "a\n", "a;b", "<b>"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused(name):
    assert (not is_name(name) and not is_run(name)) or name == "x" * 49
    with pytest.raises(UserError, match="this is no name: letters, digits"):
        validate(Named, {"name": name}, "mine")


@pytest.mark.parametrize("name", ["erm", "_base", "256x128", "VIPeR", "x0.25", "a-b", "a.b-c_d"])
def test_names_as_they_ship_are_names(name):
    assert validate(Named, {"name": name}).name == name


def test_a_sentence_shows_no_more_of_a_wrong_value_than_one_can_read():
    with pytest.raises(UserError, match=r"mine\.name: .*\(got \[1, 1, .*\.\.\.\)\.") as raised:
        validate(Named, {"name": [1] * 10_000}, "mine")
    assert len(str(raised.value)) < 400
