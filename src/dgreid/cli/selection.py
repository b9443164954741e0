"""Commands around a selection: protocols, describe, select, plan, verify, code, repro."""

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml

from dgreid.cli.words import pairs
from dgreid.documents import parse_plain_yaml
from dgreid.errors import UserError

TITLE = "choose what to run"


def add_commands(add) -> None:
    """Add this family's commands to the parser."""
    protocols = add(
        "protocols",
        "list every protocol, and which of its data are here",
        _protocols,
        "  dgreid protocols\n  dgreid protocols --ready",
    )
    protocols.add_argument("--ready", action="store_true", help="only those whose data are all here")

    describe = add(
        "describe",
        "explain every setting of a file in params/, or of a run: value, source, meaning",
        _describe,
        "  dgreid describe method=metabin\n"
        "  dgreid describe recipe=_base\n"
        "  dgreid describe recipe=miniature recipe.epochs=5\n"
        "  dgreid describe method=erm backbone=resnet_tiny protocol=miniature method.margin=0.5",
    )
    describe.add_argument(
        "keys",
        nargs="+",
        metavar="key=value",
        help="a file, by its folder in params/ (method, backbone, protocol, targets, recipe, image, dataset, "
        "tables, matrices) and its name, and if wanted overrides of it; or a run as `dgreid train` takes it",
    )

    select = add(
        "select",
        "write a selection of runs to params/matrix.yaml",
        _select,
        "  dgreid select miniature\n"
        "  dgreid select miniature 'methods=[erm,metabin]' 'seeds=[0,1,2]'\n"
        "  dgreid select miniature recipe.epochs=2 'recipe.milestones=[1]'",
    )
    select.add_argument("matrix", metavar="NAME", help="a name in params/matrices")
    select.add_argument(
        "keys",
        nargs="*",
        metavar="axis=value",
        help="replace an axis, such as 'seeds=[0,1]', or set a value in every run, such as recipe.epochs=2",
    )

    plan = add(
        "plan",
        "list what a selection needs and costs; runs nothing",
        _plan,
        "  dgreid plan miniature\n"
        "  dgreid plan miniature --measure\n\n"
        "`dgreid report --plan [--matrix NAME] [--measure]` of earlier versions is the same command.",
    )
    name = plan.add_mutually_exclusive_group()
    name.add_argument(
        "matrix", nargs="?", metavar="NAME", help="a name in params/matrices (params/matrix.yaml)"
    )
    name.add_argument(
        "--matrix", dest="earlier", metavar="NAME", help="the same, in the notation of earlier versions"
    )
    plan.add_argument(
        "--measure", action="store_true", help="time a few iterations of every run whose speed is unknown"
    )

    verify = add(
        "verify",
        "compare runs with the committed results: equal, within what seeds scatter, or not",
        _verify,
        "  dgreid verify\n"
        "  dgreid verify metabin-resnet_tiny-miniature-s0 --against HEAD~1\n\n"
        "exit status:\n"
        "  0  every score is equal, in all digits\n"
        "  3  no more runs differ than chance explains: it scatters as seeds do\n"
        "  1  more runs differ, or they were made from other settings or data, or nothing could be compared",
    )
    verify.add_argument("runs", nargs="*", metavar="RUN", help="only these runs (those of the selection)")
    verify.add_argument(
        "--against", default="HEAD", metavar="REV", help="the commit that holds the results (HEAD)"
    )
    verify.add_argument("--json", action="store_true", help="print JSON instead of lines")

    add(
        "code",
        "record the code and settings of every run of the selection; print what changed",
        _code,
        "  dgreid code",
    )

    repro = add(
        "repro",
        "update items, or all, through DVC, after repairing what a kill has left of DVC's files",
        _repro,
        "  dgreid repro\n  dgreid repro train@metabin-resnet_tiny-miniature-s0",
    )
    repro.add_argument(
        "items", nargs="*", metavar="STAGE@ITEM", help="only these, without what they depend on (all)"
    )


def _protocols(arguments: Namespace) -> None:
    from dgreid.protocols.listing import protocols_table

    print(protocols_table(ready=arguments.ready))


def _describe(arguments: Namespace) -> None:
    from dgreid.selection.describe import describe

    print(describe(arguments.keys))


def _select(arguments: Namespace) -> None:
    from dgreid.paths import MATRIX
    from dgreid.selection.matrix import select

    axes = {key: _value(key, value) for key, value in pairs(arguments.keys).items()}
    matrix = select(arguments.matrix, axes)
    logging.info("%s: %d runs, data sets %s", MATRIX, len(matrix["runs"]), ", ".join(matrix["datasets"]))
    for name, item in matrix["datasets"].items():
        if name not in matrix["drawn"] and not Path(item["source"]).is_file():
            logging.info("%s is not here yet: run `dgreid adopt %s --from PATH`.", name, name)


def _value(key: str, value: str) -> Any:
    if "." in key:  # an override of every run, which stays text
        return value
    try:
        return parse_plain_yaml(value)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(
            f"{key}={value} is not a value or a list: write for example '{key}=[0,1]'."
        ) from error


def _plan(arguments: Namespace) -> None:
    name = arguments.matrix or arguments.earlier
    logging.info(
        "counting runs, data and hours of %s: a moment for each kind of run.", name or "the selection"
    )

    from dgreid.selection import matrix  # after the line, because these imports take seconds
    from dgreid.selection.plan import plan

    print(plan(matrix.compose(name, {}) if name else matrix.read(), measure=arguments.measure))


def _verify(arguments: Namespace) -> None:
    import sys

    from dgreid.reporting import agreement
    from dgreid.runs import metrics
    from dgreid.selection import matrix

    if arguments.runs:
        chosen = {run: metrics.read_run(run) for run in arguments.runs}
    else:
        chosen = {run: metrics.read_metrics(run, choice) for run, choice in matrix.read()["runs"].items()}
    earlier = agreement.committed(arguments.against)
    found = agreement.compare(chosen, earlier.metrics)
    print(
        agreement.to_json(found, earlier.commit) if arguments.json else agreement.lines(found, earlier.commit)
    )
    if status := agreement.status(found):
        sys.stdout.flush()
        sys.exit(status)


def _code(arguments: Namespace) -> None:
    from dgreid.selection import code, matrix

    for path in code.write(matrix.read()):
        print(path)


def _repro(arguments: Namespace) -> None:
    import sys

    from dgreid.selection import guard

    single = ["--single-item", *arguments.items] if arguments.items else []
    if status := guard.main(["--wait-for-lock", "repro", *single]):
        sys.exit(status)
