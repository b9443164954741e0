"""The stages of the pipeline, as Snakemake and DVC call them: synthesize ... report.

Every stage that succeeds adds a line to the execution log.
"""

import logging
import os
import time
from argparse import Namespace
from collections.abc import Callable
from functools import wraps

from dgreid.cli.words import only, pairs
from dgreid.errors import UserError
from dgreid.paths import EXECUTIONS
from dgreid.selection import fronts

TITLE = "stages of the pipeline (`snakemake --cores all` runs them for a selection)"
RUN = "method=metabin backbone=resnet_tiny protocol=miniature seed=0"


def add_commands(add) -> None:
    """Add this family's commands to the parser."""
    add(
        "synthesize",
        "generate a miniature data set",
        _synthesize,
        "  dgreid synthesize dataset=mini_grid",
    ).add_argument("keys", nargs="*", metavar="dataset=NAME", help="a name in params/dataset")
    add(
        "manifest",
        "read an adopted data set into typed tables",
        _manifest,
        "  dgreid manifest dataset=mini_grid",
    ).add_argument("keys", nargs="*", metavar="dataset=NAME", help="a name in params/dataset")
    add(
        "member",
        "record the hash of a data set's manifest for a protocol",
        _member,
        "  dgreid member protocol=miniature dataset=mini_grid",
    ).add_argument("keys", nargs="*", metavar="key=NAME", help="protocol and dataset")
    add(
        "protocol",
        "write the list of a protocol's training, query and gallery images",
        _protocol,
        "  dgreid protocol protocol=miniature",
    ).add_argument("keys", nargs="*", metavar="protocol=NAME", help="a name in params/protocol")
    add(
        "pretrain",
        "train a backbone on drawn things, in the place of ImageNet",
        _pretrain,
        "  dgreid pretrain backbone=resnet_tiny",
    ).add_argument("keys", nargs="*", metavar="backbone=NAME", help="a name in params/backbone")
    for name, summary, run in (
        ("train", "train one run", _train),
        ("evaluate", "evaluate one trained run on every target", _evaluate),
    ):
        add(name, summary, run, f"  dgreid {name} {RUN}").add_argument(
            "keys",
            nargs="*",
            metavar="key=value",
            help="method, backbone, protocol, and if wanted recipe, image, seed, or an override such as "
            "method.margin=0.5 (see `dgreid describe`)",
        )
    report = add(
        "report",
        "render the selection's tables, figures and page",
        _report,
        "  dgreid report",
    )
    report.set_defaults(keys=())


def _logged(stage: Callable[[Namespace], None]) -> Callable[[Namespace], None]:
    """Note a stage in the execution log if it succeeds."""

    @wraps(stage)
    def run(arguments: Namespace) -> None:
        if "DVC_STAGE" in os.environ:
            fronts.join()  # also after DVC has been killed: nobody else begins while this goes on
        started = time.time()
        stage(arguments)
        seconds = f"{time.time() - started:.1f}"
        line = "\t".join([arguments.command, " ".join(arguments.keys), seconds, str(os.getpid())])
        EXECUTIONS.parent.mkdir(exist_ok=True)
        with EXECUTIONS.open("a", encoding="utf-8") as log:
            log.write(line + "\n")  # one short write: whole even when jobs run side by side

    return run


@_logged
def _synthesize(arguments: Namespace) -> None:
    from dgreid.stages.synthesize import synthesize

    synthesize(only("dataset", arguments.keys, arguments.command))


@_logged
def _manifest(arguments: Namespace) -> None:
    import json

    from dgreid.datasets import read_manifest
    from dgreid.stages.manifest import manifest

    folder = manifest(only("dataset", arguments.keys, arguments.command))
    facts = read_manifest(folder).attrs
    counts = {"ids": 0, **json.loads(facts["counts"])}
    cameras = f"{counts['cameras']} cameras" if counts["cameras"] else "cameras unknown"
    found = f"{counts['images']} images, {counts['ids']} ids, {cameras}"
    logging.info("%s: %s (%s data)", folder, found, facts["kind"])


@_logged
def _member(arguments: Namespace) -> None:
    from dgreid.stages.member import member

    given = pairs(arguments.keys)
    if set(given) != {"protocol", "dataset"}:
        raise UserError("which data set of which protocol? Write `dgreid member protocol=NAME dataset=NAME`.")
    member(given["protocol"], given["dataset"])


@_logged
def _protocol(arguments: Namespace) -> None:
    from dgreid.protocols import read_protocol
    from dgreid.stages.protocol import protocol

    folder = protocol(only("protocol", arguments.keys, arguments.command))
    made = read_protocol(folder)
    counts = made.metadata["counts"]
    trained = f"{counts['ids']} ids, {counts['images']} images, {counts['domains']} domains"
    targets = ", ".join(f"{name} x {len(splits)}" for name, splits in made.targets.items())
    logging.info("%s: %s; targets and splits: %s (%s data)", folder, trained, targets or "none", made.kind)


@_logged
def _pretrain(arguments: Namespace) -> None:
    from dgreid.stages.pretrain import pretrain

    pretrain(only("backbone", arguments.keys, arguments.command))


@_logged
def _train(arguments: Namespace) -> None:
    from dgreid.runs.config import load_run
    from dgreid.stages.train import train

    train(load_run(arguments.keys))


@_logged
def _evaluate(arguments: Namespace) -> None:
    from dgreid.runs.config import load_run
    from dgreid.stages.evaluate import evaluate

    evaluate(load_run(arguments.keys))


@_logged
def _report(arguments: Namespace) -> None:
    from dgreid.selection import matrix
    from dgreid.stages.report import report

    report(matrix.read())
