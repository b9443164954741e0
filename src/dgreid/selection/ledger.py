"""Read dvc.lock: what DVC last made each item from, and what it made."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yaml import YAMLError

from dgreid.documents import parse_plain_yaml
from dgreid.files import md5
from dgreid.paths import CODE, LEDGER


class Ledger:
    """The stages of dvc.lock; empty if there is none, or if it is damaged, which DVC itself says."""

    def __init__(self, path: Path = LEDGER) -> None:
        try:
            node = parse_plain_yaml(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, YAMLError):
            node = None
        stages = node.get("stages") if isinstance(node, dict) else None
        self._stages: Mapping[str, Any] = stages if isinstance(stages, dict) else {}

    def knows(self, item: str) -> bool:
        """Whether the outputs of an item, `STAGE/NAME`, are those that DVC made, as far as they are here."""
        outs = self._entries(item, "outs")
        here = {path: digest for path, digest in outs.items() if Path(path).is_file()}
        return bool(here) and all(md5(path) == digest for path, digest in here.items())

    def agrees(self, item: str, text: str) -> bool:
        """Whether an item was last made from this content of its file in data/code, or said to be."""
        noted = self._entries(item, "deps").get(f"{CODE}/{item}.json")
        return noted == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    def _entries(self, item: str, section: str) -> dict[str, str]:
        """Return path -> MD5 of an item's dependencies or outputs."""
        stage = self._stages.get(item.replace("/", "@", 1))
        entries = stage.get(section) if isinstance(stage, dict) else None
        return {
            str(entry.get("path")): str(entry.get("md5"))
            for entry in (entries if isinstance(entries, list) else ())
            if isinstance(entry, dict)
        }
