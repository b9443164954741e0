"""What is said of a file of params/ that cannot be read."""

import pytest

from dgreid import params
from dgreid.datasets.config import load_dataset
from dgreid.errors import UserError
from dgreid.protocols.config import load_protocol


def test_an_unknown_dataset_names_the_nearest(root):
    with pytest.raises(UserError, match="did you mean 'market1501'"):
        load_dataset("market1051")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1,\n  2\n", "cannot be read: .*expected .* in line 3"),
        ("- a\n- b\n", "holds a list"),
        ("word", "title is missing"),
        ("\0", "cannot be read"),
        ("", "title is missing"),
        ('options: {a: [1, "???"]}', r"\?\?\? stands for a value to come"),
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


@pytest.fixture
def group(tmp_path, monkeypatch):
    monkeypatch.setattr(params, "PARAMS", tmp_path)
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/_base.yaml").write_text("epochs: 3\nsizes: [1, 2]\n")
    (tmp_path / "recipe/quick.yaml").write_text("defaults: [_base, _self_]\nepochs: 1\n")
    return tmp_path / "recipe"


def test_a_file_is_read_with_its_bases_and_its_name(group):
    assert params.read("recipe", "quick") == {"epochs": 1, "sizes": [1, 2], "name": "quick"}
    assert params.files("recipe", "quick") == [group / "_base.yaml", group / "quick.yaml"]
    assert params.stated("recipe", "quick")[group / "quick.yaml"] == {"epochs": 1}


def test_what_cannot_be_named_is_no_name_and_said_where_it_is_asked_for(group):
    (group / "a b.yaml").write_text("epochs: 1\n")
    assert params.names("recipe") == ["quick"]
    with pytest.raises(UserError, match=r"a b\.yaml cannot be named, so rename it: a name has letters"):
        params.read("recipe", "a b")
    with pytest.raises(UserError, match="unknown recipe"):
        params.read("recipe", "../recipe/quick")
