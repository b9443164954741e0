"""Read tables from parquet files, or say in one sentence that a file is damaged."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dgreid.errors import UserError

# what pyarrow and pandas raise for bytes that are no table, or one with other columns
DAMAGED = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)


def read_parquet(
    path: Path, remedy: str, columns: Sequence[str] | None = None, filters: Sequence[tuple] | None = None
) -> pd.DataFrame:
    """Read some columns and rows of a parquet file.

    Args:
        path: the file.
        remedy: what to do if it is damaged, such as a command in backquotes.
        columns: all if None.
        filters: as in `pandas.read_parquet`.

    Raises:
        UserError: the file is damaged, or has no such columns.
        OSError: it cannot be read at all.
    """
    content = BytesIO(path.read_bytes())  # what fails from here on is damage, not a disk or a permission
    try:
        return pd.read_parquet(content, columns=columns, filters=filters)
    except DAMAGED as error:
        raise damaged(path, remedy) from error


def damaged(path: Path, remedy: str) -> UserError:
    """The sentence about a file whose content is not what was written."""
    return UserError(f"{path} is damaged: make it again with {remedy}.")
