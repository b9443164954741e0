"""Adopting a local copy of a data set: find it, check it, fetch it, recognise it, record it.

An adopted data set is `data/raw/NAME/files` (extracted, linked or copied) with `adopted.json` beside
it; either it is complete or absent. Nothing is ever downloaded.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from dgreid.datasets import tally
from dgreid.datasets.adopt import extract
from dgreid.datasets.adopt.fetch import fetch, fetch_companions, find_or_unpack
from dgreid.datasets.adopt.offer import Offer, guess, resolve, where_from
from dgreid.datasets.adopt.record import (
    check_archive,
    check_files,
    check_unchanged,
    fingerprint,
    read_record,
    write_record,
)
from dgreid.datasets.adopt.terms import check_terms, remedy, where_to_ask
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.datasets.names import Places
from dgreid.datasets.parsers import layout_of, parse
from dgreid.datasets.walk import Found, left_out, walk
from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.paths import ARCHIVES, RAW

__all__ = ["adopt", "check_link", "check_unchanged", "images_root", "link", "read_record", "where_to_ask"]

log = logging.getLogger(__name__)


def adopt(
    config: DatasetConfig,
    source: Path | str,
    to: Path | str,
    mode: str = "link",
    acknowledge: bool = False,
    replace: bool = False,
) -> Path:
    """Take a local archive or folder as the data set, after checking that it is one.

    Args:
        config: the data set.
        source: a .zip or .tar(.gz, .bz2, .xz) file, possibly with another one in it; or a folder that
            holds the data set or its archive, or one of its image folders.
        to: the folder of adopted data sets; the result is `to/NAME`, and replaces an earlier one.
        mode: what to do with a folder: link or copy. Archives are extracted.
        acknowledge: the user states that they have read the terms; needed if data are withdrawn or given
            on request, and recorded.
        replace: accept another archive or other files than those adopted before.

    Returns:
        the root of the images.

    Raises:
        UserError: unsafe or truncated archive, wrong checksum, other files than before, wrong data
            set, wrong counts, acknowledgement missing. Nothing is left behind.
    """
    target = Path(to) / config.name
    check_terms(config, acknowledge)
    offer = resolve(config, Path(source).expanduser(), mode, target)
    published = _is_published(config, offer, replace)
    earlier = None if published or replace else read_record(target)
    check_archive(earlier, offer, target)
    with whole(target) as part, _rename_in_errors(part, offer.path, target):
        part.mkdir()
        fetch(offer, part / "files")
        fetch_companions(layout_of(config.parser), offer, part)
        root, record = _recognise(config, part / "files", offer, published)
        check_files(earlier, offer, record, target)
        record |= {
            "source": Path(os.path.abspath(offer.path)).name,
            "sha256": offer.sha256,
            "root": str(root.relative_to(part)),
            "published": published,
            "acknowledged": acknowledge,
            "adopted": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_record(part, record)
    found = _found(config, record)
    log.info("%s: adopted %s, %s data: %s.", config.name, offer.path, record["kind"], found)
    return target / record["root"]


def check_link(name: str, to: Path | str) -> None:
    """Refuse to hide a real folder behind the link that `link` makes; call it before adopting."""
    entry = RAW / name
    if not _is_raw(to) and entry.exists() and not entry.is_symlink():
        raise UserError(
            f"{entry} is a folder, so it cannot become a link to {Path(to) / name}: move it away, or adopt "
            "without --to to replace it."
        )


def link(name: str, to: Path | str) -> None:
    """Link data/raw/NAME, where every later stage looks, to a data set adopted elsewhere."""
    if _is_raw(to):
        return
    check_link(name, to)
    with whole(RAW / name) as part:
        part.symlink_to((Path(to) / name).resolve(), target_is_directory=True)
    log.info("%s leads to %s.", RAW / name, Path(to) / name)


def images_root(name: str, raw: Path = RAW, archives: Path = ARCHIVES) -> Path:
    """Find the folder that the paths of a manifest are relative to.

    If there is `data/archives/NAME.zip`, it is adopted first, and again after it has changed.

    Raises:
        UserError: the data set was never adopted; says how to do that.
    """
    config, archive = load_dataset(name), archives / f"{name}.zip"
    record = read_record(raw / name)
    if archive.is_file() and not _is_current(record, archive):
        raw.mkdir(parents=True, exist_ok=True)
        with FileLock(raw / f".{name}.lock"):  # several runs may ask at the same time
            record = read_record(raw / name)
            if not _is_current(record, archive):
                adopt(config, archive, raw, acknowledge=config.access == "drawn", replace=True)
                record = read_record(raw / name)
    if record is None:
        raise UserError(f"{raw / name}: {config.title} is not here; {remedy(config)}.")
    root = raw / name / record["root"]
    if not root.is_dir():
        raise UserError(f"{root}: the adopted folder is gone; {remedy(config)}.")
    return root


def _is_raw(to: Path | str) -> bool:
    return Path(to).resolve() == RAW.resolve()


def _is_current(record: dict | None, archive: Path) -> bool:
    return record is not None and record.get("sha256") == sha256(archive)


def _is_published(config: DatasetConfig, offer: Offer, replace: bool) -> bool:
    """R1: whether this is the published archive, by its md5; an archive of another name may differ from it.

    A repacked archive under the published name is taken only with `replace`; its names and counts are
    checked all the same.
    """
    if not config.md5 or offer.md5 is None:
        return False
    if offer.md5 != config.md5 and offer.path.name == config.archive:
        extract.check_whole(offer.path)  # if it is a truncated download, say that instead
        known = f"{offer.path}: its md5 is {offer.md5}, the published {config.archive} has {config.md5}"
        if not replace:
            raise UserError(
                f"{known}; get it again, or add --replace if it was repacked and you trust it (names and "
                "counts are checked all the same)."
            )
        log.warning("%s; taken as a repacked copy.", known)
    return offer.md5 == config.md5


@contextmanager
def _rename_in_errors(part: Path, source: Path, target: Path) -> Iterator[None]:
    """Make error messages name what the user knows instead of our temporary folder `part`."""
    try:
        yield
    except UserError as error:
        said = str(error).replace(str(part / "files"), str(source))
        raise UserError(said.replace(str(part), str(target))) from error


def _recognise(config: DatasetConfig, files: Path, offer: Offer, published: bool) -> tuple[Path, dict]:
    """Find the root in the fetched files, parse the names, check identities and counts."""
    layout, source = layout_of(config.parser), str(offer.path)
    try:
        bound = extract.allowed(offer.path) if offer.mode == "extract" else None
        root = find_or_unpack(layout, files, source, bound)
        parsed = parse(config, root)
    except UserError as error:
        said = str(error).removesuffix(".") + where_from(error, config)
        raise UserError(said + guess(files, layout.title)) from error
    if not parsed.images:
        raise UserError(f"{root}: the folders of {config.title} hold no images; get a whole copy.")
    if not published:
        tally.published_identities(config, parsed, root)
    kind = tally.data_kind(config, parsed, str(root).replace(str(files), source), published)
    if said := _left_out(root, layout.places(root)):
        log.warning("%s: not taken: %s.", source, said)
    for note in parsed.notes:
        log.warning("%s: %s.", source, note)
    return root, {
        "dataset": config.name,
        "kind": kind,
        "counts": tally.counts(parsed),
        "missing": list(parsed.missing),
        "variants": sorted({image.variant for image in parsed.images}),
        "split_sets": sorted({split_set for split_set, _, _ in parsed.splits}),
        "lacks": list(parsed.lacks),
        "fingerprint": fingerprint(root, layout.places(root)),
    }


def _left_out(root: Path, places: Places) -> str:
    """Say what lies in the image folders and is not taken, and why."""
    found = [
        Found(f"{place}/{path}" if place else path, kind)
        for place, pattern in places
        if pattern is not None
        for path, kind in walk(root / place)
    ]
    return left_out(found)


def _found(config: DatasetConfig, record: dict) -> str:
    """Say what was found, and what a whole copy has."""
    words = []
    for name in ("images", "ids", "cameras"):
        number, whole_copy = record["counts"].get(name, 0), config.expect.get(name)
        words.append(f"{number:,} {name}" + (f" of {whole_copy:,}" if whole_copy else ""))
    if record["missing"]:
        words.append("missing " + ", ".join(record["missing"]))
    return ", ".join(words)
