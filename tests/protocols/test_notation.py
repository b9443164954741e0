"""Sources and targets in short."""

import re

import pytest

from dgreid.datasets.config import load_dataset
from dgreid.errors import UserError
from dgreid.params import names as choices
from dgreid.protocols import notation
from dgreid.protocols.config import ProtocolConfig, load_protocol
from dgreid.protocols.listing import LEGEND, protocols_table


def protocol(**changes):
    node = {"name": "mine", "title": "", "recipe": "none", "image": "none", "targets": "small_four"}
    return ProtocolConfig.model_validate(node | {"sources": ["cuhk01"]} | changes)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("cuhksysu", {"dataset": "cuhksysu"}),
        ("msmt17_v1:official", {"dataset": "msmt17_v1", "split_set": "msmt17/official"}),
        ("cuhk03_both:classic_both", {"dataset": "cuhk03_both", "split_set": "cuhk03/classic_both"}),
        ("mini_prid2011:rand10", {"dataset": "mini_prid2011", "split_set": "prid/rand10"}),
        ("market1501 by camera", {"dataset": "market1501", "domain_by": "camera"}),
        (
            "market1501:official by camera",
            {"dataset": "market1501", "split_set": "market1501/official", "domain_by": "camera"},
        ),
    ],
)
def test_a_source_in_short_and_in_full_are_the_same(root, text, fields):
    assert protocol(sources=[text]) == protocol(sources=[fields])


def test_a_target_in_short_and_in_full_are_the_same(root):
    same = {"name": "PRID", "splits": 2, "expect": {"query": 100}}
    short, full = {"set": "prid2011:rand10"}, {"dataset": "prid2011", "split_set": "prid/rand10"}
    assert protocol(targets=[same | short]) == protocol(targets=[same | full])


def test_a_protocol_says_what_the_list_of_protocols_shows(root, tmp_path):
    text = protocols_table(tmp_path, tmp_path)
    assert "NAME:SET" in LEGEND
    for name in choices("protocol"):
        for source in load_protocol(name).sources:
            part = f":{source.split_set.split('/')[1]}" if source.split_set else ""
            written = f"{source.dataset}{part}"
            assert written in text and notation.source(written, name)["dataset"] == source.dataset


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sources": ["market1051"]}, "dataset in protocol mine: 'market1051': did you mean 'market1501'"),
        ({"sources": ["duke:official"]}, "dataset in protocol mine: 'duke'"),
        (
            {"sources": ["msmt17:oficial_with_val"]},
            "split set of msmt17 in protocol mine: 'oficial_with_val': did you mean 'official_with_val'",
        ),
        ({"sources": ["cuhk01:official"]}, "split set of cuhk01 in protocol mine: 'official': Known: none"),
        (
            {"sources": ["market1501 by cameras"]},
            "protocol mine: source 'market1501 by cameras' is not of the form",
        ),
        ({"sources": ["market1501/official"]}, "dataset in protocol mine: 'market1501/official'"),
        ({"sources": ["a:b:c"]}, "source 'a:b:c' is not of the form"),
        ({"targets": "small_for"}, "unknown targets 'small_for': did you mean 'small_four'"),
        ({"targets": [{"name": "T", "set": "viper"}]}, "protocol mine: target 'viper' is not of the form"),
        ({"targets": [{"name": "T", "set": "viper:rand10"}]}, "'rand10': did you mean 'rand10_a2b'"),
        (
            {"targets": [{"name": "T", "set": "market1501:official by camera"}]},
            "is not of the form NAME:SPLIT_SET",
        ),
    ],
)
def test_a_wrong_notation_is_one_sentence(root, changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        protocol(**changes)
    assert "\n" not in str(caught.value)


def test_an_imported_split_set_is_known_by_its_name(root, tmp_path, monkeypatch):
    monkeypatch.setattr(notation, "SPLITS", tmp_path)
    (tmp_path / "prid2011-theirs.json").touch()
    assert notation.target("prid2011:theirs", "here") == {"dataset": "prid2011", "split_set": "prid/theirs"}
    with pytest.raises(UserError, match="'their': did you mean 'theirs'"):
        notation.target("prid2011:their", "here")


def test_the_known_parsers_are_those_of_data_sets(root):
    assert {load_dataset(name).parser for name in choices("dataset")} >= notation.SPLIT_SETS.keys()
