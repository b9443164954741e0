"""Stage member: hash the manifest of a protocol's data set -> data/members/PROTOCOL/DATASET.json.

DVC cannot depend on a list of data sets that differs from protocol to protocol. So each protocol depends on
its own folder, which holds only the hashes of its data sets' manifests.
"""

import json
from pathlib import Path

from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.names import NAME_RULE, is_name
from dgreid.paths import MANIFESTS, MEMBERS


def member(protocol: str, dataset: str) -> Path:
    """Write the hashes of a manifest's files; return the written file.

    Raises:
        UserError: the manifest is missing, or a name is none.
    """
    for name in (protocol, dataset):
        if not is_name(name):
            raise UserError(f"{name!r:.60} is no name: {NAME_RULE}.")
    files = sorted((MANIFESTS / dataset).glob("*.parquet"))
    if not files:
        raise UserError(
            f"{MANIFESTS / dataset} is missing: make it with `dgreid manifest dataset={dataset}`."
        )
    path = MEMBERS / protocol / f"{dataset}.json"
    with whole(path) as part:
        part.write_text(
            json.dumps({file.name: sha256(file) for file in files}, indent=1) + "\n", encoding="utf-8"
        )
    return path
