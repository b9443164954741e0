"""One file per method: `methods/NAME.py` defines `Options` and `METHOD`; nothing else registers it."""

from collections.abc import Mapping
from typing import Any

from dgreid.registry import Registry
from dgreid.schema import validate

METHODS = Registry("dgreid.methods", "method code", ("METHOD", "Options"))
names, module = METHODS.names, METHODS.module


def read(node: Mapping[str, Any]) -> Any:
    """Validate the values of a method by the `Options` of its module: `code`, or else its name.

    Raises:
        UserError: there is no such module, or an option has no meaning for it.
    """
    node = {"code": node.get("name"), **node}
    return validate(module(node["code"]).Options, node, "method")
