"""What the metrics of finished runs say: titles, origin, scores, and which runs differ only in their seed.

A run here is the content of its file in reports/metrics. A group of runs has the same method, settings and
overrides; its runs differ only in their seed. A score of the group is the mean over these seeds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from dgreid.runs.names import name_of

SETTINGS = ("backbone", "recipe", "image")
ORIGIN = ("runs", "commits", "training_rows", "searched_rows")
HASH_SHOWN = 12  # characters of a hash, enough to distinguish it from any other
UNKNOWN = "unknown"


def changes(run: Mapping) -> tuple[str, ...]:
    """Return a run's overrides of values in params/, sorted."""
    return tuple(sorted(run.get("changes", ())))


def expected_name(run: Mapping, overrides: Iterable[str]) -> str:
    """Return the name that this run would have with exactly these overrides."""
    return name_of(run["method"], run["backbone"], run["protocol"], run["seed"], overrides)


def group_key(run: Mapping) -> tuple:
    """Return what is equal for runs that differ only in their seed: method, settings, overrides."""
    return (run["method"], *(run[key] for key in SETTINGS), changes(run))


def grouped(runs: Iterable[Mapping]) -> dict[tuple, list[Mapping]]:
    """Group runs by `group_key`; groups in the order of their first run, seeds rising."""
    groups: dict[tuple, list[Mapping]] = {}
    for run in runs:
        groups.setdefault(group_key(run), []).append(run)
    return {key: sorted(group, key=lambda run: run["seed"]) for key, group in groups.items()}


def title(run: Mapping) -> str:
    """Return the method's title (see `named`), followed by the run's overrides."""
    return ", ".join([named(run), *(word.removeprefix("method.") for word in changes(run))])


def named(run: Mapping) -> str:
    """Return the title and what tables must say behind it: `sees target`, `not above chance on GRID`."""
    marks = ["sees target"] if run.get("sees_target") else []
    if poor := run.get("not_above_chance"):
        marks.append(f"not above chance on {' and '.join(poor)}")
    return f"{run['title']} ({', '.join(marks)})" if marks else run["title"]


def titles(groups: Mapping[tuple, Sequence[Mapping]]) -> dict[tuple, str]:
    """Return each group's title; recipe or image follow if groups of the same table differ only in them.

    Args:
        groups: of `grouped`, all of one table.
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
    """Return the SHA-256 of configuration, training_rows and searched_rows (query and gallery rows), as hex.

    Args:
        run: its metrics; those of earlier versions record no hashes.
        facts: of run.yaml, which then has some of them; empty if the trained run is not here.

    Returns:
        The three hashes by name, "" if unknown.
    """
    known = {
        "configuration": facts.get("config_sha256"),
        "training_rows": facts.get("data", {}).get("sha256"),
    }
    known |= run.get("made_from", {})
    return {key: str(known.get(key) or "") for key in ("configuration", "training_rows", "searched_rows")}


def date(run: Mapping) -> str:
    """Return when the training ended, as `2026-11-21 09:30 UTC`; "" if it is not recorded."""
    written = run["cost"].get("date")
    return f"{written[:10]} {written[11:16]} UTC" if written else ""


def device(run: Mapping) -> str:
    """Return the device of the training: `cpu, 1 thread`, or the name of a GPU."""
    kind = run["cost"].get("device", "not recorded")
    threads = run["cost"].get("threads") if kind == "cpu" else None
    return kind if threads is None else f"{kind}, {plural(threads, 'thread')}"


def origin(group: Iterable[Mapping]) -> dict[str, str]:
    """Return where a group's numbers come from, by the names of ORIGIN: runs, commits, hashes of the data.

    Different values are joined by `; `. A run that does not record a value counts as `unknown`; if no run
    records it, the text is empty.
    """
    values: dict[str, list[str]] = {key: [] for key in ORIGIN}
    for run in group:
        made = run.get("made_from", {})
        values["runs"].append(run["run"])
        values["commits"].append(run["cost"].get("commit"))
        for key in ("training_rows", "searched_rows"):
            values[key].append(made.get(key, "")[:HASH_SHOWN])
    return {key: "; ".join(_once(found)) for key, found in values.items()}


def _once(values: Iterable[str | None]) -> list[str]:
    """Return each value once, in order, `unknown` for missing ones; nothing if all are missing."""
    values = list(values)
    return list(dict.fromkeys(value or UNKNOWN for value in values)) if any(values) else []


def plural(count: int, word: str) -> str:
    """Write a count with its noun: `1 seed`, `3 seeds`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def scores(run: Mapping, targets: Sequence[str], measure: str) -> list[float] | None:
    """Return a run's scores on some targets, or one property of its training; None if a value is missing.

    Args:
        run: its metrics.
        targets: names in the protocol; not used for a property.
        measure: rank1, mAP, ... in percent; or memory_mib, which is known if a GPU trained.
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
