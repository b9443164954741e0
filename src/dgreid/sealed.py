"""Seal files with a hash of their content, and check it when they are read.

Every file that one stage writes and another reads is checked: a flipped bit or a page of zeros must not
become a number. A mapping (JSON, YAML) carries the hash of its values, so that it may be laid out anew; any
other file carries, inside itself, the hash of all its other bytes. A file without a seal, as other programs
and earlier versions write it, is taken as it is, with a word.
"""

import hashlib
import json
import logging
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dgreid.documents import parse_json, parse_plain_yaml
from dgreid.errors import UserError
from dgreid.files import check_plain
from dgreid.trouble import REMEDIES, short_of_memory

log = logging.getLogger(__name__)

FIELD = "sealed"  # of mappings
PREFIX = "dgreid-sha256:"  # stands before the hash, so that a seal is seen even if its place is damaged
MARK = PREFIX.encode()
BLANK = b"0" * 64  # what the hash counts in its own place
PLACE = MARK + BLANK
PARQUET = {FIELD: PLACE.decode()}
KINDS = (  # of types whose values may stand for one another
    lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind),
    pa.types.is_boolean,
    lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    lambda kind: pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind),
)
FOREIGN = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    pa.ArrowException,
    yaml.YAMLError,
)


class Damaged(ValueError):
    """A file does not hold what was written."""


class Unreadable(UserError):
    """The system refuses to read a file; it may be whole."""


def stamp(node: Mapping[str, Any]) -> dict[str, Any]:
    """Add the seal of a mapping's values, as its last field."""
    return {**node, FIELD: PREFIX + _digest(node)}


def to_json(node: Mapping[str, Any]) -> str:
    """Write a mapping as JSON, its seal last: without its end it is no JSON."""
    return json.dumps(stamp(node), indent=2) + "\n"


def to_yaml(node: Mapping[str, Any]) -> str:
    """Write a mapping as YAML, its seal first: without its end it would still be YAML."""
    sealed = stamp(node)
    return yaml.safe_dump({FIELD: sealed.pop(FIELD), **sealed}, sort_keys=False)


def opened(node: Any, text: str) -> dict[str, Any]:
    """Return what `stamp` was given; a mapping without a seal is returned as it is.

    Args:
        node: a mapping with its seal.
        text: what it was read from.

    Raises:
        Damaged: the values are not those that were stamped.
        TypeError: it is no mapping.
    """
    if not isinstance(node, Mapping):
        raise TypeError("not a mapping")
    rest = {key: value for key, value in node.items() if key != FIELD}
    if is_sealed(node):
        if node.get(FIELD) != PREFIX + _digest(rest):
            raise Damaged
    elif PREFIX in text:
        raise Damaged  # what stands around the seal is damaged
    return rest


def is_sealed(node: Mapping[str, Any]) -> bool:
    """Whether a mapping carries a seal, right or wrong."""
    return FIELD in node


