"""Parquet files of ours from the few columns that a test is about."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def write(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a table of this schema; columns that `frame` lacks are null, or plain values if none may be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [
        pa.array(
            frame[field.name].to_list() if field.name in frame else [_plain(field)] * len(frame), field.type
        )
        for field in schema
    ]
    pq.write_table(pa.table(columns, schema=schema), path)


def _plain(field: pa.Field) -> object:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if field.nullable:
        return None
    if pa.types.is_string(kind):
        return ""
    return bytes(kind.byte_width) if pa.types.is_fixed_size_binary(kind) else pa.scalar(0).cast(kind).as_py()
