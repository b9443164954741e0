"""Store a protocol as two tables, training rows and test rows, so that a new target needs no new training."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dgreid import sealed
from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.paths import TARGETS, TRAIN

SCHEMA = pa.schema(
    [
        ("part", pa.dictionary(pa.int8(), pa.string())),  # train | query | gallery
        ("target", pa.dictionary(pa.int8(), pa.string())),  # null in the training part
        ("split", pa.int16()),  # null in the training part
        ("dataset", pa.dictionary(pa.int8(), pa.string())),
        ("image_id", pa.string()),
        ("path", pa.string()),
        ("row", pa.int64()),  # in the data set's images.parquet, and so in its pack
        ("identity", pa.int64()),
        ("camera", pa.int64()),
        ("domain", pa.int64()),  # null outside the training part
        ("pixel_sha256", pa.binary(32)),
    ]
)
COLUMNS = ["dataset", "image_id", "path", "row", "identity", "camera", "domain", "pixel_sha256"]
COMPLETE = ("part", "dataset", "image_id", "path", "row", "identity", "camera", "pixel_sha256")
TEST_COLUMNS = [column for column in COLUMNS if column != "domain"]


@dataclass
class Protocol:
    """Training rows and, per target and split, query and gallery rows.

    Every frame has the columns dataset, image_id, path, row, identity, camera, pixel_sha256; `train`
    also has domain, an index into `domains`. A distractor has identity -1. If the cameras of a test set are
    unknown, its queries get camera 0 and its gallery images camera 1, so that every match counts.
    """

    name: str
    kind: str  # miniature | partial | unverified | full
    train: pd.DataFrame
    targets: dict[str, list[tuple[pd.DataFrame, pd.DataFrame]]]
    domains: list[str]
    metadata: dict = field(default_factory=dict)


def write(folder: Path | str, protocol: Protocol) -> None:
    """Write train.parquet and targets.parquet, both or neither; the same protocol gives the same bytes."""
    train = protocol.train.assign(part="train", target=None, split=None)
    test = [
        frame.assign(part=part, target=target, split=number, domain=None)
        for target, splits in protocol.targets.items()
        for number, pair in enumerate(splits)
        for part, frame in zip(("query", "gallery"), pair, strict=True)
    ]
    with whole(folder) as part:
        part.mkdir()
        _write(part / TRAIN, [train], _training_metadata(protocol))
        _write(part / TARGETS, test, protocol.metadata)


def read_training(folder: Path | str) -> tuple[pd.DataFrame, dict]:
    """Read the training rows and their metadata (name, kind, domains, counts, content hash of each source).

    Raises:
        UserError: there is no such file, or it is not a protocol.
    """
    frame, metadata = _read(Path(folder) / TRAIN)
    return frame[COLUMNS].astype({"domain": np.int64}).reset_index(drop=True), metadata


def read_protocol(folder: Path | str) -> Protocol:
    """Read what `write` wrote.

    Raises:
        UserError: there is no such file, or it is not a protocol.
    """
    train, _ = read_training(folder)
    frame, metadata = _read(Path(folder) / TARGETS)
    groups = dict(list(frame.groupby(["target", "split", "part"], sort=False)))
    targets: dict[str, list] = {name: [] for name in metadata["targets"]}
    for name in targets:
        while (name, len(targets[name]), "query") in groups:
            number = len(targets[name])
            pair = (groups[name, number, part] for part in ("query", "gallery"))
            targets[name].append(tuple(g[TEST_COLUMNS].reset_index(drop=True) for g in pair))
    return Protocol(metadata["name"], metadata["kind"], train, targets, metadata["domains"], metadata)


def check_rows(path: Path) -> None:
    """Check a file of a protocol without reading its rows.

    Raises:
        UserError: it is out of reach or damaged.
    """
    with _reading(path):
        sealed.check(path)


def read_test_rows(folder: Path | str) -> pd.DataFrame:
    """Read the query and gallery rows of every target and split, the columns of `SCHEMA`.

    Raises:
        UserError: there is no such file, or it is damaged or not a protocol.
    """
    return _rows(_table(Path(folder) / TARGETS))


def _write(path: Path, frames: list[pd.DataFrame], metadata: dict) -> None:
    tables = [pa.Table.from_pandas(frame[SCHEMA.names], SCHEMA, preserve_index=False) for frame in frames]
    table = pa.concat_tables(tables or [SCHEMA.empty_table()]).unify_dictionaries()
    table = table.replace_schema_metadata({"protocol": json.dumps(metadata)})
    sealed.write_table(table, path)


def _read(path: Path) -> tuple[pd.DataFrame, dict]:
    table = _table(path)
    with _reading(path):
        return _rows(table), json.loads(table.schema.metadata[b"protocol"])


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise UserError(f"{path}: no protocol here; make it with {_command(path)}.")
    with _reading(path):
        return sealed.read_table(path, SCHEMA, COMPLETE)


def _rows(table: pa.Table) -> pd.DataFrame:
    words = [pa.field(f.name, pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(words)).to_pandas()


def _reading(path: Path) -> AbstractContextManager[None]:
    return sealed.reading(path, f"make it again with {_command(path)}", "damaged, or not a protocol file")


def _command(path: Path) -> str:
    return f"`dgreid protocol protocol={path.parent.name}`"


def _training_metadata(protocol: Protocol) -> dict:
    """Return the metadata of the training rows, which must not depend on the targets."""
    everything = protocol.metadata
    sources = sorted(protocol.train["dataset"].unique())
    kinds = {name: everything["kinds"][name] for name in sources}
    return {
        "name": protocol.name,
        "kind": worst(kinds.values()),
        "domains": protocol.domains,
        "counts": everything["counts"],
        "content": {name: everything["content"][name] for name in sources},
        "variants": {name: each for name, each in everything.get("variants", {}).items() if name in sources},
        "kinds": kinds,
        "choices": everything["choices"],
    }


def worst(kinds: Iterable[str]) -> str:
    """Return the data kind of several data sets together: that of the part that is worth least."""
    return next((kind for kind in ("miniature", "partial", "unverified") if kind in set(kinds)), "full")
