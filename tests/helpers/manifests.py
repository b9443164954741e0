"""Manifests of two sources and a target with a few rows, and the protocol that joins them."""

import hashlib
import json

import pyarrow as pa
import pytest

from dgreid.datasets.manifest import IMAGES, SPLITS, write_manifest
from dgreid.errors import UserError
from dgreid.protocols import build
from dgreid.protocols.config import ProtocolConfig

REQUIRED = {"variant": "original", "person_raw": "", "camera_known": True, "width": 4, "height": 8}
REQUIRED |= {"format": "jpg", "bytes": 1, "decode_ok": True}


def row(dataset, path, person, camera, kind="person", pixel=None):
    """A manifest row; the file's content is its name unless `pixel` says otherwise."""
    digest = hashlib.sha256((pixel or f"{dataset}/{path}").encode()).digest()
    return REQUIRED | {
        "image_id": f"{dataset}/original/{path}",
        "dataset": dataset,
        "path": path,
        "person_key": None if kind != "person" else person if ":" in person else f"{dataset}:{person}",
        "kind": kind,
        "camera": camera,
        "pixel_sha256": digest,
    }


def save(folder, dataset, rows, splits=(), kind="full", missing=()):
    """Write a manifest; `splits` maps (split set, number, role) to paths."""
    rows = sorted(rows, key=lambda row: row["image_id"])
    table = [
        {
            "split_set": name,
            "split": number,
            "role": role,
            "image_id": f"{dataset}/original/{path}",
            "order": i,
        }
        for (name, number, role), paths in dict(splits).items()
        for i, path in enumerate(paths)
    ]
    metadata = {"dataset": dataset, "kind": kind, "content": "0" * 64, "generators": "{}"}
    metadata["missing"] = json.dumps(missing)
    images, splits = pa.Table.from_pylist(rows, IMAGES), pa.Table.from_pylist(table, SPLITS)
    write_manifest(folder / dataset, images, splits, metadata)


SOURCE_A = [row("a", f"{person}_{camera}", person, camera) for person in ("p2", "p1") for camera in (0, 1)]
SOURCE_B = [row("b", f"{person}_{n}", person, None) for person in ("x", "y", "z") for n in (0, 1)]
TARGET = [
    *(row("t", f"{role}_{person}", person, camera)
      for person in ("u", "v", "w") for camera, role in ((0, "q"), (1, "g"))),
    row("t", "stranger", None, 1, "distractor"),
    row("t", "junk", None, 1, "junk"),
]  # fmt: skip
TARGET_SPLITS = {
    ("t/two", 0, "query"): ["q_v", "q_u"],
    ("t/two", 0, "gallery"): ["g_u", "g_v", "stranger"],
    ("t/two", 1, "query"): ["q_w"],
    ("t/two", 1, "gallery"): ["g_w", "g_v", "stranger"],
    ("t/two", 0, "train"): ["q_w", "g_w"],
}


def config(sources=("a", "b"), **changes):
    target = {"name": "T", "dataset": "t", "split_set": "t/two", **changes.pop("target", {})}
    node = {"name": "test", "title": "Test", "recipe": "none", "image": "none", "targets": [target]}
    node["sources"] = [{"dataset": source} if isinstance(source, str) else source for source in sources]
    return ProtocolConfig.model_validate(node | changes)


def refused(manifests, match, **changes):
    with pytest.raises(UserError, match=match) as error:
        build(config(**changes), manifests)
    assert "\n" not in str(error.value)
