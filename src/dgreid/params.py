"""The groups of `params/`: which names there are, and what the file of a name says."""

from dgreid.errors import unknown
from dgreid.paths import PARAMS
from dgreid.schema import read_yaml


def names(group: str) -> list[str]:
    """The names in a group of params/, sorted; files that begin with `_` are bases of others."""
    return sorted(path.stem for path in (PARAMS / group).glob("[!_]*.yaml"))


def read(group: str, name: str) -> dict:
    """The values of params/GROUP/NAME.yaml, with its name.

    Raises:
        UserError: there is no such file, or it is not readable.
    """
    if name not in names(group):
        raise unknown(group, name, names(group))
    return {**read_yaml(PARAMS / group / f"{name}.yaml"), "name": name}
