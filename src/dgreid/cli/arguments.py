"""The words of the command line: every command, its arguments and an example. `dgreid.cli` runs them."""

import argparse
from pathlib import Path

_EXAMPLES = """examples:
  dgreid adopt market1501 --from ~/Downloads/Market-1501-v15.09.15.zip
  dgreid select open_small && snakemake --cores all
  dgreid select miniature 'methods=[erm,metabin]' 'seeds=[0,1,2]'
  dgreid train method=metabin backbone=resnet_tiny protocol=miniature seed=0
  dgreid train method=erm backbone=resnet_tiny protocol=miniature seed=3
"""
_RUN = "method=metabin backbone=resnet_tiny protocol=miniature seed=0"
_TRAINED = "metabin-resnet_tiny-miniature-s0"
STAGES = {
    "synthesize": ("draw a miniature data set", "dgreid synthesize dataset=mini_grid"),
    "manifest": ("read a data set into typed tables", "dgreid manifest dataset=mini_grid"),
    "member": (
        "note the manifest of a protocol's data set",
        "dgreid member protocol=miniature dataset=mini_grid",
    ),
    "protocol": ("fix a protocol's training, query and gallery rows", "dgreid protocol protocol=miniature"),
    "train": ("train one run", f"dgreid train {_RUN}"),
    "evaluate": ("measure one run on every target", f"dgreid evaluate {_RUN}"),
    "report": (
        "render tables, figures and page; or plan what a selection needs and costs",
        "dgreid report\n  dgreid report --matrix open_small --plan",
    ),
}


def build_parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser and the names of its commands; a parsed command is `arguments.name`."""
    parser = argparse.ArgumentParser(
        prog="dgreid",
        description="Domain-generalizable person re-identification as a reproducible pipeline.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    _data(add)
    _selection(add)
    _use(add)
    for name, (summary, example) in STAGES.items():
        stage = add(name, summary, example)
        stage.add_argument("keys", nargs="*", metavar="key=value")
        if name == "report":
            stage.add_argument("--matrix", help="with --plan: a name in params/matrices; else matrix.yaml")
            stage.add_argument(
                "--photographs",
                action="store_true",
                help="instead: the hardest queries with their images, for your eyes: reports/photographs",
            )
            stage.add_argument("--plan", action="store_true", help="what it needs and costs; runs nothing")
            stage.add_argument(
                "--measure", action="store_true", help="with --plan: time a few iterations of what is unknown"
            )
    return parser, list(commands.choices)


def _data(add) -> None:
    """What brings data and looks at them."""
    adopt = add(
        "adopt",
        "bring a data set: archive or folder",
        "dgreid adopt grid --from ~/Downloads/underground_reid.zip\n"
        "  dgreid adopt dukemtmc --from /data/DukeMTMC-reID --acknowledge",
    )
    adopt.add_argument("dataset", help="a name in params/dataset")
    adopt.add_argument(
        "--from", dest="source", required=True, type=Path, help="archive or folder, any nesting"
    )
    adopt.add_argument("--to", type=Path, default=Path("data/raw"), help="where adopted data live")
    adopt.add_argument("--copy", action="store_true", help="copy a folder instead of linking it")
    adopt.add_argument(
        "--acknowledge", action="store_true", help="confirm the terms of a restricted data set"
    )
    adopt.add_argument("--replace", action="store_true", help="take other files than those before")

    download = add("download", "say where a data set is asked for (none is fetched)", "dgreid download viper")
    download.add_argument("dataset", help="a name in params/dataset")

    inspect = add("inspect", "summarise a manifest and draw it", "dgreid inspect mini_grid")
    inspect.add_argument("dataset", help="a name in params/dataset")

    splits = add(
        "splits",
        "import somebody's splits.json as a further split set",
        "dgreid splits import prid2011 --from splits.json --name theirs",
    )
    splits.add_argument("action", choices=["import"])
    splits.add_argument("dataset", help="a name in params/dataset")
    splits.add_argument("--from", dest="source", required=True, type=Path, help="the splits.json")
    splits.add_argument("--name", dest="split_set", required=True, help="what to call it: letters, digits, _")


def _selection(add) -> None:
    """What says what is run."""
    protocols = add(
        "protocols",
        "list every protocol, and which of its data are here",
        "dgreid protocols\n  dgreid protocols --ready",
    )
    protocols.add_argument("--ready", action="store_true", help="only those whose data are all here")
    add("code", "write down what every item of the selection executes, and list what changed", "dgreid code")
    select = add("select", "write a selection of runs to params/matrix.yaml", "dgreid select miniature")
    select.add_argument("matrix", help="a name in params/matrices")
    select.add_argument(
        "keys", nargs="*", metavar="axis=value", help="replace an axis, such as 'seeds=[0,1]'"
    )


def _use(add) -> None:
    """What a trained run is good for."""
    embed = add(
        "embed",
        "embed a folder of person crops with a trained run",
        f"dgreid embed --run {_TRAINED} --images crops --out crops.parquet",
    )
    embed.add_argument("--images", required=True, type=Path, help="a folder of person crops, any depth")
    embed.add_argument("--out", required=True, type=Path, help="parquet file: path, embedding")

    search = add(
        "search",
        "rank a gallery of person crops for one or more queries",
        f"dgreid search --run {_TRAINED} --query who.jpg --gallery crops --out found",
    )
    search.add_argument("--query", required=True, type=Path, help="an image, or a folder of them")
    search.add_argument(
        "--gallery", required=True, type=Path, help="a folder of crops, or what `dgreid embed` made of it"
    )
    search.add_argument("--out", required=True, type=Path, help="folder for ranking.csv and index.html")
    search.add_argument("--top", type=int, default=20, help="gallery images per query (20)")
    search.add_argument("--copy", action="store_true", help="copy the images shown, so that --out can travel")

    export = add(
        "export",
        "write the embedding network of a run as ONNX",
        f"dgreid export --run {_TRAINED} --out model.onnx",
    )
    export.add_argument("--out", required=True, type=Path, help="ONNX file")
    tsne = add(
        "tsne",
        "draw a t-SNE map of a run's embeddings of its targets",
        f"dgreid tsne --run {_TRAINED}\n  dgreid tsne --run {_TRAINED} --together",
    )
    tsne.add_argument("--target", nargs="+", default=(), help="targets of its protocol (all)")
    tsne.add_argument("--together", action="store_true", help="one map of all targets, coloured by target")
    tsne.add_argument("--seed", type=int, default=0, help="of the map (0)")
    tsne.add_argument("--perplexity", type=float, default=30.0, help="neighbours that count (30)")
    for command in (embed, search, export, tsne):
        command.add_argument("--run", required=True, help="a folder name in data/runs")
    for command in (embed, search):
        command.add_argument(
            "--skip-unreadable", action="store_true", help="leave out images that cannot be read"
        )
