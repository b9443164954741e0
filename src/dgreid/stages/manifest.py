"""Stage manifest: make the manifest of a data set from its adopted images -> data/manifests/NAME."""

from pathlib import Path

from dgreid.datasets import parse
from dgreid.datasets.adopt.archive import check_unchanged, images_root, read_record
from dgreid.datasets.config import load_dataset
from dgreid.datasets.imported import add_imported
from dgreid.datasets.manifest import build, write_manifest
from dgreid.paths import MANIFESTS, RAW


def manifest(dataset: str) -> Path:
    """Parse, decode, check and write the manifest of a data set; return its folder.

    Raises:
        UserError: the data set was not adopted, or its images or labels break a rule.
    """
    config = load_dataset(dataset)
    root = images_root(dataset)
    record = read_record(RAW / dataset)
    check_unchanged(config, root, record)
    folder = MANIFESTS / dataset
    parsed = parse(config, root)
    add_imported(dataset, parsed)
    write_manifest(folder, *build(config, root, parsed, record))
    return folder
