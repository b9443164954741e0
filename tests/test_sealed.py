import json
import logging
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgreid import sealed
from dgreid.errors import UserError
from dgreid.sealed import Damaged
from helpers.damage import damaged

TABLE = pa.table({"a": list(range(500)), "b": [f"word {n}" for n in range(500)]}).replace_schema_metadata(
    {"k": "v"}
)
NODE = {
    "run": "erm",
    "targets": {"GRID": {"rank1": 12.5, "splits": [1.0, None, True]}},
    "words": ["ä", "sha256"],
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != sealed.FIELD), VALUES))
def test_a_stamped_mapping_survives_its_file_and_another_layout(node):
    text = json.dumps(sealed.stamp(node))
    other = json.dumps(json.loads(text), indent=4, sort_keys=True)
    for each in (text, other):
        assert sealed.opened(json.loads(each), each) == node
    assert list(sealed.stamp(node))[-1] == sealed.FIELD  # differences of two versions are read from the top


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [
        ("a.json", sealed.to_json, sealed.read_json),
        ("a.yaml", sealed.to_yaml, sealed.read_yaml),
    ],
)
def test_a_damaged_mapping_is_refused_or_means_the_same(tmp_path, name, write, read):
    path = tmp_path / name
    path.write_text(write(NODE), encoding="utf-8")
    assert read(path) == NODE
    refused = 0
    for way, content in damaged(path.read_bytes(), flips=300):
        path.write_bytes(content)
        try:
            with sealed.reading(path, "make it again"):
                found = read(path)
        except UserError as error:
            assert str(path) in str(error) and "make it again" in str(error)
            refused += 1
        else:
            assert found == NODE, way
    assert refused > 150


def test_a_hand_that_changes_a_value_is_noticed():
    text = json.dumps(sealed.stamp(NODE))
    for changed in (text.replace("erm", "metabin"), text.replace(sealed.FIELD, "sealee")):
        with pytest.raises(Damaged):
            sealed.opened(json.loads(changed), changed)
    assert sealed.opened(NODE, json.dumps(NODE)) == NODE


def test_a_table_is_written_with_the_same_bytes_and_read_by_anyone(tmp_path):
    for name in ("a", "b"):
        sealed.write_table(TABLE, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for table in (sealed.read_table(tmp_path / "a"), pq.read_table(tmp_path / "a")):
        assert table.equals(TABLE) and table.schema.metadata[b"k"] == b"v"


def test_a_damaged_table_is_refused_or_holds_the_same(tmp_path):
    path = tmp_path / "a.parquet"
    sealed.write_table(TABLE, path)
    for way, content in damaged(path.read_bytes(), flips=400):
        path.write_bytes(content)
        try:
            with sealed.reading(path, "make it again"):
                found = sealed.read_table(path)
        except UserError as error:
            assert "make it again" in str(error)
        else:
            assert found.equals(TABLE), way


def test_a_seal_behind_the_end_finds_every_flipped_bit(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(bytes(range(256)) * 4 + sealed.PLACE)
    sealed.seal(path)
    assert sealed.check(path)
    content = path.read_bytes()
    for at in range(0, len(content) * 8, 7):
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(changed)
        with suppress(Damaged):
            assert not sealed.check(path)  # the mark itself is damaged: no seal


def test_what_others_wrote_is_taken_with_a_word(tmp_path, caplog):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    with caplog.at_level(logging.INFO):
        assert sealed.read_table(tmp_path / "a.parquet").equals(TABLE)
    assert "a.parquet has no hash of its content" in caplog.text


@pytest.mark.parametrize(
    ("error", "sentence", "kind"),
    [
        (
            PermissionError(13, "Permission denied", "x"),
            "cannot be read .Permission denied.*right to read",
            True,
        ),
        (OSError(5, "Input/output error"), "x cannot be read .Input/output error.*see to its disk", True),
        (IsADirectoryError(21, "Is a directory"), "x cannot be read .Is a directory", True),
        (FileNotFoundError(2, "No such file"), "x is missing: make it again", False),
        (OSError("Couldn't deserialize thrift"), "x is damaged: make it again", False),
        (pa.ArrowInvalid("no parquet"), "x is damaged: make it again", False),
        (RecursionError(), "x is damaged: make it again", False),
        (Damaged(), "x is damaged: make it again", False),
    ],
)
def test_out_of_reach_damaged_and_foreign_are_told_apart(error, sentence, kind):
    with pytest.raises(UserError, match=sentence) as raised, sealed.reading("x", "make it again"):
        raise error
    assert isinstance(raised.value, sealed.Unreadable) == kind


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 9 failed"),
        pa.ArrowException("Failed to launch worker thread"),
    ],
)
def test_short_memory_is_not_taken_for_damage(error):
    with pytest.raises(type(error)), sealed.reading("x", "make it again"):
        raise error


SCHEMA = pa.schema(
    [
        pa.field("word", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("number", pa.int16()),
        pa.field("digest", pa.binary(32)),
        pa.field("known", pa.bool_()),
    ]
)
PLAIN = {"word": ["a", "b"], "number": [1, None], "digest": [bytes(32), None], "known": [True, None]}


@pytest.mark.parametrize(
    "changed",
    [
        {"word": pa.array(["a", "b"], pa.large_string())},
        {"number": pa.array([1.0, None])},
        {"number": pa.array([1, None], pa.uint64())},
        {"digest": pa.array([bytes(32), None], pa.binary())},
        {"other": pa.array([1, 2])},
    ],
)
def test_a_table_of_another_program_is_read_in_the_types_of_its_schema(tmp_path, changed):
    pq.write_table(pa.table(PLAIN | changed), tmp_path / "a")
    table = sealed.read_table(tmp_path / "a", SCHEMA)
    assert table.to_pydict() == PLAIN and table.column("number").type == pa.int16()


@pytest.mark.parametrize(
    "changed",
    [
        {"word": None},
        {"word": pa.array(["a", None])},
        {"word": pa.array([1, 2])},
        {"word": pa.array([b"a", b"\xff"])},
        {"word": pa.array([["a"], ["b"]])},
        {"number": pa.array(["1", "2"])},
        {"number": pa.array([2**40, 1])},
        {"number": pa.array([float("nan"), 1.5])},
        {"number": pa.array([True, False])},
        {"number": pa.array([None, None])},
        {"digest": pa.array([b"short", None], pa.binary())},
        {"known": pa.array([0, 1])},
    ],
)
def test_a_table_of_another_schema_is_not_ours(tmp_path, changed):
    complete = ("number",) if "number" in changed else ()
    columns = {name: column for name, column in (PLAIN | changed).items() if column is not None}
    pq.write_table(pa.table(columns), tmp_path / "a")
    with pytest.raises(UserError, match="a is no table of ours: make it again"):  # noqa: SIM117
        with sealed.reading(tmp_path / "a", "make it again", "no table of ours"):
            sealed.read_table(tmp_path / "a", SCHEMA, complete)
    twice = pa.Table.from_arrays([pa.array(["a"])] * 2, ["word", "word"])
    pq.write_table(twice, tmp_path / "b")
    with pytest.raises(KeyError):
        sealed.read_table(tmp_path / "b", SCHEMA)
