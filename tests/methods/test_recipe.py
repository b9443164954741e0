import pytest

from dgreid.errors import UserError
from dgreid.runs.config import load_run
from helpers import tiny


@pytest.mark.parametrize(
    "word",
    [
        "floor=0.1",
        "gamma=0.5",
        "amsgrad=true",
        "decay=cosine recipe.gamma=0.5",
        "warmup_iterations=5 recipe.warmup_epochs=3",
    ],
)
def test_a_setting_of_a_recipe_that_nothing_reads_is_refused(root, word):
    words = [
        "method=erm",
        "backbone=resnet_tiny",
        "protocol=miniature",
        "recipe=metabin",
        *f"recipe.{word}".split(),
    ]
    with pytest.raises(UserError, match=r"recipe\.\w+ means nothing"):
        load_run(words)


def test_no_domain_gives_more_images_to_a_batch_than_a_memory_holds(root):
    words = ["method=erm", "backbone=resnet_tiny", "protocol=miniature", "recipe.images_per_identity=64"]
    assert load_run([*words, "recipe.identities_per_domain=64"]).recipe.images_per_identity == 64
    with pytest.raises(UserError, match=r"4,160 images of each domain .* 4,096 are the most"):
        load_run([*words, "recipe.identities_per_domain=65"])


def test_a_setting_is_unread_under_some_others_alone():
    def unread(**changes):
        return {name for name, _ in tiny.recipe(**changes).unread()}

    assert unread(optimiser="sgd", decay="steps") == {"gamma", "floor", "amsgrad"}
    assert unread(optimiser="adamw", decay="cosine") == {"milestones", "gamma", "momentum", "nesterov"}
    assert unread(warmup_iterations=5) - unread() == {"warmup_epochs", "warmup_schedule"}
