import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dgreid.documents import DEEPEST, check_yaml, parse_json, parse_plain_yaml, parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "billion laughs": (LAUGHS, "more than 200,000 values"),
    "a list in itself": ("a: &a [*a]", r"\*a in line 1 contains itself"),
    "a mapping in itself": ("a: &a\n  b: *a", r"\*a in line 2 contains itself"),
    "deep lists": ("[" * 1200 + "]" * 1200, "levels deep"),
    "deep mappings": ("{a: " * 3000, "levels deep"),
    "deep blocks": ("\n".join(" " * depth + "a:" for depth in range(1200)), "levels deep"),
    "many values": ("[" + "1," * 300_000 + "1]", "more than 200,000 values"),
    "many lines": ("a: 1\n" * 2_000_000, "characters"),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("parse", [parse_yaml, parse_plain_yaml])
def test_a_bomb_is_refused_at_once(name, parse):
    text, sentence = BOMBS[name]
    start = time.process_time()
    with pytest.raises(ValueError, match=sentence):
        parse(text)
    assert time.process_time() - start < 1


def test_aliases_as_yaml_itself_writes_them_are_read():
    shared = [1, {"a": [2]}]
    text = yaml.safe_dump({"first": shared, "second": shared})
    assert "*" in text
    assert parse_yaml(text) == parse_plain_yaml(text) == {"first": shared, "second": shared}
    assert parse_yaml("a: 5e-4") == {"a": 0.0005}  # as Hydra reads numbers


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab: -#&*", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_written_is_read(value):
    assert parse_plain_yaml(yaml.safe_dump(value)) == value


@given(st.text("a&*:[]{}-, \n", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        check_yaml(text)
    except (ValueError, yaml.YAMLError):
        return
    yaml.safe_load(text) if "*" not in text else None


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "NaN", "[-Infinity]", "1" * 5000, "", b"\xff"]
)
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_depth_is_counted():
    check_yaml("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(ValueError, match="levels deep"):
        check_yaml("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
