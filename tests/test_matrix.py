import pytest
import yaml

from dgreid import config, matrix
from dgreid.errors import UserError

BLOCK = {"methods": ["erm"], "backbones": ["resnet_tiny"], "protocols": ["miniature"], "seeds": [0]}


def expand(*blocks):
    node = {"name": "mine", "title": "", "blocks": blocks}
    return matrix.expand(config.validate(matrix.Selection, node))


@pytest.mark.parametrize("change", [{"recipe": "metabin"}, {"image": "128x64"}])
def test_two_blocks_that_differ_in_recipe_or_image_are_two_runs(root, change):
    runs = expand(BLOCK, BLOCK | change)["runs"]
    assert [item["recipe"] for item in runs.values()] == ["miniature", change.get("recipe", "miniature")]
    assert len(runs) == 2 and next(iter(runs)) == "erm-resnet_tiny-miniature-s0"


def test_blocks_may_overlap_where_they_agree(root):
    runs = expand(BLOCK, BLOCK | {"seeds": [0, 1], "recipe": "miniature"})["runs"]
    assert list(runs) == ["erm-resnet_tiny-miniature-s0", "erm-resnet_tiny-miniature-s1"]


def test_a_whole_axis_and_a_recipe_can_be_replaced(root, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    written = matrix.select("miniature", {"methods": "erm", "seeds": [4], "recipe": "metabin"})
    assert {(run["method"], run["seed"], run["recipe"]) for run in written["runs"].values()} == {
        ("erm", 4, "metabin")
    }
    assert matrix.read() == written


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("blocks: [", "matrices/mine.yaml cannot be read: expected .* in line 2"),
        ("- a", "matrices/mine.yaml holds a list"),
        ("title: t", "blocks: Field required"),
        ("{title: t, blocks: [a]}", "blocks.0"),
        (yaml.safe_dump({"title": "t", "blocks": [BLOCK | {"seeed": [1]}]}), "did you mean 'seeds'"),
    ],
)
def test_a_broken_selection_is_one_sentence(tmp_path, monkeypatch, text, sentence):
    monkeypatch.setattr(config, "PARAMS", tmp_path)
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    (tmp_path / "matrices").mkdir()
    (tmp_path / "matrices/mine.yaml").write_text(text + "\n")
    with pytest.raises(UserError, match=sentence) as caught:
        matrix.select("mine", {"seeds": [1]})
    assert "\n" not in str(caught.value) and not matrix.MATRIX.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "is missing: write it with"),
        ("a: [", "cannot be read"),
        ("- a", "holds a list"),
        ("", "is not what `dgreid select NAME` writes"),
        ("name: x\nruns: [a]", "is not what `dgreid select NAME` writes"),
    ],
)
def test_a_broken_matrix_is_one_sentence(tmp_path, monkeypatch, text, sentence):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    if text is not None:
        matrix.MATRIX.write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        matrix.read()
    assert "\n" not in str(caught.value)
