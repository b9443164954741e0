"""Manifests: one row per image and one per (split, role, image), in parquet.

Nothing depends on the clock, the locale, hash seeds or the order of a folder: two builds of the same data
give the same bytes. `content` in the metadata is the hash of the rows alone.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from dgreid import __version__, sealed
from dgreid.datasets import images as reading
from dgreid.datasets import rules, tally
from dgreid.datasets import splits as splitting
from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.parsers import layout_of
from dgreid.datasets.records import Image, Parsed
from dgreid.device import threads
from dgreid.errors import UserError
from dgreid.files import whole

SCHEMA_VERSION = "1"
PART = 64  # images a thread takes at once: handing them over singly costs more than decoding small ones
WORD = pa.dictionary(pa.int8(), pa.string())
IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),  # {dataset}/{variant}/{path or canonical name}
        pa.field("dataset", WORD, nullable=False),
        pa.field("variant", WORD, nullable=False),
        pa.field("path", pa.string(), nullable=False),  # relative to the root, see images.open_image
        pa.field("source_ref", pa.string()),  # the container reference of derived images
        pa.field("person_key", pa.string()),  # globally unique; null for junk and distractors
        pa.field("person_raw", pa.string(), nullable=False),  # as in the file name
        pa.field("kind", WORD, nullable=False),  # person | distractor | junk
        pa.field("camera", pa.int16()),  # from 0; null if unknown
        pa.field("camera_raw", pa.string()),
        pa.field("camera_known", pa.bool_(), nullable=False),
        pa.field("view", pa.int16()),  # 0 | 1 in data sets of camera pairs
        pa.field("sequence", pa.int32()),
        pa.field("frame", pa.int32()),
        pa.field("index", pa.int32()),
        pa.field("scene", pa.string()),
        pa.field("hard", pa.bool_()),
        pa.field("bbox_xywh", pa.list_(pa.int32(), 4)),
        pa.field("attrs", pa.map_(pa.string(), pa.string())),
        pa.field("official_role", WORD),
        pa.field("width", pa.int16(), nullable=False),  # pixels, decoded
        pa.field("height", pa.int16(), nullable=False),
        pa.field("format", WORD, nullable=False),  # jpg | png | bmp | mat
        pa.field("bytes", pa.int32(), nullable=False),
        pa.field("sha256", pa.binary(32)),  # of the file; null for references
        pa.field("pixel_sha256", pa.binary(32), nullable=False),  # of the RGB bytes, (height, width, 3)
        pa.field("phash", pa.uint64()),  # not computed yet
        pa.field("decode_ok", pa.bool_(), nullable=False),  # always true: a corrupt image is an error
        pa.field("decode_note", pa.string()),
    ]
)
SPLITS = pa.schema(
    [
        pa.field("split_set", WORD, nullable=False),
        pa.field("split", pa.int16(), nullable=False),
        pa.field("role", WORD, nullable=False),  # train | val | query | gallery
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("order", pa.int32(), nullable=False),  # position within (split set, split, role)
    ]
)


def build(
    config: DatasetConfig, root: Path, parsed: Parsed, record: dict | None = None
) -> tuple[pa.Table, pa.Table, dict[str, str]]:
    """Decode and check every image and every split.

    Args:
        config: the data set.
        root: what the paths are relative to.
        parsed: what its parser found there.
        record: what `adopt` recorded; its source and acknowledgement go into the metadata.

    Returns:
        images and splits in the schemas above, and their metadata (kind, counts, content hash, ...).

    Raises:
        UserError: a corrupt image, or a broken rule (see `rules`).
    """
    record = record or {}
    kind = tally.data_kind(config, parsed, root, record.get("published", False))
    if not record.get("published"):  # the published archive is right by definition
        tally.published_identities(config, parsed, root)
        if kind == "full":  # the counts are the published ones
            splitting.check_frozen(parsed, layout_of(config.parser).split_sets, config.title)
    parsed.images.sort(key=lambda image: f"{image.variant}/{image.member}")
    rows = [
        _row(config, image) | pixels
        for image, pixels in zip(parsed.images, _decode_all(root, parsed.images, config.name), strict=True)
    ]
    warnings = rules.say(parsed.notes, config)
    warnings += rules.check_images(parsed.images, rows, config)
    warnings += rules.check_splits(rows, parsed, config)
    images = pa.Table.from_pylist(rows, IMAGES)
    splits = _split_table(parsed, {row["path"]: row["image_id"] for row in rows})
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "tool": f"dgreid {__version__}",
        "dataset": config.name,
        "kind": kind,
        "content": content_hash(images, splits),
        "rows": str(len(images)),
        "access": config.access,
        "acknowledged": json.dumps(record.get("acknowledged", False)),
        "source": record.get("source") or "",
        "source_sha256": record.get("sha256") or "",
        "licence": "drawn by this project" if kind == "miniature" else "unspecified",
        "counts": json.dumps(tally.counts(parsed), sort_keys=True),
        "missing": json.dumps(sorted(parsed.missing)),
        "variants": json.dumps(sorted({image.variant for image in parsed.images})),
        "split_contents": json.dumps(splitting.contents(parsed.splits), sort_keys=True),
        "generators": json.dumps(parsed.generators, sort_keys=True),
        "numpy": np.__version__ if parsed.generators else "",  # which generated the splits
        "warnings": json.dumps(warnings),
    }
    return images, splits, metadata


def write_manifest(folder: Path, images: pa.Table, splits: pa.Table, metadata: dict[str, str]) -> None:
    """Write images.parquet and splits.parquet, both or neither."""
    with whole(folder) as part:
        part.mkdir()
        for name, table in (("images", images), ("splits", splits)):
            table = table.replace_schema_metadata(dict(sorted(metadata.items())))
            sealed.write_table(table, part / f"{name}.parquet")


def read_manifest(path: Path | str) -> pd.DataFrame:
    """Read one row per image: the table `images.parquet` of a manifest.

    Args:
        path: the manifest's folder, or its images.parquet.

    Returns:
        the columns of `IMAGES`; `frame.attrs` has `kind` (miniature, partial, unverified or full), `dataset`,
        `content` and the other metadata.

    Raises:
        UserError: there is no manifest, or it cannot be read.
    """
    return _read(Path(path), "images.parquet")


def read_splits(path: Path | str) -> pd.DataFrame:
    """Read one row per (split set, split, role, image): the table `splits.parquet` of a manifest."""
    return _read(Path(path), "splits.parquet")


def content_hash(*tables: pa.Table) -> str:
    """SHA-256 of the rows of tables, as hex; independent of file format, compression and library versions."""
    digest = hashlib.sha256()
    for table in tables:
        for batch in table.to_batches(max_chunksize=4096):  # as Python objects, rows take much memory
            for row in batch.to_pylist():
                digest.update(json.dumps(row, sort_keys=True, default=bytes.hex).encode() + b"\n")
        digest.update(b"\x00")
    return digest.hexdigest()


def _read(path: Path, name: str) -> pd.DataFrame:
    file = path / name if path.is_dir() or path.suffix != ".parquet" else path
    command = f"`dgreid manifest dataset={file.parent.name}`"
    if not file.is_file():
        raise UserError(f"{file}: no manifest here; make it with {command}.")
    with sealed.reading(file, f"make it again with {command}", "damaged, or not a parquet file"):
        table = sealed.read_table(file, SPLITS if name == "splits.parquet" else IMAGES)
    words = [pa.field(f.name, pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    nullable = {pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = table.cast(pa.schema(words)).to_pandas(types_mapper=nullable.get)
    frame.attrs = {k: v for k, v in metadata.items() if k != "pandas"}
    return frame


def _row(config: DatasetConfig, image: Image) -> dict:
    # generated identities exist beside the real ones of the same layout, so their keys carry their own name
    population = config.name if config.access == "drawn" else config.parser
    return {
        "image_id": f"{config.name}/{image.variant}/{image.member}",
        "dataset": config.name,
        "variant": image.variant,
        "path": image.path,
        "source_ref": image.path if image.name else None,
        "person_key": None if image.person is None else f"{population}:{image.person}",
        "person_raw": image.person_raw,
        "kind": image.kind,
        "camera": image.camera,
        "camera_raw": image.camera_raw,
        "camera_known": image.camera is not None,
        "view": image.view,
        "sequence": image.sequence,
        "frame": image.frame,
        "index": image.index,
        "scene": image.scene,
        "hard": image.hard,
        "bbox_xywh": image.bbox,
        "attrs": sorted(image.attrs.items()),
        "official_role": image.role,
        "phash": None,
        "decode_ok": True,
        "decode_note": None,
    }


def _decode_all(root: Path, images: list[Image], title: str) -> list[dict]:
    def decode(part: list[Image]) -> list[dict]:
        return [_pixels(root, image) for image in part]

    parts = [images[start : start + PART] for start in range(0, len(images), PART)]
    found = []
    with (
        tqdm(total=len(images), desc=title, unit=" images", disable=None) as bar,
        ThreadPoolExecutor(threads()) as pool,  # Pillow decodes outside the interpreter lock
    ):
        for rows in map(decode, parts) if threads() == 1 else pool.map(decode, parts):
            found += rows
            bar.update(len(rows))
    return found


def _pixels(root: Path, image: Image) -> dict:
    if "#" in image.path:
        picture, content = reading.open_image(root, image.path), None
    else:
        file = root / image.path
        content = reading.read(file)
        picture = reading.decode(content, file)
    pixels = picture.tobytes()
    suffix = Path(image.path.split("#")[0]).suffix.lower().lstrip(".")
    return {
        "width": picture.width,
        "height": picture.height,
        "format": {"jpeg": "jpg"}.get(suffix, suffix),
        "bytes": len(pixels if content is None else content),
        "sha256": None if content is None else hashlib.sha256(content).digest(),
        "pixel_sha256": hashlib.sha256(pixels).digest(),
    }


def _split_table(parsed: Parsed, ids: dict[str, str]) -> pa.Table:
    rows = [
        {"split_set": split_set, "split": split, "role": role, "image_id": ids[path], "order": order}
        for (split_set, split, role), paths in sorted(parsed.splits.items())
        for order, path in enumerate(paths)
    ]
    return pa.Table.from_pylist(rows, SPLITS)