def _digest(node: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(node, sort_keys=True, default=str).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read a stamped JSON file; see `opened`."""
    check_plain(path)
    text = path.read_text(encoding="utf-8")
    return opened(parse_json(text), text)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a stamped YAML file; see `opened`."""
    check_plain(path)
    text = path.read_text(encoding="utf-8")
    return opened(parse_plain_yaml(text), text)


def seal(path: Path) -> None:
    """Write the hash of a file's other bytes into the place that it has for one.

    A parquet file has the place among its metadata, by `PARQUET`; others have `PLACE` behind their end, where
    the readers of zip archives, such as torch's, do not look.
    """
    with open(path, "r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            at = content.rfind(PLACE)
            found = _hash_around(content, at)
        file.seek(at + len(MARK))
        file.write(found.encode())


def check(path: Path) -> bool:
    """Check a sealed file, and return whether it has a seal at all.

    Raises:
        Damaged: its content is not what was sealed.
    """
    check_plain(path)
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise Damaged
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            at = content.rfind(MARK)
            if at < 0:
                return False
            written = content[at + len(MARK) : at + len(MARK) + len(BLANK)]
            if written != _hash_around(content, at).encode():
                raise Damaged
    return True


def _hash_around(content: mmap.mmap, at: int) -> str:
    start, stop = at + len(MARK), at + len(MARK) + len(BLANK)
    with memoryview(content) as view, view[:start] as before, view[stop:] as after:
        digest = hashlib.sha256(before)
        digest.update(BLANK)
        digest.update(after)
    return digest.hexdigest()


def read_hashed(path: Path, expected: str | None) -> bytes:
    """Read a file, and check it against a hash that stands elsewhere; None: nothing is known of it.

    Raises:
        Damaged: it has another hash.
    """
    check_plain(path)
    content = path.read_bytes()
    if expected is None:
        say_unsealed(path)
    elif hashlib.sha256(content).hexdigest() != expected:
        raise Damaged
    return content


def write_table(table: pa.Table, path: Path) -> None:
    """Write a sealed parquet file; the same table gives the same bytes."""
    with pq.ParquetWriter(path, table.schema, compression="zstd", version="2.6") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(PARQUET)
    seal(path)


def read_table(path: Path, schema: pa.Schema | None = None, complete: Sequence[str] = ()) -> pa.Table:
    """Read a parquet file of ours, or one without a seal, which may hold anything.

    What pandas notes of itself in a file is left out: it names the columns again, and may contradict them.

    Args:
        path: the file.
        schema: its columns, in their order; others are left out. Numbers may be of another width, words plain
            or in a dictionary. None: as they are.
        complete: columns without nulls, beside those that `schema` calls so.

    Raises:
        Damaged: its content is not what was sealed.
        KeyError, TypeError, ValueError: a column is missing or there twice, is of another kind, or has nulls.
    """
    if not check(path):
        say_unsealed(path)
    table = pq.ParquetFile(path).read()
    noted = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
    if schema is not None:
        found = [_column(table, field, field.name in complete or not field.nullable) for field in schema]
        table = pa.table(found, schema.names)
    return table.replace_schema_metadata(noted or None)


def _column(table: pa.Table, field: pa.Field, complete: bool) -> pa.ChunkedArray:
    """The column that a field describes, in the field's type; words may stay plain."""
    column = table.column(field.name)
    if column.type != field.type:
        wanted, found = (
            each.value_type if pa.types.is_dictionary(each) else each for each in (field.type, column.type)
        )
        alike = any(is_kind(wanted) and is_kind(found) for is_kind in KINDS)
        if not (alike or pa.types.is_null(found)):
            raise TypeError(f"{field.name} is of type {found}")
        column = column.cast(wanted)
    if complete and column.null_count:
        raise ValueError(f"{field.name} has nulls")
    return column


def say_unsealed(path: Path) -> None:
    """Say that nothing vouches for the content of a file."""
    log.info("%s has no hash of its content, so it is taken as it is.", path)


@contextmanager
def reading(path: Path | str, remedy: str, other: str = "damaged") -> Iterator[None]:
    """Say in one sentence why a file cannot be used: out of reach, missing, damaged, or not ours.

    Args:
        path: names the file in the sentence.
        remedy: what makes it again, such as "train the run again".
        other: what is said of a file that something else than ours is read from, or nothing.

    Raises:
        Unreadable: the system refuses to read it.
        UserError: it is missing, damaged or not ours. A lack of memory passes as it is.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{path} is missing: {remedy}.") from error
        if error.errno is None:  # Arrow, HDF5, of the content
            raise UserError(f"{path} is {other}: {remedy}.") from error
        if short_of_memory(error):
            raise
        means = REMEDIES.get(error.errno, "see to its disk, and run the same command again")
        raise Unreadable(
            f"{path} cannot be read ({os.strerror(error.errno)}), which says nothing of its content: {means}."
        ) from error
    except Damaged as error:
        raise UserError(f"{path} is damaged: {remedy}.") from error
    except FOREIGN as error:
        if short_of_memory(error):
            raise
        raise UserError(f"{path} is {other}: {remedy}.") from error
