"""Record the code and the settings of every item of the selection: data/code/STAGE/ITEM.json.

DVC cannot depend on a list of files that differs from run to run, and a folder of sources contains too many.
So each item of a stage depends on one small file, which changes if and only if its resolved settings or a
source file that it executes change. These files are found by imports, from the stage and from the modules
that the item's configuration names. Comments, docstrings and blank lines do not count.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dgreid import params, schema
from dgreid.datasets.config import DatasetConfig, load_dataset
from dgreid.errors import UserError
from dgreid.files import sha256, whole
from dgreid.imports import Sources
from dgreid.networks.backbones import load_backbone
from dgreid.networks.config import BackboneOptions
from dgreid.paths import CODE, CODE_KEPT, MATRIX, MEMBERS, SPLITS
from dgreid.protocols.config import load_protocol
from dgreid.runs.config import RunConfig
from dgreid.runs.run import decisive
from dgreid.selection.matrix import config_of, members_of
from dgreid.training.start import load_start

log = logging.getLogger(__name__)

GROUND = (  # never affect a result by themselves
    *("documents", "errors", "files", "imports", "names", "params", "paths", "provenance", "registry"),
    *("schema", "sealed", "trouble"),
)
READ = ("runs.config", "runs.names", "selection")  # affect only the settings, which are recorded
EXCHANGED = (  # affect only the files that runs read; how runs read them (manifest, images, tables) counts
    "miniature",
    *(f"datasets.{name}" for name in ("adopt", "config", "imported", "inspect", "layout", "names")),
    *(f"datasets.{name}" for name in ("parsers", "records", "rules", "splits", "tally", "walk")),
    *(f"protocols.{name}" for name in ("assemble", "checks", "config", "listing", "notation")),
)
OF_ITERATIONS = ("methods.schedules",)  # functions of the iteration, which only a step of training knows
NOT_FOLLOWED = {
    "train": (*GROUND, *READ, *EXCHANGED),
    "evaluate": (*GROUND, *READ, *EXCHANGED, *OF_ITERATIONS),
}


def write(matrix: Mapping[str, Any]) -> list[Path]:
    """Update data/code from sources, params/ and the selection; return the files that changed.

    A file is replaced only if its content changes, so that Snakemake can trust its date. The files of items
    that only other selections have are moved aside, and later restored with their dates.

    Raises:
        UserError: a configuration or a source file has an error, or a protocol has changed since the
        selection.
    """
    check_members(matrix)
    wanted = {CODE / f"{item}.json": text_of(node) for item, node in items(matrix, Sources())}
    for path in set(CODE.rglob("*.json")) - set(wanted):
        kept = CODE_KEPT / path.relative_to(CODE)
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)
    changed = []
    for path, text in wanted.items():
        kept = CODE_KEPT / path.relative_to(CODE)
        if not path.exists() and kept.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            kept.replace(path)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(path)
            with whole(path) as part:
                part.write_text(text, encoding="utf-8")
    for protocol in matrix["protocols"]:  # a protocol must not depend on data sets that it no longer has
        for path in (MEMBERS / protocol).glob("*.json"):
            if f"{protocol}/{path.stem}" not in matrix["members"]:
                path.unlink()
    log.info("%s: %d items, %d of them changed", CODE, len(wanted), len(changed))
    return changed


def check_members(matrix: Mapping[str, Any]) -> None:
    """Refuse a selection if its protocols have changed their data sets since."""
    now = members_of(load_protocol(name) for name in matrix["protocols"])
    for member in sorted(now.keys() ^ matrix.get("members", {}).keys()):
        protocol, _, dataset = member.partition("/")
        raise UserError(
            f"{MATRIX} and protocol {protocol} disagree on data set {dataset}: write the selection again "
            f"with `dgreid select {matrix['name']}`."
        )


def items(
    matrix: Mapping[str, Any], sources: Sources, runs: Mapping[str, RunConfig] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield STAGE/ITEM and its content for every item of the selection; `report` has no items.

    Args:
        matrix: the selection.
        sources: the package's source files.
        runs: the configurations of its runs, if they have been composed.
    """
    for name in matrix["datasets"]:
        yield from _of_dataset(load_dataset(name), sources)
    for name, member in matrix.get("members", {}).items():
        yield f"member/{name}", {"settings": member, "code": code("member", (), sources)}
    for name in matrix["protocols"]:
        yield f"protocol/{name}", _node("protocol", load_protocol(name), sources)
    for name in matrix.get("starts", ()):
        yield f"pretrain/{name}", _of_start(load_backbone(name), sources)
    for name, config in configs(matrix["runs"]) if runs is None else runs.items():
        for stage in ("train", "evaluate"):
            node = {"settings": decisive(config), "code": executed(stage, config, sources)}
            yield f"{stage}/{name}", node
    yield "report", {"code": _of_report(sources)}


def _of_dataset(config: DatasetConfig, sources: Sources) -> Iterator[tuple[str, dict[str, Any]]]:
    if config.miniature:
        layout = config.miniature.layout or config.parser
        generated = config.miniature.model_copy(update={"layout": layout})
        yield f"synthesize/{config.name}", _node("synthesize", generated, sources)
    node = _node("manifest", config.model_copy(update={"miniature": None}), sources)
    splits = {str(path): sha256(path) for path in sorted(SPLITS.glob(f"{config.name}-*.json"))}
    yield f"manifest/{config.name}", {**node, "splits": splits}


def _of_start(backbone: BackboneOptions, sources: Sources) -> dict[str, Any]:
    settings = {"start": schema.deciding(load_start()), "backbone": schema.deciding(backbone)}
    return {"settings": settings, "code": code("pretrain", backbone, sources)}


def configs(runs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, RunConfig]]:
    """Yield the configuration of every run; runs that differ only in the seed are composed once."""
    composed: dict[str, RunConfig] = {}
    for name, choice in runs.items():
        alike = json.dumps({**choice, "seed": 0})
        if alike not in composed:
            composed[alike] = config_of(choice)
        yield name, composed[alike].model_copy(update={"seed": choice["seed"]})


def executed(stage: str, config: RunConfig, sources: Sources | None = None) -> dict[str, str]:
    """Find the source files that `train` or `evaluate` executes for a run, with their digests."""
    used = config if stage == "train" else (config.method, config.backbone)  # evaluation augments nothing
    return code(stage, used, sources or Sources())


def digest(stage: str, config: RunConfig, sources: Sources | None = None) -> str:
    """Compute the SHA-256 of the code that `train` or `evaluate` executes for a run, in hexadecimal."""
    return hashlib.sha256(json.dumps(executed(stage, config, sources)).encode()).hexdigest()


def code(stage: str, configuration: Any, sources: Sources, more: Iterable[str] = ()) -> dict[str, str]:
    """Find the source files that a stage executes for a configuration and `more` modules, with digests."""
    left = [f"dgreid.{name}" for name in NOT_FOLLOWED.get(stage, GROUND)]
    return sources.digests([f"dgreid.stages.{stage}", *schema.modules(configuration), *more], left)


def _of_report(sources: Sources) -> dict[str, str]:
    """Find the report's code: every figure, and every backbone, which the papers' tables count."""
    backbones = [load_backbone(name) for name in params.names("backbone")]
    return code("report", backbones, sources, sources.inside("dgreid.reporting.figures"))


def _node(stage: str, config: Any, sources: Sources) -> dict[str, Any]:
    return {"settings": schema.deciding(config), "code": code(stage, config, sources)}


def text_of(node: Mapping[str, Any]) -> str:
    """The content of an item's file in data/code."""
    return json.dumps(node, indent=1) + "\n"
