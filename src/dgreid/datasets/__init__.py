"""Data sets: one parser per layout, adoption of archives and folders, manifests.

A parser module has `TREE` (the expected layout in one line), `places(folder)` (what makes a folder the root),
`find(folder) -> root`, `parse(root, options) -> Parsed` and, if it has any, `OPTIONS`. Everything later reads
manifests only.
"""

import importlib
from pathlib import Path
from types import ModuleType

from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.manifest import read_manifest, read_splits
from dgreid.datasets.records import Parsed, has_names
from dgreid.errors import UserError, unknown

__all__ = ["looks_like", "parse", "parser", "parser_names", "read_manifest", "read_splits"]


def parser(name: str) -> ModuleType:
    """The parser module called `name`."""
    if name not in parser_names():
        raise unknown("parser", name, parser_names())
    return importlib.import_module(f"{__name__}.parsers.{name}")


def parse(config: DatasetConfig, root: Path) -> Parsed:
    """Read the names below `root` as this data set's parser does.

    Raises:
        UserError: a file that does not belong, or an option the parser does not have.
    """
    module = parser(config.parser)
    options = {"size", "allow_partial", *getattr(module, "OPTIONS", ())}  # the first two: see rules
    for option in config.options:
        if option not in options:
            raise unknown(f"option of {config.name}", option, options)
    return module.parse(Path(root), config.options)


def looks_like(folder: Path) -> list[str]:
    """Titles of the data sets whose folders and names are in `folder`, sorted."""
    found = []
    for module in map(parser, parser_names()):
        try:
            root = module.find(folder)
        except UserError:  # nothing of it, or more than one
            continue
        if has_names(root, module.places(root)):
            found.append(module.TITLE)
    return sorted(found)


def parser_names() -> list[str]:
    """Names of all parser modules, sorted."""
    return sorted(path.stem for path in (Path(__file__).parent / "parsers").glob("[a-z]*.py"))
