"""Assemble a protocol from manifests: training rows, queries and galleries, and every check of them.

Only manifests are read. The training label of an identity is the rank of its person key among the sorted keys
of all sources, so nothing depends on the order of files. Rules about several data sets are in `checks`.
"""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from dgreid.datasets.manifest import read_manifest, read_splits
from dgreid.errors import UserError, unknown
from dgreid.protocols import checks
from dgreid.protocols.config import ProtocolConfig, SourceConfig, TargetConfig
from dgreid.protocols.tables import COLUMNS, TEST_COLUMNS, Protocol, worst

log = logging.getLogger(__name__)


def build(config: ProtocolConfig, manifests: Path | str) -> Protocol:
    """Assemble a protocol from the manifests below the folder `manifests`.

    Raises:
        UserError: a manifest or split set is missing, a count is not the expected one, training and test
            share identities or images, a domain has one identity, or a data set is partial or of another
            variant than the protocol needs.
    """
    names = sorted({part.dataset for part in (*config.sources, *config.targets)})
    tables = {name: _load(Path(manifests) / name) for name in names}
    kind = _kind(config, tables)
    variants = {name: sorted(tables[name].variant.unique()) for name in names}
    _check_variants(config, variants)
    train, domains, keys = _training(config, tables)
    checks.check_counts(
        config.name, "training set", config.expect, {"domains": len(domains), **_sizes(train)}
    )
    targets = {target.name: _target(config.name, target, tables[target.dataset]) for target in config.targets}
    test = _test_images(targets, tables)
    checks.check_separate(config.name, train.assign(person_key=keys), test)
    warnings = checks.overlaps(tables)
    metadata = {
        "name": config.name,
        "title": config.title,
        "kind": kind,
        "domains": domains,
        "targets": {
            target.name: {"dataset": target.dataset, "split_set": target.split_set}
            for target in config.targets
        },
        "counts": {"domains": len(domains), **_sizes(train)},
        "content": {name: tables[name].attrs["content"] for name in names},
        "variants": variants,
        "kinds": {name: tables[name].attrs["kind"] for name in names},
        "generators": {name: json.loads(tables[name].attrs["generators"]) for name in names},
        "choices": dict(config.choices),
        "warnings": warnings,
    }
    return Protocol(config.name, kind, train, targets, domains, metadata)


def _load(folder: Path) -> pd.DataFrame:
    """Read a manifest and number its rows; `attrs["folder"]` is the folder that also holds its splits."""
    frame = read_manifest(folder)
    frame["row"] = np.arange(len(frame))
    frame.attrs["folder"] = str(folder)
    return frame


def _kind(config: ProtocolConfig, tables: dict[str, pd.DataFrame]) -> str:
    kinds = {name: table.attrs["kind"] for name, table in tables.items()}
    partial = sorted(name for name, kind in kinds.items() if kind == "partial")
    if partial and not config.allow_partial:
        raise UserError(
            f"protocol {config.name}: {', '.join(partial)} is a partial copy (it lacks "
            f"{', '.join(json.loads(tables[partial[0]].attrs['missing'])) or 'images'}); adopt a whole one, "
            "or choose a protocol with allow_partial."
        )
    if len(set(kinds.values())) > 1 and "miniature" in kinds.values():
        log.warning("protocol %s mixes generated and real data; its results count as miniature.", config.name)
    return worst(kinds.values())


def _check_variants(config: ProtocolConfig, found: dict[str, list[str]]) -> None:
    """Check the variants: equal counts can hide other pixels, as with CUHK-SYSU's three kinds of crops."""
    for name, wanted in config.variants.items():
        if name not in found:
            raise unknown(f"data set in variants of protocol {config.name}:", name, found)
        if found[name] != [wanted]:
            raise UserError(
                f"protocol {config.name}: {name} is {' and '.join(found[name])}, not {wanted}; adopt a copy "
                "of that variant."
            )


