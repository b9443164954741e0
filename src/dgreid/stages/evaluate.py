"""Stage evaluate: evaluate a trained run on every target of its protocol -> reports/metrics/<run>.json.

The scores of single queries go to data/queries/<run>.parquet, for intervals over queries.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dgreid import sealed
from dgreid.device import prepare
from dgreid.errors import UserError
from dgreid.evaluation.queries import write_queries
from dgreid.evaluation.runner import run_protocol
from dgreid.evaluation.scores import not_above_chance, single_match, summarise
from dgreid.files import sha256, whole
from dgreid.images.pack import Pack
from dgreid.paths import METRICS, PROTOCOLS, QUERIES, RUNS, SUMMARY, TARGETS, TRAIN
from dgreid.protocols import read_protocol
from dgreid.runs.config import RunConfig
from dgreid.runs.folder import read_cost
from dgreid.runs.run import decisive, restore
from dgreid.runs.summary import summary
from dgreid.selection.code import digest

log = logging.getLogger(__name__)


def evaluate(config: RunConfig) -> Path:
    """Evaluate a trained run and write its scores, in percent.

    Raises:
        UserError: the run is not trained, was trained with other settings or data, or is damaged; or the
            protocol has no targets.
    """
    device = prepare(config.seed)
    method, facts = restore(RUNS / config.run)
    protocol = read_protocol(PROTOCOLS / config.protocol.name)
    check_same(config, facts)
    cost = read_cost(RUNS / config.run)
    if not protocol.targets:
        raise UserError(f"protocol {protocol.name} has no targets to evaluate on.")
    portrait = method.portrait()  # of the trained network, before any adapting to a target
    results = run_protocol(method.to(device), protocol, lambda name: Pack.open(name, config.image), device)
    node = {
        "run": config.run,
        "data": protocol.kind,
        "protocol": protocol.name,
        "method": config.method.name,
        "title": config.method.title,
        "provenance": config.method.provenance,
        "changes": [word for word in config.changes if "." in word],
        "backbone": config.backbone.name,
        "recipe": config.recipe.name,
        "image": config.image.name,
        "seed": config.seed,
        **summarise(results, single_match(protocol)),
        **portrait,
        "cost": cost,
        "made_from": hashes(config, facts),
    }
    node = {key: value for key, value in node.items() if value != []}  # DVC plots no file with an empty list
    if poor := not_above_chance(node["targets"], protocol):
        node["not_above_chance"] = poor  # every table marks it, likewise the next
    if method.adapt:
        node["sees_target"] = True  # every table marks it
    write_queries(QUERIES / f"{config.run}.parquet", results, protocol)
    with whole(SUMMARY / f"{config.run}.json") as part:
        part.write_text(json.dumps(summary(node), indent=2) + "\n", encoding="utf-8")
    with whole(METRICS / f"{config.run}.json") as part:
        part.write_text(sealed.to_json(node), encoding="utf-8")
    best = node["average"]
    log.info(
        "%s: average Rank-1 %.1f, mAP %.1f (%s data)", config.run, best["rank1"], best["mAP"], protocol.kind
    )
    return METRICS / f"{config.run}.json"


def hashes(config: RunConfig, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of what the scores depend on: settings, training, query and gallery rows, code."""
    code = {"training_code": facts["code_sha256"]} if "code_sha256" in facts else {}
    return code | {
        "evaluation_code": digest("evaluate", config),
        "configuration": facts["config_sha256"],
        "training_rows": facts["data"]["sha256"],
        "searched_rows": sha256(PROTOCOLS / config.protocol.name / TARGETS),
    }


def check_same(config: RunConfig, facts: Mapping[str, Any]) -> None:
    """Refuse to evaluate a model under the name of another run.

    Raises:
        UserError: the run was trained with other settings or on other data than requested.
    """
    trained = decisive(config, facts["config"])
    different = [key for key, value in decisive(config).items() if trained.get(key) != value]
    if facts["data"]["sha256"] != sha256(PROTOCOLS / config.protocol.name / TRAIN):
        different.append("training data")
    if different:
        raise UserError(
            f"{config.run} was trained with another {' and another '.join(different)} than asked for: give "
            f"the keys it was trained with, or train it again (`dvc repro train@{config.run}`)."
        )
