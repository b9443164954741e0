import pytest

from dgreid.errors import UserError
from dgreid.protocols.config import ProtocolConfig, load_protocol
from dgreid.schema import validate

NODE = {"name": "mine", "title": "", "recipe": "none", "image": "none", "sources": ["cuhk01"], "targets": []}


def protocol(**changes):
    return validate(ProtocolConfig, NODE | changes)


def test_groups_of_targets_and_single_ones_follow_each_other(root):
    single = {"name": "Mine", "set": "cuhk03:np_detected"}
    targets = protocol(targets=["market", single, "duke"]).targets
    assert [target.name for target in targets] == ["Market", "Mine", "Duke"]


def test_a_single_source_or_group_needs_no_list(root):
    alone = protocol(sources="market1501:official by camera", targets="market")
    assert alone == protocol(sources=["market1501:official by camera"], targets=["market"])
    assert alone.sources[0].domain_by == "camera" and alone.targets[0].dataset == "market1501"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sources": []}, "sources"),
        ({"targets": ["markt"]}, "unknown targets 'markt': did you mean 'market'"),
        ({"targets": [{"name": "Mine", "set": "cuhk03:np_detected", "splits": 0}]}, "splits"),
        ({"expect": {"ids": -1}}, "expect"),
        ({"recipes": "none"}, "did you mean 'recipe'"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(root, changes, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        protocol(**changes)
    assert "\n" not in str(caught.value)


def test_an_unknown_protocol_proposes_the_nearest(root):
    assert load_protocol("miniature").name == "miniature"
    with pytest.raises(UserError, match="did you mean 'miniature'"):
        load_protocol("miniatur")
