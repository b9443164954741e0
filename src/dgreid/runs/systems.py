"""Runs as the report reads them: the content of reports/metrics, grouped by method and settings.

A system here is a method under the same settings and overrides: runs that differ only in their seed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from dgreid.runs.names import name_of

SETTINGS = ("backbone", "recipe", "image")
ORIGIN = ("runs", "commits", "training_rows", "searched_rows")
SHORT = 12  # characters of a hash, enough to distinguish it from any other
UNKNOWN = "unknown"


def changes(run: Mapping) -> tuple[str, ...]:
    """The overrides by which a run differs from the files in params/, sorted."""
    return tuple(sorted(run.get("changes", ())))


def expected_name(run: Mapping, words: Iterable[str]) -> str:
    """The name of a run like this one with exactly these overrides."""
    return name_of(run["method"], run["backbone"], run["protocol"], run["seed"], words)


def system(run: Mapping) -> tuple:
    """What runs that differ only in their seed have in common."""
    return (run["method"], *(run[key] for key in SETTINGS), changes(run))


def systems(runs: Iterable[Mapping]) -> dict[tuple, list[Mapping]]:
    """Runs by system, in the order of their first run, seeds rising."""
    groups: dict[tuple, list[Mapping]] = {}
    for run in runs:
        groups.setdefault(system(run), []).append(run)
    return {key: sorted(group, key=lambda run: run["seed"]) for key, group in groups.items()}


def title(run: Mapping) -> str:
    """The method's title, followed by its overrides."""
    return ", ".join([named(run), *(word.removeprefix("method.") for word in changes(run))])


def named(run: Mapping) -> str:
    """The method's title, and behind it what tables must say: `sees target`, `not above chance on GRID`."""
    marks = ["sees target"] if run.get("sees_target") else []
    if poor := run.get("not_above_chance"):
        marks.append(f"not above chance on {' and '.join(poor)}")
    return f"{run['title']} ({', '.join(marks)})" if marks else run["title"]


def titles(groups: Mapping[tuple, Sequence[Mapping]]) -> dict[tuple, str]:
    """System -> its title, followed by recipe or image if only they distinguish it from another.

    Args:
        groups: of `systems`, those in the same table.
    """
    found = {}
    for key, (first, *_) in groups.items():
        alike = [other for other, *_ in groups.values() if _looks(other) == _looks(first)]
        varied = [name for name in ("recipe", "image") if len({other[name] for other in alike}) > 1]
        found[key] = ", ".join([title(first), *(f"{name} {first[name]}" for name in varied)])
    return found


def _looks(run: Mapping) -> tuple[str, str]:
    return title(run), run["backbone"]


def hashes(run: Mapping, facts: Mapping) -> dict[str, str]:
    """SHA-256 of configuration, training_rows and searched_rows (query and gallery); empty if unknown.

    Args:
        run: its metrics; older ones do not record them.
        facts: of run.yaml, if the trained run is here, else empty.
    """
    known = {
        "configuration": facts.get("config_sha256"),
        "training_rows": facts.get("data", {}).get("sha256"),
    }
    known |= run.get("made_from", {})
    return {key: str(known.get(key) or "") for key in ("configuration", "training_rows", "searched_rows")}


def date(run: Mapping) -> str:
    """When its training ended, `2026-11-21 09:30 UTC`; empty if it is not recorded."""
    written = run["cost"].get("date")
    return f"{written[:10]} {written[11:16]} UTC" if written else ""


def device(run: Mapping) -> str:
    """What it was trained on, as far as its metrics say: `cpu, 1 thread`, or the name of a GPU."""
    kind = run["cost"].get("device", "not recorded")
    threads = run["cost"].get("threads") if kind == "cpu" else None
    return kind if threads is None else f"{kind}, {plural(threads, 'thread')}"


def origin(group: Iterable[Mapping]) -> dict[str, str]:
    """Where the numbers of some runs are from, by the names of ORIGIN: runs, commits, hashes of the data.

    Different values are joined by `; `. If only some runs record a value, it is `unknown` for the others; if
    none does, it is empty.
    """
    values: dict[str, list[str]] = {key: [] for key in ORIGIN}
    for run in group:
        made = run.get("made_from", {})
        values["runs"].append(run["run"])
        values["commits"].append(run["cost"].get("commit"))
        for key in ("training_rows", "searched_rows"):
            values[key].append(made.get(key, "")[:SHORT])
    return {key: "; ".join(_named(found)) for key, found in values.items()}


def _named(values: Iterable[str | None]) -> list[str]:
    """Each value once, in order, `unknown` for missing ones; empty if all are missing."""
    values = list(values)
    return list(dict.fromkeys(value or UNKNOWN for value in values)) if any(values) else []


def plural(count: int, word: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def scores(run: Mapping, targets: Sequence[str], measure: str) -> list[float] | None:
    """The measure on every target, percent, or a property of the training; None if the run lacks one.

    Args:
        run: its metrics.
        targets: their names in the protocol.
        measure: rank1, mAP, ...; or memory_mib, known of training on a GPU.
    """
    if measure in PROPERTIES:
        value = PROPERTIES[measure](run)
        return None if value is None else [value]
    found = [run["targets"].get(target, {}).get(measure) for target in targets]
    return None if None in found else found


def _memory(run: Mapping) -> float | None:
    cost = run["cost"]
    return None if cost.get("device", "cpu") == "cpu" else cost["peak_memory_bytes"] / 2**20


PROPERTIES: dict[str, Callable[[Mapping], float | None]] = {"memory_mib": _memory}
