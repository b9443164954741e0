"""Commands that import and inspect data: adopt, download, inspect, splits."""

import logging
from argparse import Namespace
from pathlib import Path

from dgreid.paths import RAW

TITLE = "data"


def add_commands(add) -> None:
    """Add this family's commands to the parser."""
    adopt = add(
        "adopt",
        "import a data set from an archive or folder",
        _adopt,
        "  dgreid adopt grid --from ~/Downloads/underground_reid.zip\n"
        "  dgreid adopt dukemtmc --from /data/DukeMTMC-reID --acknowledge",
    )
    adopt.add_argument("dataset", help="a name in params/dataset")
    adopt.add_argument(
        "--from", dest="source", required=True, type=Path, help="archive or folder, however nested"
    )
    adopt.add_argument("--to", type=Path, default=RAW, help=f"folder for adopted data ({RAW})")
    adopt.add_argument("--copy", action="store_true", help="copy a folder instead of linking it")
    adopt.add_argument(
        "--acknowledge", action="store_true", help="confirm the terms of a restricted data set"
    )
    adopt.add_argument("--replace", action="store_true", help="replace files adopted earlier by others")

    download = add(
        "download",
        "say where to ask for a data set (nothing is fetched)",
        _download,
        "  dgreid download viper",
    )
    download.add_argument("dataset", help="a name in params/dataset")

    inspect = add(
        "inspect",
        "summarise a data set's manifest, with a contact sheet and histograms",
        _inspect,
        "  dgreid inspect mini_grid",
    )
    inspect.add_argument("dataset", help="a name in params/dataset")

    splits = add(
        "splits",
        "import a splits.json as a further split set of a data set",
        _splits,
        "  dgreid splits import prid2011 --from splits.json --name theirs",
    )
    splits.add_argument("action", choices=["import"])
    splits.add_argument("dataset", help="a name in params/dataset")
    splits.add_argument("--from", dest="source", required=True, type=Path, help="the splits.json")
    splits.add_argument(
        "--name", dest="split_set", required=True, help="name of the split set: small letters, digits, _"
    )


def _adopt(arguments: Namespace) -> None:
    from dgreid.datasets.adopt.archive import adopt, check_link, link
    from dgreid.datasets.config import load_dataset

    config = load_dataset(arguments.dataset)
    check_link(config.name, arguments.to)
    adopt(
        config,
        arguments.source,
        arguments.to,
        mode="copy" if arguments.copy else "link",
        acknowledge=arguments.acknowledge,
        replace=arguments.replace,
    )
    link(config.name, arguments.to)


def _download(arguments: Namespace) -> None:
    from dgreid.datasets.adopt.archive import where_to_ask
    from dgreid.datasets.config import load_dataset

    print(where_to_ask(load_dataset(arguments.dataset)))


def _inspect(arguments: Namespace) -> None:
    from dgreid.datasets.inspect import inspect

    print(inspect(arguments.dataset))


def _splits(arguments: Namespace) -> None:
    from dgreid.datasets.imported import import_splits

    path = import_splits(arguments.dataset, arguments.source, arguments.split_set)
    logging.info("%s: written; `dgreid manifest dataset=%s` adds it.", path, arguments.dataset)
