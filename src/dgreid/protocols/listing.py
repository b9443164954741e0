"""List the protocols: their sources, their targets, and which of their data are on this machine."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from dgreid.datasets.adopt.archive import read_record
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.datasets.parsers import layout_of
from dgreid.errors import UserError
from dgreid.params import names as choices
from dgreid.paths import ARCHIVES, RAW
from dgreid.protocols.config import ProtocolConfig, SourceConfig, TargetConfig, load_protocol
from dgreid.protocols.tables import worst

GAP, SOLID = "  ", "\N{NO-BREAK SPACE}"
PROTOCOLS = {"protocol": 21, "ids": 6, "images": 7, "dom.": 4, "sources": 31, "targets": 21, "here": 18}
DATASETS = {"data set": 18, "here": 11, "access": 9, "counts, or what to run": 76}
RIGHT = ("ids", "images", "dom.")
LEGEND = """\
Sources: NAME is every image of its identities, NAME:SET the training part of a split set; "by camera" makes
each camera a domain, otherwise a data set is one (dom. = domains). Targets: query/gallery images, x10 if in
ten splits. Counts are enforced when a protocol is made.
"""
NONE_READY = "No protocol has all its data here; `dgreid protocols` says what each one lacks."


def protocols_table(raw: Path = RAW, archives: Path = ARCHIVES, ready: bool = False) -> str:
    """Format two tables for a terminal of 120 columns: the protocols, and the data sets they name.

    If a file of params/ cannot be read, the error stands below the tables; the others are still listed.

    Args:
        raw: where adopted data sets are.
        archives: where generated archives are.
        ready: only the protocols whose data are all here, or can be generated.
    """
    protocols, broken = _load_all(choices("protocol"), load_protocol)
    names = sorted({name for protocol in protocols.values() for name in _members(protocol)})
    datasets, odd = _load_all(names, _load_dataset)
    records = {name: read_record(raw / name) for name in names}
    states = {name: "broken" for name in odd}
    states |= {name: _state(config, records[name], raw, archives) for name, config in datasets.items()}
    here = {name: _here(protocol, states, records) for name, protocol in protocols.items()}
    if ready:
        protocols = {name: each for name, each in protocols.items() if here[name].startswith("ready")}
        broken = odd = {}
        names = sorted({name for protocol in protocols.values() for name in _members(protocol)})
    if not protocols and ready:
        return NONE_READY
    rows = [(*_row(protocol, datasets), here[name]) for name, protocol in protocols.items()]
    sets = [
        (name, states[name], datasets[name].access, _advice(datasets[name], states[name], records[name]))
        for name in names
        if name in datasets
    ]
    said = [f"not listed: {error}" for error in (*broken.values(), *odd.values())]
    return "\n".join([*table(PROTOCOLS, rows), "", *table(DATASETS, sets), *said, "", LEGEND.rstrip()])


def availability(protocol: ProtocolConfig, raw: Path = RAW, archives: Path = ARCHIVES) -> str:
    """Say whether a protocol's data are on this machine: `ready, KIND`, or what is missing or unfit."""
    datasets, odd = _load_all(_members(protocol), _load_dataset)
    states = dict.fromkeys(odd, "broken")
    records = {name: read_record(raw / name) for name in datasets}
    states |= {name: _state(each, records[name], raw, archives) for name, each in datasets.items()}
    return _here(protocol, states, records)


def _load_all(names: Sequence[str], load) -> tuple[dict, dict[str, UserError]]:
    """Read the named files of params/; return those that can be read, and the errors of the others."""
    found, errors = {}, {}
    for name in names:
        try:
            found[name] = load(name)
        except UserError as error:
            errors[name] = error
    return found, errors


def _load_dataset(name: str) -> DatasetConfig:
    config = load_dataset(name)
    layout_of(config.parser)  # an unknown parser is an error of this file
    return config


def _row(protocol: ProtocolConfig, datasets: dict[str, DatasetConfig]) -> tuple[str, ...]:
    return (
        protocol.name,
        *(f"{protocol.expect[key]:,}" if key in protocol.expect else "" for key in ("ids", "images")),
        str(protocol.expect.get("domains", "")),
        ", ".join(map(_source, protocol.sources)),
        ", ".join(_target(target, datasets) for target in protocol.targets) or "none",
    )


def _members(protocol: ProtocolConfig) -> list[str]:
    """Return the data sets that a protocol needs, each once, sources first."""
    return list(dict.fromkeys(part.dataset for part in (*protocol.sources, *protocol.targets)))


