"""Check that what a report shows was made from the present settings, data and code.

A run's metrics record what they were made from. DVC's ledger knows of every item, also what `dvc commit`
declared to be current; it knows nothing of what was made without DVC.
"""

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dgreid.errors import UserError
from dgreid.files import sha256
from dgreid.imports import Sources
from dgreid.paths import METRICS, PROTOCOLS, TARGETS, TRAIN
from dgreid.protocols.tables import check_rows
from dgreid.runs.config import RunConfig
from dgreid.runs.run import configuration_hash
from dgreid.selection.code import configs, digest, items, text_of
from dgreid.selection.ledger import Ledger

log = logging.getLogger(__name__)

REMEDY = "run `snakemake --cores all` or `dvc repro` first"
MARK = "made from other {}"  # behind the title of a run that only the papers' tables show
RUNS_NAMED = 3  # runs that the warning names


def check(matrix: Mapping[str, Any], metrics: Mapping[str, Mapping]) -> None:
    """Refuse a selection if something that its report shows was made from other settings, data or code.

    Args:
        matrix: the selection.
        metrics: run -> its metrics, of the selection's runs.

    Raises:
        UserError: names the first such run or item, and what is different.
    """
    ledger, sources, runs = Ledger(), Sources(), dict(configs(matrix["runs"]))
    confirmed = dict.fromkeys(matrix["runs"], True)  # runs that the ledger says to be current
    for item, node in items(matrix, sources, runs):
        agrees = ledger.agrees(item, text_of(node))
        stage, _, name = item.partition("/")
        if stage in ("train", "evaluate"):
            confirmed[name] &= agrees
        elif ledger.knows(item) and not agrees:
            raise UserError(
                f"{stage} {name} was made from other settings or code than the present; {REMEDY}."
            )
    for name, config in runs.items():
        changed = differences(config, metrics[name])
        if not confirmed[name] and _has_other_code(config, metrics[name], ledger, sources):
            changed.append("code")
        if changed:
            words = _joined(changed)
            raise UserError(f"{METRICS / name}.json was made from other {words} than the present; {REMEDY}.")


def marked(every: Iterable[Mapping], checked: Iterable[str]) -> list[Mapping]:
    """Mark the titles of runs made from other settings or data; a warning names some of them.

    Args:
        every: metrics of runs.
        checked: the names of those that `check` has seen.
    """
    known, composed, result, found = set(checked), {}, [], []
    for metrics in every:
        changed = [] if metrics["run"] in known else _differences_of(metrics, composed)
        if changed:
            found.append(metrics["run"])
            metrics = {**metrics, "title": f"{metrics['title']} ({MARK.format(_joined(changed))})"}
        result.append(metrics)
    if found:
        more = f" and {len(found) - RUNS_NAMED} more" if len(found) > RUNS_NAMED else ""
        named = ", ".join(found[:RUNS_NAMED])
        log.warning(
            "%s: %s%s were made from other settings or data than the present; the papers' tables say so.",
            METRICS,
            named,
            more,
        )
    return result


def _differences_of(metrics: Mapping, composed: dict[tuple, RunConfig | None]) -> list[str]:
    """List the differences of a run of no selection; `composed` caches what seeds share."""
    choice = {key: metrics[key] for key in ("method", "backbone", "protocol", "recipe", "image", "seed")}
    choice["changes"] = tuple(metrics.get("changes", ()))
    alike = tuple((choice | {"seed": 0}).values())
    if alike not in composed:
        try:
            ((_, composed[alike]),) = configs({metrics["run"]: choice})
        except UserError:  # a file of params/ has gone, or no longer has the key that the run changes
            composed[alike] = None
    config = composed[alike]
    if config is None:
        return ["settings"]
    return differences(config.model_copy(update={"seed": choice["seed"]}), metrics)


def differences(config: RunConfig, metrics: Mapping) -> list[str]:
    """List what a run was made from that has changed since; what is not recorded counts as equal."""
    made, folder = metrics.get("made_from", {}), PROTOCOLS / config.protocol.name
    # earlier versions hashed other fields: what they recorded can only be compared by the ledger
    recorded = made.get("configuration") if "training_code" in made else None
    changed = []
    if config.run != metrics["run"] or (recorded and recorded != configuration_hash(config)):
        changed.append("settings")
    for words, key, path in (
        ("training data", "training_rows", folder / TRAIN),
        ("query and gallery", "searched_rows", folder / TARGETS),
    ):
        if path.is_file() and made.get(key) and made[key] != _hash_of(path, path.stat().st_mtime_ns):
            check_rows(path)  # if it is damaged, say that instead
            changed.append(words)
    if set(metrics["targets"]) != {target.name for target in config.protocol.targets}:
        changed.append("targets")
    return changed


def _has_other_code(config: RunConfig, metrics: Mapping, ledger: Ledger, sources: Sources) -> bool:
    """Whether a run that the ledger does not confirm was made by other code than the present."""
    recorded = [metrics.get("made_from", {}).get(key) for key in ("training_code", "evaluation_code")]
    if all(recorded):
        return recorded != [digest(stage, config, sources) for stage in ("train", "evaluate")]
    return ledger.knows(f"evaluate/{config.run}")  # it was made with DVC, from another content of data/code


def _joined(words: Iterable[str]) -> str:
    return " and other ".join(words)


@cache
def _hash_of(path: Path, _changed: int) -> str:
    return sha256(path)
