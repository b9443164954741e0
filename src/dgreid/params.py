"""Read the groups of `params/`: the names of a group, and the values of a name's file and of its bases.

A file may take its values from bases in its group and state only what differs, in Hydra's notation:

    defaults: [_metabin, _self_]

A file whose name begins with `_` is a base; it is not one of the group's names. Hydra merges mappings key by
key, so bases contain no mappings: a file could only add to one, never replace it.
"""

from pathlib import Path

from dgreid.errors import UserError, unknown
from dgreid.names import NAME_RULE, is_name
from dgreid.paths import PARAMS
from dgreid.schema import leaves, read_yaml

SELF = "_self_"
MISSING = "???"  # of Hydra


def names(group: str) -> list[str]:
    """List the names in a group of params/, sorted, without bases and without files that cannot be named."""
    return sorted(path.stem for path in (PARAMS / group).glob("[!_]*.yaml") if is_name(path.stem))


def read(group: str, name: str) -> dict:
    """Read the values of params/GROUP/NAME.yaml and its bases, and add its name.

    Raises:
        UserError: a file or base is missing, unreadable or its own base, or a base has a mapping; or the name
            is none.
    """
    if not is_name(name) and Path(name).name == name and _path(group, name).is_file():
        raise UserError(f"{_path(group, name)!s:.120} cannot be named, so rename it: a name has {NAME_RULE}.")
    if name not in names(group):
        raise unknown(group, name, names(group))
    values: dict = {}
    *bases, own = stated(group, name).items()
    for path, base in bases:
        if mapping := next((key for key, value in base.items() if isinstance(value, dict)), None):
            raise UserError(
                f"{path}: {mapping} is a mapping, to which files could only add; a base has none: write it "
                "in each file."
            )
        values |= base
    return {**values, **own[1], "name": name}


def files(group: str, name: str) -> list[Path]:
    """List the files that give a name its values: its bases, in the order they apply, then its own file."""
    return list(stated(group, name))


def stated(group: str, name: str, below: tuple[str, ...] = ()) -> dict[Path, dict]:
    """Read what each of `files` states, without `defaults`.

    Args:
        group: a folder of params/.
        name: of a file in it, or of a base.
        below: the names that have this one as a base.
    """
    path = _path(group, name)
    node = read_yaml(path)
    if MISSING in leaves(node):
        raise UserError(f"{path}: {MISSING} stands for a value to come; write one, or take the line out.")
    found: dict[Path, dict] = {}
    for base in _bases(node.pop("defaults", [SELF]), path):
        if base in (*below, name):
            circle = " -> ".join((*below, name, base))
            raise UserError(f"{path}: {base} is its own base ({circle}); remove one from `defaults`.")
        if not _path(group, base).is_file():
            known = (file.stem for file in (PARAMS / group).glob("_*.yaml"))
            raise unknown(f"base in {path}:", base, known)
        found |= stated(group, base, (*below, name))
    return found | {path: node}


def _bases(defaults: object, path: Path) -> list[str]:
    """Return the bases in a file's `defaults`, which must end with Hydra's word for the file itself."""
    if not isinstance(defaults, list) or defaults[-1:] != [SELF]:
        raise UserError(f"{path}: `defaults` is a list of bases that ends with {SELF}, not {defaults!r}.")
    for base in defaults[:-1]:
        if not isinstance(base, str) or not base.startswith("_") or base == SELF:
            raise UserError(f"{path}: {base!r} cannot be a base; the names of bases begin with `_`.")
    return defaults[:-1]


def _path(group: str, name: str) -> Path:
    return PARAMS / group / f"{name}.yaml"