def _source(source: SourceConfig) -> str:
    part = f":{source.split_set.split('/')[1]}" if source.split_set else ""
    return f"{source.dataset}{part}" + (" by camera" if source.domain_by == "camera" else "")


def _target(target: TargetConfig, datasets: dict[str, DatasetConfig]) -> str:
    """Write a target as `VIPeR 316/316 x10`: query/gallery images of a split, and the number of splits."""
    words = [target.name]
    if {"query", "gallery"} <= target.expect.keys():
        words.append(f"{target.expect['query']:,}/{target.expect['gallery']:,}")
    config = datasets.get(target.dataset)
    declared = config and layout_of(config.parser).split_set(target.split_set)
    if count := target.splits or (declared and declared.count):
        words.append(f"x{count}")
    return SOLID.join(words)


def _state(config: DatasetConfig, record: dict | None, raw: Path, archives: Path) -> str:
    """Return the kind of a data set that is here; else `to generate` or `missing`."""
    if record is not None and (raw / config.name / record["root"]).is_dir():
        return record["kind"]
    if config.access == "drawn":
        return "miniature" if (archives / f"{config.name}.zip").is_file() else "to generate"
    return "missing"


def _here(protocol: ProtocolConfig, states: dict[str, str], records: dict[str, dict | None]) -> str:
    """Say `ready` and the data kind, or what keeps the protocol from being made."""
    here = {name: states[name] for name in _members(protocol)}
    lacks = [name for name, state in here.items() if state in ("missing", "broken")]
    partial = [name for name, state in here.items() if state == "partial"]
    if lacks:
        return "lacks " + ", ".join(lacks)
    if partial and not protocol.allow_partial:
        return f"{', '.join(partial)} partial"
    if unfit := _unfit(protocol, records):
        return unfit
    return "ready to generate" if "to generate" in here.values() else f"ready, {worst(here.values())}"


def _unfit(protocol: ProtocolConfig, records: dict[str, dict | None]) -> str:
    """Name a data set that is here in another variant than the protocol needs, or without its split set."""
    for name, wanted in protocol.variants.items():
        found = (records.get(name) or {}).get("variants", [wanted])
        if found != [wanted]:
            return f"{name} is {' and '.join(found)}, not {wanted}"
    for part in (*protocol.sources, *protocol.targets):
        record = records.get(part.dataset) or {}
        known = record.get("split_sets")  # not in records of earlier versions
        if part.split_set is not None and known is not None and part.split_set not in known:
            split_set = part.split_set.split("/")[1]
            return f"{part.dataset} without {split_set}"
    return ""


def _advice(config: DatasetConfig, state: str, record: dict | None) -> str:
    if state == "to generate":
        return f"dgreid synthesize dataset={config.name}"
    if state == "missing":
        terms = " --acknowledge" if config.access in ("withdrawn", "request") else ""
        return f"dgreid adopt {config.name} --from PATH{terms}"
    if record is None:  # generated, and adopted when it is first needed
        return "generated"
    counts = record.get("counts", {})
    counted = (
        ", ".join(f"{counts[key]:,} {key}" for key in ("images", "ids") if key in counts) or "counts unknown"
    )
    lack = f"; lacks {', '.join(record['missing'])}" if record.get("missing") else ""
    beside = f"; without {', '.join(record['lacks'])}" if record.get("lacks") else ""
    return f"{counted}; from {record['source']}{lack}{beside}"


def table(columns: dict[str, int], rows: Sequence[Sequence[str]], right: Sequence[str] = RIGHT) -> list[str]:
    """Format a table as lines: cells wrapped to their column's width, columns in `right` right-aligned."""
    lines = [
        _line(columns, list(columns), right),
        _line(columns, ["-" * width for width in columns.values()], right),
    ]
    for row in rows:
        cells = [
            [line.replace(SOLID, " ") for line in wrap(cell, width, break_on_hyphens=False)] or [""]
            for cell, width in zip(row, columns.values(), strict=True)
        ]
        for number in range(max(map(len, cells))):
            line = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append(_line(columns, line, right))
    return lines


def _line(columns: dict[str, int], cells: Sequence[str], right: Sequence[str]) -> str:
    aligned = (
        cell.rjust(width) if name in right else cell.ljust(width)
        for (name, width), cell in zip(columns.items(), cells, strict=True)
    )
    return GAP.join(aligned).rstrip()
