"""Data sets: a parser for each, adoption of archives and folders, manifests.

Everything later reads manifests only.
"""

from dgreid.datasets.manifest import read_manifest, read_splits
from dgreid.datasets.parsers import layout_of, looks_like, parse, parser, parser_names

__all__ = ["layout_of", "looks_like", "parse", "parser", "parser_names", "read_manifest", "read_splits"]
