"""Stage evaluate: one trained run on every target of its protocol -> reports/metrics/<run>.json."""

import json
import logging
from pathlib import Path

from dgreid.config import ImageConfig, RunConfig
from dgreid.errors import UserError
from dgreid.evaluation.runner import run_protocol, summarise
from dgreid.files import sha256, whole
from dgreid.images.pack import Pack
from dgreid.protocols import read_protocol
from dgreid.stages.train import PROTOCOLS, RUNS, prepare, restore

log = logging.getLogger(__name__)

METRICS = Path("reports/metrics")


def evaluate(config: RunConfig) -> Path:
    """Search with a trained run and write its scores, in percent.

    The network is the one that was trained: its configuration is read from the run's own run.yaml.

    Raises:
        UserError: the run or its protocol is missing, or the protocol has no targets.
    """
    folder = RUNS / config.run
    if not (folder / "model.safetensors").is_file():
        words = (f"{g}={getattr(config, g).name}" for g in ("method", "backbone", "protocol"))
        raise UserError(
            f"{folder} holds no trained model: run `dgreid train {' '.join(words)} seed={config.seed}` first."
        )
    device = prepare(config.seed)
    path = PROTOCOLS / f"{config.protocol.name}.parquet"
    protocol = read_protocol(path)
    if not protocol.targets:
        raise UserError(f"protocol {protocol.name} has no targets to search.")
    method, facts = restore(folder)
    if facts["config"] != config.model_dump(mode="json"):
        log.warning("%s: trained with another configuration than the one given; it is kept.", config.run)
    if facts["data"]["protocol_sha256"] != sha256(path):
        log.warning("%s: the protocol %s has changed since training.", config.run, protocol.name)

    trained = facts["config"]
    image = ImageConfig.model_validate(trained["image"])
    results = run_protocol(method.to(device), protocol, lambda name: Pack.open(name, image), device)
    node = {
        "run": config.run,
        "data": protocol.kind,
        "protocol": protocol.name,
        "method": trained["method"]["name"],
        "title": trained["method"]["title"],
        "provenance": trained["method"]["provenance"],
        "backbone": trained["backbone"]["name"],
        "recipe": trained["recipe"]["name"],
        "image": trained["image"]["name"],
        "seed": trained["seed"],
        **summarise(results),
        "cost": json.loads((folder / "cost.json").read_text()),
    }
    with whole(METRICS / f"{config.run}.json") as part:
        part.write_text(json.dumps(node, indent=2) + "\n")
    best = node["average"]
    log.info(
        "%s: average Rank-1 %.1f, mAP %.1f (%s data)", config.run, best["rank1"], best["mAP"], protocol.kind
    )
    return METRICS / f"{config.run}.json"
