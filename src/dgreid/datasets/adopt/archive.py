"""Adopting a local copy of a data set: verify, fetch (see `source`), recognise, record.

An adopted data set is `data/raw/NAME/files` (extracted, linked or copied) with `adopted.json` beside
it; either is complete or absent. Nothing is ever downloaded.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from dgreid.datasets import parse, parser, rules
from dgreid.datasets.adopt import extract
from dgreid.datasets.adopt.source import (
    chosen,
    fetch,
    fetch_companions,
    find_or_unpack,
    fingerprint,
    guess,
    hashes,
    locate,
    where_from,
)
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.paths import ARCHIVES, RAW

log = logging.getLogger(__name__)
RECORD = "adopted.json"


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
        source: a .zip or .tar(.gz, .bz2, .xz) file, possibly holding one more of them, or a folder: one that
            holds the data set or its archive, or one of its image folders.
        to: where adopted data sets live; the result is `to/NAME`, and replaces an earlier one.
        mode: what to do with a folder: link or copy. Archives are extracted.
        acknowledge: the user states to have read the terms; needed where data are withdrawn or given
            on request, and recorded.
        replace: take another archive or other files than those adopted before.

    Returns:
        the root of the images.

    Raises:
        UserError: unsafe or truncated archive, wrong checksum, other files than before, wrong data
            set, wrong counts, acknowledgement missing. Nothing is left behind.
    """
    source, target = Path(source).expanduser(), Path(to) / config.name
    _check_terms(config, acknowledge)
    if mode not in ("link", "copy"):
        raise UserError(f"mode {mode!r}: a folder is adopted by link or by copy.")
    if not source.exists():
        raise UserError(f"{source} does not exist; give the archive or folder of {config.title}.")
    given, source = source, locate(parser(config.parser), config, source, mode)
    if target.exists() and source.resolve().is_relative_to(target.resolve()):
        raise UserError(f"{source} lies inside {target}, which is replaced; move it elsewhere first.")
    digest, md5 = (None, None) if source.is_dir() else hashes(source)
    published = _has_published_md5(config, source, md5, replace)
    earlier = None if published or replace else read_record(target)
    if digest is not None:
        _check_pin(earlier, source, digest, target)
    with whole(target) as part, _names(part, source, target):
        part.mkdir()
        fetch(source, part / "files", mode, chosen(parser(config.parser), given, source))
        fetch_companions(parser(config.parser), source, part)
        root, record = _recognise(config, part, published, source)
        _check_files(earlier, source, digest, record, target)
        record |= {
            "source": Path(os.path.abspath(source)).name,
            "sha256": digest,
            "root": str(root.relative_to(part)),
            "published": published,
            "acknowledged": acknowledge,
            "adopted": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (part / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    log.info("%s: adopted %s, %s data: %s.", config.name, source, record["kind"], _found(config, record))
    return target / record["root"]


def check_unchanged(config: DatasetConfig, root: Path, record: dict | None) -> None:
    """R1: the files are those that were adopted, by their names and sizes; a linked folder may have changed.

    Raises:
        UserError: they are not.
    """
    pinned = (record or {}).get("fingerprint")
    if pinned and pinned != fingerprint(root, parser(config.parser).places(root)):
        raise UserError(
            f"{root}: its files are not those adopted from {record['source']} at {record['adopted']}; put "
            f"them back, or run `dgreid adopt {config.name} --from PATH --replace`."
        )


def _found(config: DatasetConfig, record: dict) -> str:
    """What was found against what a whole copy has."""
    words = []
    for name in ("images", "ids", "cameras"):
        number, whole_copy = record["counts"].get(name, 0), config.expect.get(name)
        words.append(f"{number:,} {name}" + (f" of {whole_copy:,}" if whole_copy else ""))
    if record["missing"]:
        words.append("missing " + ", ".join(record["missing"]))
    return ", ".join(words)


def check_link(name: str, to: Path | str) -> None:
    """Refuse to hide a real folder behind the link that `link` makes; asked before anything is adopted."""
    entry = RAW / name
    if not _is_raw(to) and entry.exists() and not entry.is_symlink():
        raise UserError(
            f"{entry} is a folder, so it cannot become a link to {Path(to) / name}: move it away, or adopt "
            "without --to to replace it."
        )


def link(name: str, to: Path | str) -> None:
    """Make data/raw/NAME, where every later stage looks, lead to a data set adopted elsewhere."""
    if _is_raw(to):
        return
    check_link(name, to)
    with whole(RAW / name) as part:
        part.symlink_to((Path(to) / name).resolve(), target_is_directory=True)
    log.info("%s leads to %s.", RAW / name, Path(to) / name)


def _is_raw(to: Path | str) -> bool:
    return Path(to).resolve() == RAW.resolve()


def images_root(name: str, raw: Path = RAW, archives: Path = ARCHIVES) -> Path:
    """The folder that the paths of a manifest are relative to.

    `data/archives/NAME.zip`, if there, is adopted first, and again when it has changed.

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
        raise UserError(f"{raw / name}: {config.title} is not here; {_remedy(config)}.")
    root = raw / name / record["root"]
    if not root.is_dir():
        raise UserError(f"{root}: the adopted folder is gone; {_remedy(config)}.")
    return root


def read_record(folder: Path) -> dict | None:
    """What `adopt` recorded about `folder`; None if there is nothing, or nothing that `adopt` writes."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"kind", "root", "source"} <= record.keys() else None


def where_to_ask(config: DatasetConfig) -> str:
    """How to get a data set, one sentence; none is openly licensed with a known hash, so none is fetched."""
    if config.access == "drawn":
        return f"{config.title} is drawn, not downloaded: `dgreid synthesize dataset={config.name}`."
    if config.access == "withdrawn":
        return f"{config.title} was withdrawn by its authors and is handed out nowhere; do without it."
    way = {
        "open": "no open licence is stated for it",
        "request": "it is given on request",
        "agreement": "it is given under an agreement",
    }[config.access]
    way += f"; see {config.home}" if config.home else "; ask its authors"
    return f"{config.title} is not downloaded: {way}, then run `dgreid adopt {config.name} --from PATH`."


def _remedy(config: DatasetConfig) -> str:
    if config.access == "drawn":
        return f"draw it with `dgreid synthesize dataset={config.name}`"
    get = f", to be had from {config.home}" if config.home else ""
    return f"run `dgreid adopt {config.name} --from PATH` with its archive or folder{get}"


def _check_terms(config: DatasetConfig, acknowledge: bool) -> None:
    """R20: withdrawn or restricted data need a statement of the user, which is recorded."""
    if acknowledge or config.access not in ("withdrawn", "request"):
        return
    state = {"withdrawn": "was withdrawn by its authors", "request": "is given on request only"}
    terms = f" ({config.home})" if config.home else ""
    raise UserError(
        f"{config.title} {state[config.access]}{terms}; if you hold a copy that you may use, say so with "
        "--acknowledge."
    )


def _has_published_md5(config: DatasetConfig, source: Path, found: str | None, replace: bool) -> bool:
    """R1: whether this is the published archive; an md5 belongs to one file, so another name may differ.

    A repacked archive under the published name is taken only when told so (`replace`): its names and counts
    are checked all the same.
    """
    if not config.md5 or found is None:
        return False
    if found != config.md5 and source.name == config.archive:
        extract.check_whole(source)  # a truncated download is that before it is another file
        known = f"{source}: its md5 is {found}, the published {config.archive} has {config.md5}"
        if not replace:
            raise UserError(
                f"{known}; get it again, or add --replace if it was repacked and you trust it (names and "
                "counts are checked all the same)."
            )
        log.warning("%s; taken as a repacked copy.", known)
    return found == config.md5


def _check_pin(record: dict | None, source: Path, digest: str, target: Path) -> None:
    """R1: without a published hash, the archive seen first is the one; another needs the user's word."""
    pinned = record and record.get("sha256")
    if pinned and pinned != digest:
        extract.check_whole(source)
        raise UserError(
            f"{source}: sha256 {digest[:12]}..., not the archive adopted before ({record['source']}, sha256 "
            f"{pinned[:12]}..., in {target / RECORD}); if you mean to exchange it, add --replace."
        )


def _check_files(record: dict | None, source: Path, digest: str | None, now: dict, target: Path) -> None:
    """R1: likewise where a folder is adopted, or was: by names and sizes, for a folder has no hash."""
    if record is None or (digest is not None and record.get("sha256") == digest):
        return
    pinned, lesser = record.get("fingerprint"), (record.get("kind"), now["kind"]) == ("full", "partial")
    if lesser or (pinned and pinned != now["fingerprint"]):
        before, after = (
            f"{each.get('counts', {}).get('images', 0):,} images, {each['kind']}" for each in (record, now)
        )
        raise UserError(
            f"{source}: its files ({after}) are not those adopted before from {record['source']} ({before}, "
            f"in {target / RECORD}); if you mean to exchange them, add --replace."
        )


@contextmanager
def _names(part: Path, source: Path, target: Path) -> Iterator[None]:
    """Let messages name what the user knows instead of our temporary folder."""
    try:
        yield
    except UserError as error:
        said = str(error).replace(str(part / "files"), str(source))
        raise UserError(said.replace(str(part), str(target))) from error


def _recognise(config: DatasetConfig, part: Path, published: bool, source: Path) -> tuple[Path, dict]:
    """Find the root, parse the names, check people and counts."""
    module, files = parser(config.parser), part / "files"
    try:
        root = find_or_unpack(module, files, str(source))
        parsed = parse(config, root)
    except UserError as error:
        said = str(error).removesuffix(".") + where_from(error, config)
        raise UserError(said + guess(files, module.TITLE)) from error
    if not parsed.images:
        raise UserError(f"{root}: the folders of {config.title} hold no images; get a whole copy.")
    if not published:
        rules.published_people(config, parsed, root)
    kind = rules.data_kind(config, parsed, str(root).replace(str(files), str(source)))
    for note in parsed.notes:
        log.warning("%s: %s.", source, note)
    return root, {
        "dataset": config.name,
        "kind": kind,
        "counts": rules.counts(parsed),
        "missing": list(parsed.missing),
        "variants": sorted({image.variant for image in parsed.images}),
        "split_sets": sorted({split_set for split_set, _, _ in parsed.splits}),
        "lacks": list(parsed.lacks),
        "fingerprint": fingerprint(root, module.places(root)),
    }


def _is_current(record: dict | None, archive: Path) -> bool:
    return record is not None and record.get("sha256") == sha256(archive)
