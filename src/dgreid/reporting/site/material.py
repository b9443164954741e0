"""What the pages of the report are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dgreid.reporting.agreement import Agreement
from dgreid.reporting.differences import Gap
from dgreid.reporting.figures import Figure
from dgreid.reporting.tables import Block
from dgreid.runs.evidence import Evidence
from dgreid.runs.recorded import plural


class Paper(NamedTuple):
    """A paper's table: its name in params/tables, its title, and an HTML fragment with its numbers."""

    name: str
    title: str
    fragment: str

    @property
    def short(self) -> str:
        """The paper and the number of the table, such as `MetaBIN, Table 3`."""
        return self.title.split(".")[0]

    @property
    def document(self) -> str:
        """The paper, such as `MetaBIN`."""
        return self.title.split(",")[0]

    @property
    def about(self) -> str:
        """The rest of the title, after the table's number."""
        return self.title.partition(".")[2].strip().rstrip(".")

    @property
    def state(self) -> str:
        """Say how many lines are measured, and for how many networks numbers are counted from the code."""
        full, counted = (self.fragment.count(f'<tr class="{kind}">') for kind in ("measured", "counted"))
        measured = f"{plural(full, 'line')} measured" if full else "nothing measured"
        state = f"{measured} on full data" + ("" if full else " yet")
        return state + (f", {plural(counted, 'network')} counted from the code" if counted else "")


@dataclass(frozen=True)
class Material:
    """What the pages show.

    Attributes:
        matrix: the selection.
        metrics: run -> metrics, of the selection's runs.
        every: metrics of every run in reports/metrics.
        blocks: of `tables.blocks`.
        papers: the papers' tables.
        figures: in the order they are shown.
        kept: run -> what is kept of it besides its metrics.
        agreements: of the selection's runs with the committed ones; empty if nothing is committed.
    """

    matrix: Mapping
    metrics: Mapping[str, Mapping]
    every: Sequence[Mapping]
    blocks: Sequence[Block]
    papers: Sequence[Paper] = ()
    figures: Sequence[Figure] = ()
    kept: Mapping[str, Evidence] = field(default_factory=dict)
    agreements: Sequence[Agreement] = ()

    @property
    def gaps(self) -> list[Gap]:
        """Every method against its baseline, protocol by protocol."""
        return [gap for block in self.blocks for gap in block.gaps]
