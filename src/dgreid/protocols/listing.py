"""Every protocol at a glance: who trains, who is searched, and what of it is on this machine."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from dgreid.config import DatasetConfig, ProtocolConfig, SourceConfig, choices, load_dataset, load_protocol
from dgreid.datasets.archive import ARCHIVES, RAW, read_record

GAP = "  "
PROTOCOLS = {"protocol": 21, "ids": 6, "images": 7, "dom.": 4, "sources": 30, "targets": 18, "here": 22}
DATASETS = {"data set": 18, "here": 9, "access": 9, "counts, or what to run": 78}
RIGHT = ("ids", "images", "dom.")
LEGEND = """\
Sources: NAME is every image of its people, NAME:SET the training part of a split set; "by camera" makes each
camera a domain, else a data set is one (dom. = domains). Counts are enforced when a protocol is made.
"""


def protocols_table(raw: Path = RAW, archives: Path = ARCHIVES) -> str:
    """Two aligned tables for a terminal of 120 columns: the protocols, and the data sets they name.

    Args:
        raw: where adopted data sets are.
        archives: where drawn archives are.
    """
    protocols = [load_protocol(name) for name in choices("protocol")]
    names = sorted({name for protocol in protocols for name in _members(protocol)})
    datasets = {name: load_dataset(name) for name in names}
    records = {name: read_record(raw / name) for name in names}
    states = {name: _state(datasets[name], records[name], raw, archives) for name in names}
    rows = [
        (
            protocol.name,
            *(f"{protocol.expect[key]:,}" if key in protocol.expect else "" for key in ("ids", "images")),
            str(protocol.expect.get("domains", "")),
            ", ".join(map(_source, protocol.sources)),
            ", ".join(target.name for target in protocol.targets) or "none",
            _here(protocol, states),
        )
        for protocol in protocols
    ]
    sets = [
        (name, states[name], datasets[name].access, _advice(datasets[name], states[name], records[name]))
        for name in names
    ]
    return "\n".join([*_table(PROTOCOLS, rows), "", *_table(DATASETS, sets), "", LEGEND.rstrip()])


def _members(protocol: ProtocolConfig) -> list[str]:
    """The data sets a protocol needs, each once, sources first."""
    return list(dict.fromkeys(part.dataset for part in (*protocol.sources, *protocol.targets)))


def _source(source: SourceConfig) -> str:
    part = f":{source.split_set.split('/')[1]}" if source.split_set else ""
    return f"{source.dataset}{part}" + (" by camera" if source.domain_by == "camera" else "")


def _state(config: DatasetConfig, record: dict | None, raw: Path, archives: Path) -> str:
    """full, partial or miniature where the data are here; to draw, or missing, where they are not."""
    if record is not None and (raw / config.name / record["root"]).is_dir():
        return record["kind"]
    if config.access == "drawn":
        return "miniature" if (archives / f"{config.name}.zip").is_file() else "to draw"
    return "missing"


def _here(protocol: ProtocolConfig, states: dict[str, str]) -> str:
    """ready, or what is in the way."""
    here = {name: states[name] for name in _members(protocol)}
    lacks = [name for name, state in here.items() if state == "missing"]
    partial = [name for name, state in here.items() if state == "partial"]
    if lacks:
        return "lacks " + ", ".join(lacks)
    if partial and not protocol.allow_partial:
        return f"{', '.join(partial)} partial"
    kinds = set(here.values())
    worst = next((kind for kind in ("to draw", "miniature", "partial") if kind in kinds), "full")
    return {"to draw": "ready, to be drawn"}.get(worst, f"ready, {worst}")


def _advice(config: DatasetConfig, state: str, record: dict | None) -> str:
    if state == "to draw":
        return f"dgreid synthesize dataset={config.name}"
    if state == "missing":
        terms = " --acknowledge" if config.access in ("withdrawn", "request") else ""
        return f"dgreid adopt {config.name} --from PATH{terms}"
    if record is None:  # drawn, and adopted when it is first needed
        return "drawn"
    counts = ", ".join(f"{record['counts'][key]:,} {key}" for key in ("images", "ids"))
    lack = f"; lacks {', '.join(record['missing'])}" if record["missing"] else ""
    return f"{counts}; from {record['source']}{lack}"


def _table(columns: dict[str, int], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: cells wrapped to their column's width, numbers to the right."""
    lines = [_line(columns, list(columns)), _line(columns, ["-" * width for width in columns.values()])]
    for row in rows:
        cells = [
            wrap(cell, width, break_on_hyphens=False) or [""]
            for cell, width in zip(row, columns.values(), strict=True)
        ]
        for number in range(max(map(len, cells))):
            lines.append(_line(columns, [cell[number] if number < len(cell) else "" for cell in cells]))
    return lines


def _line(columns: dict[str, int], cells: Sequence[str]) -> str:
    aligned = (
        cell.rjust(width) if name in RIGHT else cell.ljust(width)
        for (name, width), cell in zip(columns.items(), cells, strict=True)
    )
    return GAP.join(aligned).rstrip()
