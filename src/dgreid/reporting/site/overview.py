"""What the first page shows: the selection in a few numbers, its scores, its differences, its cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from dgreid.reporting import differences, tables
from dgreid.reporting.sheets import signed
from dgreid.reporting.site import svg
from dgreid.runs import systems as runs

if TYPE_CHECKING:
    from dgreid.reporting.site.page import Material
    from dgreid.runs.evidence import Evidence

MIB = 2**20
FINDINGS, DRAWN = 6, 16  # sentences above the tables; systems in a drawing


def content(material: Material) -> dict[str, Any]:
    """The variables of templates/index.html."""
    matrix, metrics = material.matrix, material.metrics
    return {
        "name": matrix["name"],
        "title": matrix.get("title", matrix["name"]),
        "kinds": sorted({block.data for block in material.blocks}),
        "tiles": tiles(list(metrics.values())),
        "findings": findings(material.gaps),
        "options": options(metrics.values(), targets=True),
        "blocks": [_block(block, material) for block in material.blocks],
        "gaps": [_gap(gap) for gap in _average_first(material.gaps).itertuples()],
        "figures": [(figure, figure.stem.relative_to("reports").as_posix()) for figure in material.figures],
        "scores_note": tables.SCORES,
        "gaps_note": differences.INTRODUCTION,
    }


def tiles(chosen: Sequence[Mapping]) -> list[tuple[str, str, str]]:
    """(name, value, what stands below it): what ran and what it cost."""
    costs = [run["cost"] for run in chosen]
    systems, seeds = len(runs.systems(chosen)), sorted({run["seed"] for run in chosen})
    searched = {(run["protocol"], target) for run in chosen for target in run["targets"]}
    protocols = sorted({run["protocol"] for run in chosen})
    speeds = sorted(cost["images_per_second"] for cost in costs)
    peak = max(cost["peak_memory_bytes"] for cost in costs) / MIB
    backbones = sorted({run["backbone"] for run in chosen})
    return [
        ("Runs", str(len(chosen)), f"{runs.plural(systems, 'system')}, seeds {', '.join(map(str, seeds))}"),
        ("Protocols", str(len(protocols)), _listed(protocols)),
        ("Targets", str(len(searched)), _listed(sorted({target for _, target in searched}))),
        ("Backbones", str(len(backbones)), _listed(backbones)),
        ("Training", duration(sum(cost["seconds"] for cost in costs)), "all runs together"),
        (
            "Images per second",
            f"{speeds[len(speeds) // 2]:,.0f}",
            f"median; {speeds[0]:,.0f} to {speeds[-1]:,.0f}",
        ),
        ("Peak memory", f"{peak:,.0f} MiB", "the largest run"),
        ("Device", _listed(sorted({device(run) for run in chosen})), ""),
        *_trained(costs),
    ]


def _trained(costs: Sequence[Mapping]) -> list[tuple[str, str, str]]:
    """When, and at which commits, as far as runs say; nothing where none does."""
    days = sorted({cost["date"][:10] for cost in costs if cost.get("date")})
    commits = sorted({cost["commit"] for cost in costs if cost.get("commit")})
    if not days:
        return []
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    word = "commits" if len(commits) > 1 else "commit"
    below = f"{word} {_listed(commits) or runs.UNKNOWN}"
    asked = ("date", "commit") if commits else ("date",)
    silent = sum(not all(cost.get(key) for key in asked) for cost in costs)
    return [("Trained", span, below + (f"; not recorded of {silent} of {len(costs)} runs" if silent else ""))]


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def device(run: Mapping) -> str:
    """What a run was trained on, as far as its metrics say."""
    cost = run["cost"]
    threads = (
        f", {runs.plural(cost['threads'], 'thread')}"
        if cost.get("device") == "cpu" and "threads" in cost
        else ""
    )
    return cost.get("device", "not recorded") + threads


def duration(seconds: float) -> str:
    """`52 s`, `5 min 12 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def findings(gaps: pd.DataFrame) -> list[dict[str, str]]:
    """The first sentences about average Rank-1, those that the seeds settle before the others.

    `where` says backbone and protocol if not all are of the same.
    """
    chosen = gaps[(gaps["target"] == differences.AVERAGE) & (gaps["measure"] == "rank1")]
    several = len(chosen[["backbone", "protocol"]].drop_duplicates()) > 1
    found = [
        {
            "sentence": gap.sentence,
            "way": way(gap),
            "where": f"{gap.backbone}, protocol {gap.protocol}" if several else "",
        }
        for gap in chosen.itertuples()
    ]
    return sorted(found, key=lambda finding: not finding["way"])[:FINDINGS]


def way(gap: Any) -> str:
    """up or down where the interval over seeds excludes zero, else empty."""
    return "up" if gap.seeds_low > 0 else "down" if gap.seeds_high < 0 else ""


def options(chosen: Iterable[Mapping], targets: bool = False) -> list[tuple[str, str, list[str]]]:
    """(attribute, label, values) of every filter."""
    chosen = list(chosen)
    found = [
        ("method", "Method", [runs.title(run) for run in chosen]),
        ("backbone", "Backbone", [run["backbone"] for run in chosen]),
        ("protocol", "Protocol", [run["protocol"] for run in chosen]),
        ("data", "Data", [run["data"] for run in chosen]),
    ]
    if targets:
        names = [differences.AVERAGE, *(target for run in chosen for target in run["targets"])]
        found.insert(3, ("target", "Target", names))
    return [(name, words, list(dict.fromkeys(values))) for name, words, values in found]


def _block(block: tables.Block, material: Material) -> dict[str, Any]:
    matrix, metrics = material.matrix, material.metrics
    mine = [metrics[name] for name, run in matrix["runs"].items() if run["protocol"] == block.protocol]
    groups = list(runs.systems(mine).values())  # as the rows
    columns = _columns(block)
    lines = [
        {
            "title": row.title,
            "backbone": row.backbone,
            "provenance": row.provenance,
            **row.settings,
            "runs": group,
            "cells": [(c, tables.number(row.scores.get((c["target"], c["measure"])))) for c in columns],
            "cost": row.cost,
            "device": ", ".join(sorted({device(run) for run in group})),
        }
        for row, group in zip(block.rows, groups, strict=True)
    ]
    return {
        "protocol": block.protocol,
        "data": block.data,
        "note": NOTES["comparable" if block.comparable else block.data],
        "columns": columns,
        "spans": [(target, len(list(part))) for target, part in groupby(c["target"] for c in columns)],
        "rows": lines,
        "origins": [_origin(run, material.kept.get(run["run"])) for group in groups for run in group],
        "dots": Markup(
            svg.dots(f"Average Rank-1, protocol {block.protocol}, {block.data} data", _dots(lines))
        ),
        "drawn": f"the {DRAWN} highest of {len(lines)} systems" if len(lines) > DRAWN else "",
    }


def _origin(run: Mapping, kept: Evidence | None) -> dict[str, str]:
    """The line of provenance behind a run's numbers, hashes cut; empty where nothing is recorded."""
    hashes = runs.hashes(run, kept.facts if kept else {})
    return {
        "run": run["run"],
        "commit": run["cost"].get("commit") or "",
        "date": runs.date(run),
        **{key: hashes[key][: runs.SHORT] for key in hashes},
    }


def _dots(lines: Sequence[Mapping]) -> list[svg.Dots]:
    several = len({line["backbone"] for line in lines}) > 1
    found = [
        svg.Dots(
            f"{line['title']}, {line['backbone']}" if several else line["title"],
            tuple(run["average"]["rank1"] for run in line["runs"]),
        )
        for line in lines
    ]
    if len(found) <= DRAWN:
        return found
    return sorted(found, key=lambda row: -sum(row.scores) / len(row.scores))[:DRAWN]


NOTES = {
    "comparable": "These runs stand beside print in the papers' tables.",
    "full": "Full data: where a paper has the protocol, these runs stand below its rows.",
    "partial": "Partial data: no number here may be set beside a printed one.",
    "miniature": "Miniature data: no number here may be set beside a printed one.",
}


def _columns(block: tables.Block) -> list[dict[str, Any]]:
    targets = [target for target, _, _ in block.columns]
    return [
        {"target": target, "measure": measure, "heading": heading, "first": number == targets.index(target)}
        for number, (target, measure, heading) in enumerate(block.columns)
    ]


def _average_first(gaps: pd.DataFrame) -> pd.DataFrame:
    """The same lines; those of one comparison stand together, its averages before its targets."""
    keys = ["protocol", *runs.SETTINGS, "title"]
    order = gaps.groupby(keys, sort=False).ngroup()
    later = gaps["target"] != differences.AVERAGE
    return gaps.assign(order=order, later=later).sort_values(["order", "later"], kind="stable")


def _gap(gap: Any) -> dict[str, str]:
    keys = ("title", "baseline_title", "backbone", "data", "protocol", "target", "seeds")
    return {key: str(getattr(gap, key)) for key in keys} | {
        "measure": differences.MEASURES[gap.measure],
        "baseline_mean": f"{gap.baseline_mean:.1f}",
        "method_mean": f"{gap.method_mean:.1f}",
        "difference": signed(gap.difference),
        "way": way(gap),
        **{f"over_{what}": _interval(gap, what) for what in ("seeds", "queries", "splits")},
    }


def _interval(gap: Any, what: str) -> str:
    low, high = getattr(gap, f"{what}_low"), getattr(gap, f"{what}_high")
    return f"{signed(low)} to {signed(high)}" if low == low and high == high else ""
