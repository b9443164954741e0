"""What a generated data set is made of."""

from typing import Annotated

from pydantic import Field

from dgreid.schema import Module, Strict


class MiniatureConfig(Strict):
    """A drawn data set: how much of what, written by `dgreid.miniature.writers.<layout>`."""

    seed: int = 0
    spread: float = Field(1.0, ge=0, description="style spread k of the domain prior")
    sizes: dict[str, int] = Field(description="counts the writer of this layout asks for")
    layout: Annotated[str | None, Module("dgreid.miniature.writers")] = Field(
        None, description="the writer; null: the one that is called as the parser"
    )
