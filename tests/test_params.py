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