def _training(config: ProtocolConfig, tables: dict) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Build the training rows; return them, the domain names and, row by row, the person keys."""
    parts, domains = [], []
    for source in config.sources:
        rows = _source_rows(config.name, source, tables[source.dataset])
        rows["domain"], names = _domains(config.name, source, rows)
        rows["domain"] += len(domains)
        domains += names
        parts.append(rows)
    train = pd.concat(parts, ignore_index=True)
    if train.image_id.duplicated().any():
        twice = train.image_id[train.image_id.duplicated()].iloc[0]
        raise UserError(f"protocol {config.name}: {twice} is in two sources.")
    ranks = {key: rank for rank, key in enumerate(sorted(train.person_key.unique()))}
    train["identity"] = train.person_key.map(ranks).astype(np.int64)
    train["camera"] = train.camera.fillna(0).astype(np.int64)
    for number, name in enumerate(domains):
        identities = train.identity[train.domain == number].nunique()
        if identities < 2:
            raise UserError(
                f"protocol {config.name}: the domain {name} has {identities} identity; training needs "
                "at least two in every domain, so drop the source or use one with more identities."
            )
    keys, train = train.person_key.tolist(), train[COLUMNS]
    train.attrs = {}  # they describe a manifest, not the protocol
    return train, domains, keys


def _source_rows(protocol: str, source: SourceConfig, table: pd.DataFrame) -> pd.DataFrame:
    if source.split_set is None:
        rows = table[table.kind == "person"].copy()
    else:
        splits = _split_rows(protocol, table, source.split_set)
        if (0, source.role) not in splits:
            raise UserError(
                f"protocol {protocol}: {source.split_set} of this copy of {source.dataset} has no images in "
                f"role {source.role}; adopt a copy that has them."
            )
        rows = splits[0, source.role]
    others = rows[rows.kind != "person"]
    if len(others):  # R11
        raise UserError(
            f"protocol {protocol}: {others.image_id.iloc[0]} is {others.kind.iloc[0]}; it cannot train."
        )
    if not len(rows):
        raise UserError(f"protocol {protocol}: {source.dataset} has no training images.")
    return rows


def _domains(protocol: str, source: SourceConfig, rows: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Number the domains of this source from 0; return each row's number, and the names."""
    if source.domain_by == "dataset":
        return pd.Series(0, rows.index, dtype=np.int64), [source.dataset]
    if rows.camera.isna().any():
        raise UserError(
            f"protocol {protocol}: {source.dataset} has images of unknown camera; use domain_by: dataset."
        )
    cameras = sorted(rows.camera.unique())
    numbers = rows.camera.map({camera: n for n, camera in enumerate(cameras)}).astype(np.int64)
    return numbers, [f"{source.dataset}/c{camera + 1}" for camera in cameras]


def _split_rows(protocol: str, table: pd.DataFrame, split_set: str) -> dict[tuple[int, str], pd.DataFrame]:
    """Return the manifest's rows of a split set by (split, role), in the split's order."""
    dataset = table.attrs["dataset"]
    splits = read_splits(table.attrs["folder"])
    known = sorted(splits.split_set.unique())
    if split_set not in known:
        if table.attrs["kind"] == "partial":
            missing = ", ".join(json.loads(table.attrs["missing"]))
            raise UserError(
                f"protocol {protocol}: {dataset} has no splits {split_set}, this copy lacks {missing}."
            )
        raise unknown(f"split set of {dataset}", split_set, known)
    chosen = splits[splits.split_set == split_set].sort_values(["split", "role", "order"], kind="stable")
    by_id = table.set_index("image_id", drop=False)
    by_id.index.name = None
    return {
        (int(number), role): by_id.loc[group.image_id].reset_index(drop=True)
        for (number, role), group in chosen.groupby(["split", "role"])
    }


def _target(protocol: str, target: TargetConfig, table: pd.DataFrame) -> list[tuple]:
    rows = _split_rows(protocol, table, target.split_set)
    numbers = sorted({number for number, _ in rows})
    if target.splits is not None and target.splits > len(numbers):
        raise UserError(f"protocol {protocol}: {target.name} has {len(numbers)} splits, not {target.splits}.")
    codes = {key: code for code, key in enumerate(sorted(table.person_key.dropna().unique()))}
    pairs = []
    for number in numbers[: target.splits]:
        if (number, "query") not in rows or (number, "gallery") not in rows:
            raise UserError(
                f"protocol {protocol}: this copy of {target.dataset} has no query or no gallery images."
            )
        query, gallery = (
            _test_rows(rows[number, role], codes, unknown_camera)
            for unknown_camera, role in enumerate(("query", "gallery"))
        )
        checks.check_counts(
            protocol,
            f"{target.name} split {number}",
            target.expect,
            {"query": len(query), "gallery": len(gallery)},
        )
        checks.check_matches(f"protocol {protocol}: {target.name} split {number}", query, gallery)
        pairs.append((query, gallery))
    return pairs


def _test_rows(rows: pd.DataFrame, codes: dict[str, int], unknown_camera: int) -> pd.DataFrame:
    rows = rows[rows.kind != "junk"]
    rows = rows.assign(
        identity=rows.person_key.map(codes).fillna(-1).astype(np.int64),
        camera=rows.camera.fillna(unknown_camera).astype(np.int64),
    )
    rows = rows[TEST_COLUMNS].reset_index(drop=True)
    rows.attrs = {}
    return rows


def _test_images(targets: dict, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Collect every query and gallery image of all targets once, with its person key."""
    frames = [frame for splits in targets.values() for pair in splits for frame in pair]
    if not frames:
        return pd.DataFrame(columns=["image_id", "pixel_sha256", "person_key"])
    rows = pd.concat(frames).drop_duplicates("image_id")
    keys = pd.concat([table.set_index("image_id").person_key for table in tables.values()])
    return rows.assign(person_key=keys.reindex(rows.image_id).to_numpy())


def _sizes(train: pd.DataFrame) -> dict[str, int]:
    return {"ids": int(train.identity.nunique()), "images": len(train)}
