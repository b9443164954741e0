"""Make the first page: the selection in a few numbers, its scores, differences and cost."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from dgreid.paths import REPORTS
from dgreid.reporting import agreement, differences, tables
from dgreid.reporting.differences import AVERAGE, Gap
from dgreid.reporting.site import svg
from dgreid.reporting.site.material import Material
from dgreid.reporting.site.wording import duration, listed, mebibytes
from dgreid.runs import recorded
from dgreid.runs.evidence import Evidence

COMMIT = "the last commit"  # by name, not by hash: the same results give the same page
FINDINGS, DRAWN = 6, 16  # sentences above the tables; methods in a drawing


def content(material: Material) -> dict[str, Any]:
    """Return the variables of templates/index.html."""
    matrix, metrics = material.matrix, material.metrics
    return {
        "name": matrix["name"],
        "title": matrix.get("title", matrix["name"]),
        "kinds": sorted({block.data for block in material.blocks}),
        "tiles": tiles(list(metrics.values())),
        "agreement": agreement.summary(material.agreements, COMMIT) if material.agreements else "",
        "unequal": [each for each in material.agreements if each.verdict != "equal"],
        "findings": findings(material.gaps),
        "options": options(metrics.values(), targets=True),
        "blocks": [_block(block, material) for block in material.blocks],
        "gaps": _averages_first(material.gaps),
        "measures": differences.MEASURES,
        "figures": [(figure, figure.stem.relative_to(REPORTS).as_posix()) for figure in material.figures],
        "scores_note": tables.SCORES,
        "gaps_note": differences.INTRODUCTION,
    }


def tiles(chosen: Sequence[Mapping]) -> list[tuple[str, str, str]]:
    """Return (name, value, remark) of each tile: what ran, and what it cost."""
    costs = [run["cost"] for run in chosen]
    methods, seeds = len(recorded.grouped(chosen)), sorted({run["seed"] for run in chosen})
    evaluated = {(run["protocol"], target) for run in chosen for target in run["targets"]}
    protocols = sorted({run["protocol"] for run in chosen})
    speeds = sorted(cost["images_per_second"] for cost in costs)
    peak = mebibytes(max(cost["peak_memory_bytes"] for cost in costs))
    backbones = sorted({run["backbone"] for run in chosen})
    return [
        (
            "Runs",
            str(len(chosen)),
            f"{recorded.plural(methods, 'method')}, seeds {', '.join(map(str, seeds))}",
        ),
        ("Protocols", str(len(protocols)), listed(protocols)),
        ("Targets", str(len(evaluated)), listed(sorted({target for _, target in evaluated}))),
        ("Backbones", str(len(backbones)), listed(backbones)),
        ("Training", duration(sum(cost["seconds"] for cost in costs)), "all runs together"),
        (
            "Images per second",
            f"{speeds[len(speeds) // 2]:,.0f}",
            f"median; {speeds[0]:,.0f} to {speeds[-1]:,.0f}",
        ),
        ("Peak memory", f"{peak} MiB", "the largest run"),
        ("Device", listed(sorted({recorded.device(run) for run in chosen})), ""),
        *_trained(costs),
    ]


def _trained(costs: Sequence[Mapping]) -> list[tuple[str, str, str]]:
    """Return the tile with dates and commits of the trainings; none if no run recorded a date."""
    days = sorted({cost["date"][:10] for cost in costs if cost.get("date")})
    commits = sorted({cost["commit"] for cost in costs if cost.get("commit")})
    if not days:
        return []
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    word = "commits" if len(commits) > 1 else "commit"
    below = f"{word} {listed(commits) or recorded.UNKNOWN}"
    asked = ("date", "commit") if commits else ("date",)
    silent = sum(not all(cost.get(key) for key in asked) for cost in costs)
    return [("Trained", span, below + (f"; not recorded of {silent} of {len(costs)} runs" if silent else ""))]


def findings(gaps: Sequence[Gap]) -> list[tuple[Gap, str]]:
    """Choose differences in average Rank-1, first those whose interval over seeds excludes zero.

    Returns:
        At most FINDINGS gaps, each with a text that names backbone and protocol; "" if they are all the same.
    """
    chosen = [gap for gap in gaps if gap.target == AVERAGE and gap.measure == "rank1"]
    several = len({(gap.backbone, gap.protocol) for gap in chosen}) > 1
    found = [
        (gap, f"{gap.backbone}, protocol {gap.protocol}" if several else "")
        for gap in sorted(chosen, key=lambda gap: not gap.way)
    ]
    return found[:FINDINGS]


def options(chosen: Iterable[Mapping], targets: bool = False) -> list[tuple[str, str, list[str]]]:
    """Return (attribute, label, values) of every filter of the tables."""
    chosen = list(chosen)
    found = [
        ("method", "Method", [recorded.title(run) for run in chosen]),
        ("backbone", "Backbone", [run["backbone"] for run in chosen]),
        ("protocol", "Protocol", [run["protocol"] for run in chosen]),
        ("data", "Data", [run["data"] for run in chosen]),
    ]
    if targets:
        names = [AVERAGE, *(target for run in chosen for target in run["targets"])]
        found.insert(3, ("target", "Target", names))
    return [(name, words, list(dict.fromkeys(values))) for name, words, values in found]


def _block(block: tables.Block, material: Material) -> dict[str, Any]:
    matrix, metrics = material.matrix, material.metrics
    mine = [metrics[name] for name, run in matrix["runs"].items() if run["protocol"] == block.protocol]
    groups = list(recorded.grouped(mine).values())  # in the order of the rows
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
            "device": ", ".join(sorted({recorded.device(run) for run in group})),
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
        "drawn": f"the {DRAWN} highest of {len(lines)} methods" if len(lines) > DRAWN else "",
    }


def _origin(run: Mapping, kept: Evidence | None) -> dict[str, str]:
    """Return commit, date and shortened hashes of a run; "" if not recorded."""
    hashes = recorded.hashes(run, kept.facts if kept else {})
    return {
        "run": run["run"],
        "commit": run["cost"].get("commit") or "",
        "date": recorded.date(run),
        **{key: hashes[key][: recorded.HASH_SHOWN] for key in hashes},
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
    "comparable": "The papers' tables compare these runs with the published numbers.",
    "full": "Full data: if a paper has this protocol, its table shows these runs below its rows.",
    "unverified": "Unverified data: no number here can be compared with a published one.",
    "partial": "Partial data: no number here can be compared with a published one.",
    "miniature": "Miniature data: no number here can be compared with a published one.",
}


def _columns(block: tables.Block) -> list[dict[str, Any]]:
    targets = [target for target, _, _ in block.columns]
    return [
        {"target": target, "measure": measure, "heading": heading, "first": number == targets.index(target)}
        for number, (target, measure, heading) in enumerate(block.columns)
    ]


def _averages_first(gaps: Sequence[Gap]) -> list[Gap]:
    """Sort gaps so that each method's are together, its averages before its targets."""
    order = {key: number for number, key in enumerate(dict.fromkeys(map(differences.comparison, gaps)))}
    return sorted(gaps, key=lambda gap: (order[differences.comparison(gap)], gap.target != AVERAGE))
