"""Make the page of one run: scores, curves, hardest queries, configuration and provenance."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from dgreid.reporting.site import svg
from dgreid.reporting.site.wording import duration, mebibytes
from dgreid.runs import recorded
from dgreid.runs.evidence import Evidence

MEASURES = (
    ("rank1", "R-1"),
    ("rank5", "R-5"),
    ("rank10", "R-10"),
    ("mAP", "mAP"),
    ("mAP_trapezoid", "mAP (trapezoid)"),
    ("mINP", "mINP"),
)
CLOCKS = ("iteration", "epoch")  # columns of the history that are not drawn
LAYERS = ("balance_mean_", "balance_std_")  # two per norm layer: the figure `course` shows them


def content(run: Mapping, kept: Evidence) -> dict[str, Any]:
    """Return the variables of templates/run.html.

    Args:
        run: its metrics.
        kept: what is kept of it besides its metrics.
    """
    return {
        "run": run,
        "shown": recorded.title(run),
        "tiles": _tiles(run),
        "measures": MEASURES,
        "targets": [_target(name, node) for name, node in run["targets"].items()],
        "across": CLOCKS[0],
        "curves": curves(kept.history),
        "hardest": [(target, _queries(frame)) for target, frame in kept.hardest.items()],
        "configuration": configuration(kept.facts.get("config", {})),
        "short_configuration": [("Run", _pairs(run, *_SETTINGS))],
        "provenance": provenance(run, kept.facts),
        "unrecorded": unrecorded(run["cost"]),
    }


_SETTINGS = ("method", "provenance", "backbone", "protocol", "recipe", "image", "seed", "changes")


def _tiles(run: Mapping) -> list[tuple[str, str, str]]:
    cost, average = run["cost"], run["average"]
    return [
        (
            "Average Rank-1",
            f"{average['rank1']:.1f}",
            f"{recorded.plural(len(run['targets']), 'target')}, percent",
        ),
        ("Average mAP", f"{average['mAP']:.1f}", "percent"),
        (
            "Training",
            duration(cost["seconds"]),
            f"{cost['images_per_second']:,.0f} images per second",
        ),
        ("Peak memory", f"{mebibytes(cost['peak_memory_bytes'])} MiB", recorded.device(run)),
    ]


def _target(name: str, node: Mapping) -> dict[str, Any]:
    several = len(node["splits"]) > 1
    cells = []
    for measure, _ in MEASURES:
        deviation = node.get(f"{measure}_std")
        spread = f" ± {deviation:.1f}" if several and deviation is not None else ""
        cells.append(f"{node[measure]:.1f}{spread}")
    return {"name": name, "queries": node.get("queries", ""), "splits": node["splits"], "cells": cells}


def curves(history: pd.DataFrame) -> list[tuple[str, Markup]]:
    """Draw every column of the history except those of single layers; return (column, drawing) pairs."""
    names = [name for name in history.columns if name not in CLOCKS and not name.startswith(LAYERS)]
    names.sort(key=lambda name: name == "learning_rate")
    drawn = []
    for name in names:
        known = history[[CLOCKS[0], name]].dropna()
        if len(known) > 1:
            drawn.append((name, Markup(svg.curve(name, known[CLOCKS[0]].tolist(), known[name].tolist()))))
    return drawn


def _queries(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.to_dict("records")
    for row in rows:
        for key in ("identity", "camera"):
            row[key] = "" if row[key] != row[key] else int(row[key])
    return rows


def configuration(node: Mapping) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (section, [(key, value), ...]) of a configuration; keys outside sections come first."""
    if not node:
        return []
    loose = [(key, value(entry)) for key, entry in node.items() if not isinstance(entry, Mapping)]
    sections = [
        (name.capitalize(), [(key, value(entry)) for key, entry in section.items()])
        for name, section in node.items()
        if isinstance(section, Mapping)
    ]
    return [("Run", loose), *sections]


def value(entry: Any) -> str:
    """Write a setting as text, such as `none`, `yes`, `0.1` or `scatter 1.0, triplet 1.0`."""
    if isinstance(entry, Mapping):
        return ", ".join(f"{key} {value(part)}" for key, part in entry.items()) or "none"
    if isinstance(entry, list | tuple):
        return ", ".join(map(value, entry)) or "none"
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    return "none" if entry is None else str(entry)


def provenance(run: Mapping, facts: Mapping) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (heading, [(name, value), ...]) of what is recorded about a run's origin."""
    data = facts.get("data", {})
    known_facts = [("run", run["run"]), ("data kind", run["data"]), ("protocol", run["protocol"])]
    known_facts.append(("parameters", f"{run['cost']['parameters']:,}"))
    known_facts += [("trained", recorded.date(run))] if recorded.date(run) else []
    known_facts += [("commit", run["cost"]["commit"])] if run["cost"].get("commit") else []
    hashes = [
        *((key.replace("_", " "), digest) for key, digest in recorded.hashes(run, facts).items()),
        ("initial weights", data.get("initial_weights")),
        *((f"images of {name}", digest) for name, digest in data.get("content", {}).items()),
    ]
    groups = [("Recorded", known_facts)]
    known = [(name, str(digest)) for name, digest in hashes if digest]
    if known:
        groups.append(("SHA-256 of what it was made from", known))
    if counts := data.get("counts"):
        groups.append(("Training data", [(key, f"{count:,}") for key, count in counts.items()]))
    if versions := facts.get("versions"):
        groups.append(("Versions", [(name, str(text)) for name, text in versions.items()]))
    return groups


def unrecorded(cost: Mapping) -> str:
    """Say what is not recorded of a training's date and commit, or what the + of its commit means."""
    if not cost.get("commit"):
        if cost.get("date"):
            return "Its commit is unknown: it was trained outside of a git checkout, or git did not answer."
        return "Neither date nor commit of this run is recorded."
    dirty = "A + after the commit: files in src/ or params/ other than the selection differed from it."
    return dirty if cost.get("date") else f"{dirty} Its date is not recorded."


def _pairs(node: Mapping, *keys: str) -> list[tuple[str, str]]:
    return [(key, value(node[key])) for key in keys if key in node]
