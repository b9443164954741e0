"""The command line: `dgreid <stage> key=value ...`. Thin: each command calls one function."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dgreid.cli.arguments import STAGES as _STAGES
from dgreid.cli.arguments import build_parser
from dgreid.errors import UserError, unknown
from dgreid.paths import EXECUTIONS


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it succeeded, 1 after a user error (one sentence on stderr)."""
    words = sys.argv[1:] if words is None else list(words)
    parser, commands = build_parser()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if words and not words[0].startswith("-") and words[0] not in commands:
            raise unknown("command", words[0], commands)
        chosen = parser.parse_args(words)
        if not Path("params").is_dir():
            raise UserError("there is no params/ here: run dgreid from the project's root folder.")
        _COMMANDS[chosen.name](chosen)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads has seen enough, as in `dgreid protocols | head`
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # nor does Python's own last flush fail
        return 0
    except OSError as error:  # the last resort: a full disk, a missing permission
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; mend that and run it again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _adopt(arguments: argparse.Namespace) -> None:
    from dgreid.datasets.adopt.archive import adopt, check_link, link
    from dgreid.datasets.config import load_dataset

    config = load_dataset(arguments.dataset)
    mode = "copy" if arguments.copy else "link"
    check_link(config.name, arguments.to)
    adopt(
        config,
        arguments.source,
        arguments.to,
        mode=mode,
        acknowledge=arguments.acknowledge,
        replace=arguments.replace,
    )
    link(config.name, arguments.to)


def _embed(arguments: argparse.Namespace) -> None:
    from dgreid.inference.embed import embed

    logging.info("%s", embed(arguments.run, arguments.images, arguments.out, arguments.skip_unreadable))


def _search(arguments: argparse.Namespace) -> None:
    from dgreid.inference.search import search

    page = search(
        arguments.run,
        arguments.query,
        arguments.gallery,
        arguments.out,
        top=arguments.top,
        copy=arguments.copy,
        skip_unreadable=arguments.skip_unreadable,
    )
    logging.info("%s: open it in a browser; the numbers are in ranking.csv beside it.", page)


def _export(arguments: argparse.Namespace) -> None:
    from dgreid.inference.export import export

    logging.info("%s", export(arguments.run, arguments.out))


def _tsne(arguments: argparse.Namespace) -> None:
    from dgreid.reporting.tsne import tsne

    stem = tsne(arguments.run, arguments.target, arguments.together, arguments.seed, arguments.perplexity)
    logging.info("%s.png, .pdf and .csv: written.", stem)


def _download(arguments: argparse.Namespace) -> None:
    from dgreid.datasets.adopt.archive import where_to_ask
    from dgreid.datasets.config import load_dataset

    print(where_to_ask(load_dataset(arguments.dataset)))


def _inspect(arguments: argparse.Namespace) -> None:
    from dgreid.datasets.inspect import inspect

    print(inspect(arguments.dataset))


def _splits(arguments: argparse.Namespace) -> None:
    from dgreid.datasets.imported import import_splits

    path = import_splits(arguments.dataset, arguments.source, arguments.split_set)
    logging.info("%s: written; `dgreid manifest dataset=%s` takes it in.", path, arguments.dataset)


def _select(arguments: argparse.Namespace) -> None:
    from dgreid.paths import MATRIX
    from dgreid.selection.matrix import select

    matrix = select(arguments.matrix, {key: _value(key, value) for key, value in _pairs(arguments.keys)})
    logging.info("%s: %d runs, data sets %s", MATRIX, len(matrix["runs"]), ", ".join(matrix["datasets"]))
    for name, item in matrix["datasets"].items():
        if name not in matrix["drawn"] and not Path(item["source"]).is_file():
            logging.info("%s is not here yet: run `dgreid adopt %s --from PATH`.", name, name)


