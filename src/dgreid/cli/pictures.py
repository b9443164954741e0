"""Commands that make pictures for your eyes alone, never for git: tsne, photographs."""

import logging
from argparse import Namespace

TITLE = "pictures"
RUN = "metabin-resnet_tiny-miniature-s0"


def add_commands(add) -> None:
    """Add this family's commands to the parser."""
    tsne = add(
        "tsne",
        "map a run's embeddings of its targets with t-SNE: reports/tsne",
        _tsne,
        f"  dgreid tsne --run {RUN}\n  dgreid tsne --run {RUN} --together",
    )
    tsne.add_argument("--run", dest="trained", metavar="RUN", required=True, help="a folder in data/runs")
    tsne.add_argument("--target", nargs="+", default=(), help="targets of the run's protocol (all)")
    tsne.add_argument("--together", action="store_true", help="one map of all targets, coloured by target")
    tsne.add_argument("--seed", type=int, default=0, help="seed of the map (0)")
    tsne.add_argument("--perplexity", type=float, default=30.0, help="effective number of neighbours (30)")

    add(
        "photographs",
        "show the hardest queries of the selection's runs: reports/photographs",
        _photographs,
        "  dgreid photographs",
    )


def _tsne(arguments: Namespace) -> None:
    from dgreid.reporting.tsne import tsne

    stem = tsne(arguments.trained, arguments.target, arguments.together, arguments.seed, arguments.perplexity)
    logging.info("%s.png, .pdf and .csv: written.", stem)


def _photographs(arguments: Namespace) -> None:
    from dgreid.reporting.photographs import photographs
    from dgreid.runs.metrics import read_metrics
    from dgreid.selection import matrix

    runs = matrix.read()["runs"]
    page = photographs({run: read_metrics(run, choice) for run, choice in runs.items()})
    logging.info("%s: for your eyes only; git ignores its folder.", page)
