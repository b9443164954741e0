"""The schema of a miniature data set."""

from typing import Annotated

from pydantic import Field

from dgreid.schema import Counts, Module, Seed, Strict


class MiniatureConfig(Strict):
    """A miniature data set: its seed, style and sizes; written by `dgreid.miniature.writers.<layout>`."""

    seed: Seed = Field(0, description="seed of the drawn images")
    spread: float = Field(1.0, ge=0, le=100, description="style spread k of the domain prior")
    sizes: Counts = Field(description="the counts that the writer of this layout needs")
    layout: Annotated[str | None, Module("dgreid.miniature.writers")] = Field(
        None, description="the writer, if its name is not the parser's"
    )