def _value(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(
            f"{key}={value} is not a value or a list: write for example '{key}=[0,1]'."
        ) from error


def _protocols(arguments: argparse.Namespace) -> None:
    from dgreid.protocols.listing import protocols_table

    print(protocols_table(ready=arguments.ready))


def _stage(arguments: argparse.Namespace) -> None:
    """Run one stage item and, if it succeeded, note it in the execution log."""
    started = time.time()
    {"report": _report}.get(arguments.name, _run if arguments.name in ("train", "evaluate") else _item)(
        arguments
    )
    EXECUTIONS.parent.mkdir(exist_ok=True)
    with EXECUTIONS.open("a") as log:  # one short write: whole even when jobs run side by side
        log.write(
            f"{arguments.name}\t{' '.join(arguments.keys)}\t{time.time() - started:.1f}\t{os.getpid()}\n"
        )


def _item(arguments: argparse.Namespace) -> None:
    """synthesize, manifest, protocol: one data set or protocol, given as key=value."""
    from importlib import import_module

    key = "protocol" if arguments.name == "protocol" else "dataset"
    chosen = dict(_pairs(arguments.keys))
    for name in chosen:
        if name != key:
            raise unknown("key", name, [key])
    if key not in chosen:
        raise UserError(f"which {key}? Write `dgreid {arguments.name} {key}=NAME`.")
    made = getattr(import_module(f"dgreid.stages.{arguments.name}"), arguments.name)(chosen[key])
    if summary := {"manifest": _manifest_summary, "protocol": _protocol_summary}.get(arguments.name):
        logging.info("%s: %s", made, summary(made))


def _manifest_summary(folder: Path) -> str:
    import json

    from dgreid.datasets import read_manifest

    facts = read_manifest(folder).attrs
    counts = {"ids": 0, **json.loads(facts["counts"])}
    cameras = f"{counts['cameras']} cameras" if counts["cameras"] else "cameras unknown"
    return f"{counts['images']} images, {counts['ids']} ids, {cameras} ({facts['kind']} data)"


def _protocol_summary(folder: Path) -> str:
    from dgreid.protocols import read_protocol

    protocol = read_protocol(folder)
    counts = protocol.metadata["counts"]
    trained = f"{counts['ids']} ids, {counts['images']} images, {counts['domains']} domains"
    searched = ", ".join(f"{name} x {len(splits)}" for name, splits in protocol.targets.items())
    return f"{trained}; targets and splits: {searched or 'none'} ({protocol.kind} data)"


def _run(arguments: argparse.Namespace) -> None:
    """train, evaluate: one run, composed from its choices."""
    from importlib import import_module

    from dgreid.runs.config import load_run

    getattr(import_module(f"dgreid.stages.{arguments.name}"), arguments.name)(load_run(arguments.keys))


def _report_or_plan(arguments: argparse.Namespace) -> None:
    """A plan is no stage: it makes nothing that another one reads, so the log does not name it."""
    if not arguments.plan:
        if arguments.matrix or arguments.measure:
            raise UserError(
                "--matrix and --measure go with --plan; to render another selection, `dgreid select NAME` it."
            )
        return _photographs() if arguments.photographs else _stage(arguments)
    from dgreid.selection import matrix
    from dgreid.selection.plan import plan

    if arguments.photographs:
        raise UserError("--photographs makes pictures and --plan makes nothing: give one of them.")
    if arguments.keys:
        raise UserError("dgreid report --plan takes no keys: name a selection with --matrix NAME.")
    chosen = matrix.compose(arguments.matrix, {}) if arguments.matrix else matrix.read()
    print(plan(chosen, measure=arguments.measure))


def _photographs() -> None:
    from dgreid.reporting.photographs import photographs
    from dgreid.runs.metrics import read_metrics
    from dgreid.selection import matrix

    shown = photographs({run: read_metrics(run, choice) for run, choice in matrix.read()["runs"].items()})
    logging.info("%s: for your eyes; git ignores its folder.", shown)


def _report(arguments: argparse.Namespace) -> None:
    from dgreid.selection import matrix
    from dgreid.stages.report import report

    if arguments.keys:
        raise UserError(
            "dgreid report takes no keys: it renders the runs of params/matrix.yaml (`dgreid select NAME`)."
        )
    report(matrix.read())


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    for word in words:
        if "=" not in word:
            raise UserError(f"'{word}' is not of the form key=value.")
    return [tuple(word.split("=", 1)) for word in words]


_COMMANDS = dict.fromkeys(_STAGES, _stage) | {
    "adopt": _adopt,
    "download": _download,
    "embed": _embed,
    "export": _export,
    "inspect": _inspect,
    "protocols": _protocols,
    "report": _report_or_plan,
    "search": _search,
    "select": _select,
    "splits": _splits,
    "tsne": _tsne,
}


if __name__ == "__main__":
    sys.exit(main())
