"""One parser per data set: a file here is a parser; nothing else registers it.

A parser declares `LAYOUT` (see `datasets.layout`) and defines `parse(root, options) -> Parsed`.
"""

from pathlib import Path

from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.layout import Layout
from dgreid.datasets.names import has_names
from dgreid.datasets.records import Parsed
from dgreid.errors import UserError, unknown
from dgreid.registry import Registry

COMMON_OPTIONS = ("size", "allow_partial")  # read by `rules`, not by parsers
PARSERS = Registry("dgreid.datasets.parsers", "parser", ("LAYOUT", "parse"))
parser_names, parser = PARSERS.names, PARSERS.module


def layout_of(name: str) -> Layout:
    """What the parser called `name` declares."""
    return parser(name).LAYOUT


def parse(config: DatasetConfig, root: Path) -> Parsed:
    """Read the names below `root` as this data set's parser does.

    Raises:
        UserError: a file that does not belong, or an option the parser does not have.
    """
    module = parser(config.parser)
    options = {*COMMON_OPTIONS, *module.LAYOUT.options}
    for option in config.options:
        if option not in options:
            raise unknown(f"option of {config.name}", option, options)
    return module.parse(Path(root), config.options)


def looks_like(folder: Path) -> list[str]:
    """Titles of the data sets whose folders and names are in `folder`, sorted."""
    found = []
    for each in map(layout_of, parser_names()):
        try:
            root = each.find(folder)
            if has_names(root, each.places(root)):
                found.append(each.title)
        except UserError:  # nothing of it, or more than one, or it cannot be read
            continue
    return sorted(found)
