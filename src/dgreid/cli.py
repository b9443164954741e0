"""The command line: `dgreid <stage> key=value ...`. Thin: each command calls one function."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from dgreid.errors import UserError, unknown

EXECUTIONS = Path("logs/executions.tsv")  # one line per executed stage item: what really ran

_EXAMPLES = """examples:
  dgreid adopt market1501 --from ~/Downloads/Market-1501-v15.09.15.zip
  dgreid select open_small && snakemake --cores all
  dgreid select miniature 'methods=[erm,metabin]' 'seeds=[0,1,2]'
  dgreid train method=metabin backbone=resnet_tiny protocol=miniature seed=0
  dgreid train method=erm backbone=resnet_tiny protocol=miniature seed=3
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it succeeded, 1 after a user error (one sentence on stderr)."""
    words = sys.argv[1:] if words is None else list(words)
    parser, commands = _parser()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if words and not words[0].startswith("-") and words[0] not in commands:
            raise unknown("command", words[0], commands)
        arguments = parser.parse_args(words)
        if not Path("params").is_dir():
            raise UserError("there is no params/ here: run dgreid from the project's root folder.")
        arguments.command(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # the last resort: a full disk, a missing permission
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; mend that and run it again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser and the names of its commands."""
    parser = argparse.ArgumentParser(
        prog="dgreid",
        description="Domain-generalizable person re-identification as a reproducible pipeline.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, command: Callable, summary: str, example: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}" if example else "",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        return sub

    adopt = add("adopt", _adopt, "bring a data set: archive or folder", "dgreid adopt grid --from grid.zip")
    adopt.add_argument("dataset", help="a name in params/dataset")
    adopt.add_argument(
        "--from", dest="source", required=True, type=Path, help="archive or folder, any nesting"
    )
    adopt.add_argument("--to", type=Path, default=Path("data/raw"), help="where adopted data live")
    adopt.add_argument("--copy", action="store_true", help="copy a folder instead of linking it")
    adopt.add_argument(
        "--acknowledge", action="store_true", help="confirm the terms of a restricted data set"
    )
    adopt.add_argument("--replace", action="store_true", help="take another archive than the one before")

    download = add(
        "download", _download, "say where a data set is asked for (none is fetched)", "dgreid download viper"
    )
    download.add_argument("dataset", help="a name in params/dataset")

    inspect = add("inspect", _inspect, "summarise a manifest and draw it", "dgreid inspect mini_grid")
    inspect.add_argument("dataset", help="a name in params/dataset")

    splits = add(
        "splits",
        _splits,
        "import somebody's splits.json as a further split set",
        "dgreid splits import prid2011 --from splits.json --name theirs",
    )
    splits.add_argument("action", choices=["import"])
    splits.add_argument("dataset", help="a name in params/dataset")
    splits.add_argument("--from", dest="source", required=True, type=Path, help="the splits.json")
    splits.add_argument("--name", dest="split_set", required=True, help="what to call it: letters, digits, _")

    select = add(
        "select", _select, "write a selection of runs to params/matrix.yaml", "dgreid select miniature"
    )
    select.add_argument("matrix", help="a name in params/matrices")
    select.add_argument(
        "keys", nargs="*", metavar="axis=value", help="replace an axis, such as 'seeds=[0,1]'"
    )

    embed = add(
        "embed",
        _embed,
        "embed a folder of person crops with a trained run",
        "dgreid embed --run metabin-resnet_tiny-miniature-s0 --images crops --out crops.parquet",
    )
    embed.add_argument("--run", required=True, help="a folder name in data/runs")
    embed.add_argument("--images", required=True, type=Path, help="a folder of person crops, any depth")
    embed.add_argument("--out", required=True, type=Path, help="parquet file: path, embedding")
    add("protocols", _protocols, "list every protocol, and which of its data are here", "dgreid protocols")

    for name, (summary, example) in _STAGES.items():
        stage = add(name, _stage, summary, example)
        stage.add_argument("keys", nargs="*", metavar="key=value")
    return parser, list(commands.choices)


def _adopt(arguments: argparse.Namespace) -> None:
    from dgreid.config import load_dataset
    from dgreid.datasets.archive import adopt, check_link, link

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
    from dgreid.embedding import embed

    logging.info("%s", embed(arguments.run, arguments.images, arguments.out))


def _download(arguments: argparse.Namespace) -> None:
    from dgreid.config import load_dataset
    from dgreid.datasets.archive import where_to_ask

    raise UserError(where_to_ask(load_dataset(arguments.dataset)))


def _inspect(arguments: argparse.Namespace) -> None:
    from dgreid.datasets.inspect import inspect

    print(inspect(arguments.dataset))


def _splits(arguments: argparse.Namespace) -> None:
    from dgreid.datasets.imported import import_splits

    path = import_splits(arguments.dataset, arguments.source, arguments.split_set)
    logging.info("%s: written; `dgreid manifest dataset=%s` takes it in.", path, arguments.dataset)


def _select(arguments: argparse.Namespace) -> None:
    from dgreid.matrix import MATRIX, select

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

    print(protocols_table())


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
    listed = ", ".join(f"{counts[what]} {what}" for what in ("images", "ids", "cameras"))
    return f"{listed} ({facts['kind']} data)"


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

    from dgreid.config import load_run

    getattr(import_module(f"dgreid.stages.{arguments.name}"), arguments.name)(load_run(arguments.keys))


def _report(arguments: argparse.Namespace) -> None:
    from dgreid import matrix
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


_RUN = "method=metabin backbone=resnet_tiny protocol=miniature seed=0"
_STAGES = {
    "synthesize": ("draw a miniature data set", "dgreid synthesize dataset=mini_grid"),
    "manifest": ("read a data set into typed tables", "dgreid manifest dataset=mini_grid"),
    "protocol": ("fix a protocol's training, query and gallery rows", "dgreid protocol protocol=miniature"),
    "train": ("train one run", f"dgreid train {_RUN}"),
    "evaluate": ("measure one run on every target", f"dgreid evaluate {_RUN}"),
    "report": ("render tables, figures and page", "dgreid report"),
}


if __name__ == "__main__":
    sys.exit(main())
