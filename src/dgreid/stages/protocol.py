"""Stage protocol: manifests -> data/protocols/NAME.parquet."""

from pathlib import Path

from dgreid import protocols
from dgreid.config import load_protocol
from dgreid.stages.manifest import MANIFESTS

PROTOCOLS = Path("data/protocols")


def protocol(name: str) -> Path:
    """Assemble, check and write a protocol; returns its file.

    Raises:
        UserError: a manifest is missing, or the data break a rule (see `dgreid.protocols.build`).
    """
    path = PROTOCOLS / f"{name}.parquet"
    protocols.write(path, protocols.build(load_protocol(name), MANIFESTS))
    return path
