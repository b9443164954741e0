import re

from dgreid.names import is_run
from dgreid.runs.names import name_of

PLAIN = ("metabin", "resnet_tiny", "miniature", 3)


def test_a_run_is_named_by_its_choices():
    assert name_of(*PLAIN) == "metabin-resnet_tiny-miniature-s3"


def test_overrides_add_a_hash_that_knows_no_order():
    one, other = "method.margin=1", "recipe.epochs=2"
    name = name_of(*PLAIN, (one, other))
    assert re.fullmatch(r"metabin-resnet_tiny-miniature-s3-[0-9a-f]{6}", name) and is_run(name)
    assert name == name_of(*PLAIN, [other, one])
    assert len({name, name_of(*PLAIN, [one]), name_of(*PLAIN, [other]), name_of(*PLAIN)}) == 4


def test_the_hash_is_that_of_earlier_versions():
    """Else every run with overrides would be trained again under another name."""
    assert name_of(*PLAIN, ["recipe.epochs=2"]) == "metabin-resnet_tiny-miniature-s3-0f643b"
