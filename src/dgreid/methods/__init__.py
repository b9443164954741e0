"""One file per system. A file `methods/NAME.py` defines `Options` and `METHOD`; nothing else registers it."""

import ast
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

from dgreid.errors import UserError, unknown


def names() -> list[str]:
    """The modules in this folder that hold a method: those with a line `METHOD = ...`."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(path.stem for path in files if re.search(r"^METHOD = ", path.read_text(), re.M))


def foundation(name: str) -> str:
    """The method module that this one imports, `__init__` if none: its runs depend on that file too.

    Raises:
        UserError: it imports two, of which a run could name one alone.
    """
    found = set()
    tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dgreid.methods"):
            named = [node.module.rpartition(".")[2], *(alias.name for alias in node.names)]
            found.update(set(named) & set(names()))
    if len(found) > 1:
        raise UserError(
            f"methods/{name}.py builds on {' and '.join(sorted(found))}: build on one, and move what is "
            "shared to methods/_shared.py."
        )
    return found.pop() if found else "__init__"


def module(name: str) -> ModuleType:
    """The module of a method: `.Options` (its switches) and `.METHOD` (its class)."""
    if name not in names():
        raise unknown("method code", name, names())
    return import_module(f"dgreid.methods.{name}")
