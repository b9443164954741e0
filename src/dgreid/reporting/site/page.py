"""The report as static pages: reports/index.html and reports/site, readable from disk without a network.

The same metrics give the same bytes: no page knows the time or the machine it was rendered on.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dgreid.files import whole
from dgreid.reporting.figures import Figure
from dgreid.reporting.site import overview, run_page
from dgreid.reporting.tables import Block
from dgreid.runs import systems as runs
from dgreid.runs.evidence import Evidence

STATIC = ("page.css", "page.js")


class Paper(NamedTuple):
    """A paper's table: its name in params/tables, its title, and an HTML fragment with its numbers."""

    name: str
    title: str
    fragment: str

    @property
    def short(self) -> str:
        """`MetaBIN, Table 3`."""
        return self.title.split(".")[0]

    @property
    def document(self) -> str:
        """`MetaBIN`."""
        return self.title.split(",")[0]

    @property
    def about(self) -> str:
        """What follows the number."""
        return self.title.partition(".")[2].strip().rstrip(".")

    @property
    def state(self) -> str:
        """How much of it is measured."""
        full, counted = (self.fragment.count(f'<tr class="{kind}">') for kind in ("measured", "counted"))
        measured = f"{runs.plural(full, 'line')} measured" if full else "nothing measured"
        state = f"{measured} on full data" + ("" if full else " yet")
        return state + (f", {runs.plural(counted, 'network')} counted from the code" if counted else "")


@dataclass(frozen=True)
class Material:
    """What the pages show.

    Attributes:
        matrix: the selection.
        metrics: run -> metrics, of the selection's runs.
        every: metrics of every run in reports/metrics.
        blocks: of `tables.blocks`.
        gaps: of `differences.differences`.
        papers: the papers' tables.
        figures: in the order they are shown.
        kept: run -> what is kept of it beside its metrics.
    """

    matrix: Mapping
    metrics: Mapping[str, Mapping]
    every: Sequence[Mapping]
    blocks: Sequence[Block]
    gaps: pd.DataFrame
    papers: Sequence[Paper] = ()
    figures: Sequence[Figure] = ()
    kept: Mapping[str, Evidence] = field(default_factory=dict)


def write(material: Material, reports: Path) -> None:
    """Write index.html and the folder site; what an earlier selection left in the folder goes."""
    with whole(reports / "site") as folder:
        for name, text in site(material):
            path = reports / name if name == "index.html" else folder / Path(name).relative_to("site")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent == reports:
                with whole(path) as part:
                    part.write_text(text, encoding="utf-8")
            else:
                path.write_text(text, encoding="utf-8")


def environment() -> Environment:
    """The templates of this package; an unknown variable is an error, and text is escaped."""
    made = Environment(
        loader=PackageLoader("dgreid.reporting.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made


def breakable(name: str) -> Markup:
    """A name or path that may be broken behind / and _ where it does not fit (browsers know the hyphen)."""
    return Markup("<wbr>".join(escape(part) for part in re.findall(r"[^/_]*[/_]+|[^/_]+", name)))


def alone(table: Paper) -> str:
    """A paper's table as a page that needs no other file, to send or to show in another report."""
    style, script = (Markup(_static(name)) for name in STATIC)
    content = {"table": table, "fragment": Markup(_body(table)), "style": style, "script": script}
    return environment().get_template("alone.html").render(up="", here="", **content)


def _static(name: str) -> str:
    return files("dgreid.reporting.site").joinpath("static", name).read_text(encoding="utf-8")


def _body(table: Paper) -> str:
    """Its fragment without the title, which the page says."""
    return table.fragment.removeprefix(f"<h2>{escape(table.title)}</h2>\n")


def site(material: Material) -> Iterator[tuple[str, str]]:
    """(path below reports/, content) of every page and of what they share."""
    for name in STATIC:
        yield f"site/{name}", _static(name)
    templates = environment()

    def render(template: str, path: str, here: str = "", **content: object) -> tuple[str, str]:
        up = "../" * path.count("/")
        return path, templates.get_template(template).render(up=up, here=here or path, **content)

    yield render("index.html", "index.html", **overview.content(material))
    yield render("papers.html", "site/papers.html", tables=material.papers)
    for table in material.papers:
        content = {"table": table, "fragment": Markup(_body(table))}
        yield render("paper.html", f"site/papers/{table.name}.html", "site/papers.html", **content)
    listed = [dict(run, shown=runs.title(run), when=runs.date(run)) for run in material.every]
    choices = overview.options(material.every)
    yield render("runs.html", "site/runs.html", runs=listed, selected=set(material.metrics), options=choices)
    for run in material.every:
        content = run_page.content(run, material.kept.get(run["run"], Evidence()))
        yield render("run.html", f"site/runs/{run['run']}.html", "site/runs.html", **content)
