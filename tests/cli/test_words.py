import pytest

from dgreid.cli.words import only, pairs
from dgreid.errors import UserError


def test_words_are_split_at_the_first_equals_sign():
    assert pairs(["a=1", "b=c=d", "e="]) == {"a": "1", "b": "c=d", "e": ""}
    assert pairs([]) == {}
    with pytest.raises(UserError, match="'word' is not of the form key=value"):
        pairs(["a=1", "word"])


def test_a_command_with_one_key_takes_no_other():
    assert only("dataset", ["dataset=grid"], "manifest") == "grid"
    with pytest.raises(UserError, match="unknown key 'datset': did you mean 'dataset'"):
        only("dataset", ["datset=grid"], "manifest")
    with pytest.raises(UserError, match="which dataset\\? Write `dgreid manifest dataset=NAME`"):
        only("dataset", [], "manifest")
