"""Operations of training augmentation, one file each.

A file `operations/NAME.py` defines `Options` and `apply(images, options, rng)`, which takes and returns
pixels (N, H, W, 3) uint8, uses only the random numbers of `rng` and does not change its input; nothing else
registers it.
"""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dgreid.errors import UserError
from dgreid.registry import Registry
from dgreid.schema import Module, Strict, validate


class Operation(Strict):
    """The options that every operation has; a file's own `Options` adds more."""

    operation: Annotated[str, Module("dgreid.images.operations")] = Field(
        description="module in src/dgreid/images/operations"
    )


OPERATIONS = Registry("dgreid.images.operations", "operation", ("apply", "Options"))
names, module = OPERATIONS.names, OPERATIONS.module


def read(node: Any, where: str) -> Operation:
    """Validate one entry of a list of operations.

    Args:
        node: such as `{"operation": "flip", "probability": 0.5}`; an operation is returned as it is.
        where: the entry's place, named in errors.

    Raises:
        UserError: the entry is no mapping, the operation is unknown, or its options are wrong.
    """
    if isinstance(node, Operation):
        return node
    if not isinstance(node, dict) or "operation" not in node:
        raise UserError(
            f"{where}: write {{operation: NAME, ...}} with one of {', '.join(names())} (got {node!r})."
        )
    return validate(module(node["operation"], where).Options, node, where)


def chosen(count: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Choose which of `count` images change, (count,) bool; probability 1 uses no random numbers."""
    return np.ones(count, bool) if probability == 1 else rng.random(count) < probability
