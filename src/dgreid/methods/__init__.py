"""One file per method: `methods/NAME.py` defines `Options` and `METHOD`; nothing else registers it."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

from dgreid.errors import UserError, unknown


def names() -> list[str]:
    """List the modules in this folder that define a method, with a line `METHOD = ...`."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(
        path.stem for path in files if re.search(r"^METHOD = ", path.read_text(encoding="utf-8"), re.M)
    )


def module(name: str) -> ModuleType:
    """Import the module of a method: `.Options` (its options) and `.METHOD` (its class).

    Raises:
        UserError: there is no such method, or its file lacks `Options`.
    """
    if name not in names():
        raise unknown("method code", name, names())
    found = import_module(f"dgreid.methods.{name}")
    if not hasattr(found, "Options"):
        raise UserError(f"methods/{name}.py has no `Options`: add one, such as erm.Options.")
    return found
