"""Stage protocol: assemble manifests -> data/protocols/NAME/{train,targets}.parquet."""

from pathlib import Path

from dgreid import protocols
from dgreid.paths import MANIFESTS, PROTOCOLS
from dgreid.protocols.config import load_protocol


def protocol(name: str) -> Path:
    """Assemble, check and write a protocol; return its folder.

    Raises:
        UserError: a manifest is missing, or the data break a rule (see `dgreid.protocols.build`).
    """
    folder = PROTOCOLS / name
    protocols.write(folder, protocols.build(load_protocol(name), MANIFESTS))
    return folder
