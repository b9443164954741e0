"""A file that states only what differs from its bases."""

import pytest

from dgreid import params
from dgreid.errors import UserError


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Writes files into a group `things` of an empty params/."""
    monkeypatch.setattr(params, "PARAMS", tmp_path)
    (tmp_path / "things").mkdir()

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"things/{name}.yaml").write_text(text)

    return write


def test_a_child_overrides_its_base_and_a_list_is_replaced(group):
    group(
        _base="{rate: 1.0, steps: [1, 2], kind: sgd}",
        child="{defaults: [_base, _self_], rate: 5e-4, steps: [3]}",
    )
    assert params.read("things", "child") == {"rate": 5e-4, "steps": [3], "kind": "sgd", "name": "child"}


def test_bases_may_have_bases_and_the_nearest_wins(group):
    group(
        _far="{a: 1, b: 1, c: 1}",
        _near="defaults: [_far, _self_]\nb: 2\nc: 2",
        child="defaults: [_near, _self_]\nc: 3",
    )
    assert params.read("things", "child") == {"a": 1, "b": 2, "c": 3, "name": "child"}
    assert [path.stem for path in params.files("things", "child")] == ["_far", "_near", "child"]


def test_of_two_bases_the_later_wins(group):
    group(_one="{a: 1, b: 1}", _two="b: 2", child="defaults: [_one, _two, _self_]")
    assert params.read("things", "child") == {"a": 1, "b": 2, "name": "child"}


def test_bases_are_no_names(group):
    group(_base="a: 1", child="defaults: [_base, _self_]")
    assert params.names("things") == ["child"]
    with pytest.raises(UserError, match="unknown things '_base'"):
        params.read("things", "_base")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"child": "defaults: [_bsae, _self_]"}, r"base in .*child.yaml: '_bsae': did you mean '_base'"),
        ({"child": "defaults: [_base]"}, r"child.yaml: `defaults` is a list of bases that ends with _self_"),
        ({"child": "defaults: _base"}, r"child.yaml: `defaults` is a list"),
        ({"child": "defaults: [other, _self_]", "other": "a: 1"}, r"child.yaml: 'other' cannot be a base"),
        ({"child": "defaults: [{_base: x}, _self_]"}, r"child.yaml: .* cannot be a base"),
        ({"child": "defaults: [_broken, _self_]", "_broken": "a: [1"}, r"_broken.yaml cannot be read"),
        ({"child": "defaults: [_list, _self_]", "_list": "- 1"}, r"_list.yaml holds a list"),
        ({"child": "defaults: [_a, _self_]", "_a": "defaults: [_a, _self_]"}, r"_a.yaml: _a is its own base"),
        (
            {
                "child": "defaults: [_a, _self_]",
                "_a": "defaults: [_b, _self_]",
                "_b": "defaults: [_a, _self_]",
            },
            r"_b.yaml: _a is its own base \(child -> _a -> _b -> _a\)",
        ),
    ],
)
def test_what_is_wrong_with_a_base_is_one_sentence(group, files, sentence):
    group(_base="a: 1", **files)
    with pytest.raises(UserError, match=sentence) as caught:
        params.read("things", "child")
    assert "\n" not in str(caught.value)


def test_a_base_with_a_mapping_is_refused_and_a_mapping_in_place_of_a_list_is_no_traceback(group):
    group(_odd="losses: {a: 1}", child="defaults: [_odd, _self_]", _base="losses: [a]")
    with pytest.raises(UserError, match=r"_odd\.yaml: losses is a mapping"):
        params.read("things", "child")
    group(child="{defaults: [_base, _self_], losses: {a: 1}}")
    assert params.read("things", "child")["losses"] == {"a": 1}  # the schema says what is wrong with it
