"""Commands that use a trained run: embed, search, export."""

import logging
from argparse import Namespace
from pathlib import Path

TITLE = "use a trained run"
RUN = "metabin-resnet_tiny-miniature-s0"


def add_commands(add) -> None:
    """Add this family's commands to the parser."""
    embed = add(
        "embed",
        "embed a folder of person crops",
        _embed,
        f"  dgreid embed --run {RUN} --images crops --out crops.parquet",
    )
    embed.add_argument("--images", required=True, type=Path, help="a folder of person crops, any depth")
    embed.add_argument("--out", required=True, type=Path, help="parquet file with columns path and embedding")

    search = add(
        "search",
        "rank a gallery of person crops for one or more queries",
        _search,
        f"  dgreid search --run {RUN} --query who.jpg --gallery crops --out found",
    )
    search.add_argument("--query", required=True, type=Path, help="an image, or a folder of images")
    search.add_argument(
        "--gallery", required=True, type=Path, help="a folder of crops, or the file `dgreid embed` made of it"
    )
    search.add_argument("--out", required=True, type=Path, help="folder for ranking.csv and index.html")
    search.add_argument("--top", type=int, default=20, help="gallery images per query (20)")
    search.add_argument(
        "--copy", action="store_true", help="copy the images shown into --out, so that it can be moved"
    )

    export = add(
        "export",
        "write the embedding network as ONNX",
        _export,
        f"  dgreid export --run {RUN} --out model.onnx",
    )
    export.add_argument("--out", required=True, type=Path, help="ONNX file")

    for command in (embed, search, export):
        command.add_argument(
            "--run", dest="trained", metavar="RUN", required=True, help="a folder in data/runs"
        )
    for command in (embed, search):
        command.add_argument(
            "--skip-unreadable", action="store_true", help="leave out images that cannot be read"
        )


def _embed(arguments: Namespace) -> None:
    from dgreid.inference.embed import embed

    path = embed(arguments.trained, arguments.images, arguments.out, arguments.skip_unreadable)
    logging.info("%s", path)


def _search(arguments: Namespace) -> None:
    from dgreid.inference.search import search

    page = search(
        arguments.trained,
        arguments.query,
        arguments.gallery,
        arguments.out,
        top=arguments.top,
        copy=arguments.copy,
        skip_unreadable=arguments.skip_unreadable,
    )
    logging.info("%s: open it in a browser; the scores are in ranking.csv beside it.", page)


def _export(arguments: Namespace) -> None:
    from dgreid.inference.export import export

    logging.info("%s", export(arguments.trained, arguments.out))
