"""`adopted.json`, the record of what was adopted, and rule R1: the data stay those that were adopted."""

import hashlib
import json
from pathlib import Path

from dgreid.datasets.adopt import extract
from dgreid.datasets.adopt.offer import Offer
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.names import Places, list_images
from dgreid.datasets.parsers import layout_of
from dgreid.errors import UserError

RECORD = "adopted.json"


def read_record(folder: Path) -> dict | None:
    """Read what `adopt` recorded about `folder`; None without a record that `adopt` wrote."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"kind", "root", "source"} <= record.keys() else None


def write_record(folder: Path, record: dict) -> None:
    """Write what `read_record` reads."""
    (folder / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def fingerprint(root: Path, held: Places) -> str:
    """SHA-256, as hex, of names and sizes of all images and containers: cheap, and it sees most changes."""
    names = [place for place, pattern in held if pattern is None]
    for place, pattern in held:
        if pattern is not None:
            names += [f"{place}/{name}" if place else name for name in list_images(root / place)]
    rows = [[name, (root / name).stat().st_size] for name in sorted(names)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def check_unchanged(config: DatasetConfig, root: Path, record: dict | None) -> None:
    """R1: the files are those that were adopted, by names and sizes; a linked folder may have changed.

    Raises:
        UserError: they are not.
    """
    pinned = (record or {}).get("fingerprint")
    if pinned and pinned != fingerprint(root, layout_of(config.parser).places(root)):
        raise UserError(
            f"{root}: its files are not those adopted from {record['source']} at {record['adopted']}; put "
            f"them back, or run `dgreid adopt {config.name} --from PATH --replace`."
        )


def check_archive(earlier: dict | None, offer: Offer, target: Path) -> None:
    """R1: without a published hash, an archive must be the one adopted earlier at `target`.

    Raises:
        UserError: it is another one, or it is damaged.
    """
    pinned = earlier and earlier.get("sha256")
    if pinned and offer.sha256 and pinned != offer.sha256:
        extract.check_whole(offer.path)
        raise UserError(
            f"{offer.path}: sha256 {offer.sha256[:12]}..., not the archive adopted before "
            f"({earlier['source']}, sha256 {pinned[:12]}..., in {target / RECORD}); to exchange it, add "
            "--replace."
        )


def check_files(earlier: dict | None, offer: Offer, record: dict, target: Path) -> None:
    """R1: if a folder is adopted, or was earlier, compare names and sizes, as a folder has no hash.

    Raises:
        UserError: the files differ from those adopted earlier at `target`.
    """
    if earlier is None or (offer.sha256 is not None and earlier.get("sha256") == offer.sha256):
        return
    pinned, lesser = earlier.get("fingerprint"), record["kind"] == "partial" != earlier.get("kind")
    if lesser or (pinned and pinned != record["fingerprint"]):
        before, after = (
            f"{each.get('counts', {}).get('images', 0):,} images, {each['kind']}"
            for each in (earlier, record)
        )
        raise UserError(
            f"{offer.path}: its files ({after}) are not those adopted before from {earlier['source']} "
            f"({before}, in {target / RECORD}); to exchange them, add --replace."
        )
