"""Write the report as static pages, reports/index.html and reports/site, to be opened from disk.

The same metrics give the same bytes: no page contains the time or the machine of its rendering.
"""

from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup, escape

from dgreid.files import whole
from dgreid.reporting.site import overview, run_page
from dgreid.reporting.site.environment import STATIC, environment, static
from dgreid.reporting.site.material import Material, Paper
from dgreid.runs import recorded
from dgreid.runs.evidence import Evidence


def write(material: Material, reports: Path) -> None:
    """Write index.html and the folder site; pages of an earlier selection are removed."""
    with whole(reports / "site") as folder:
        for name, text in site(material):
            path = reports / name if name == "index.html" else folder / Path(name).relative_to("site")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent == reports:
                with whole(path) as part:
                    part.write_text(text, encoding="utf-8")
            else:
                path.write_text(text, encoding="utf-8")


def site(material: Material) -> Iterator[tuple[str, str]]:
    """Yield (path below reports/, content) of every page and of the files they share."""
    for name in STATIC:
        yield f"site/{name}", static(name)
    templates = environment()

    def render(template: str, path: str, here: str = "", **content: object) -> tuple[str, str]:
        up = "../" * path.count("/")
        return path, templates.get_template(template).render(up=up, here=here or path, **content)

    yield render("index.html", "index.html", **overview.content(material))
    yield render("papers.html", "site/papers.html", tables=material.papers)
    for table in material.papers:
        content = {"table": table, "fragment": Markup(_body(table))}
        yield render("paper.html", f"site/papers/{table.name}.html", "site/papers.html", **content)
    listed = [dict(run, shown=recorded.title(run), when=recorded.date(run)) for run in material.every]
    choices = overview.options(material.every)
    yield render("runs.html", "site/runs.html", runs=listed, selected=set(material.metrics), options=choices)
    for run in material.every:
        content = run_page.content(run, material.kept.get(run["run"], Evidence()))
        yield render("run.html", f"site/runs/{run['run']}.html", "site/runs.html", **content)


def alone(table: Paper) -> str:
    """Render a paper's table as a page that needs no other file, for mail or for another report."""
    style, script = (Markup(static(name)) for name in STATIC)
    content = {"table": table, "fragment": Markup(_body(table)), "style": style, "script": script}
    return environment().get_template("alone.html").render(up="", here="", **content)


def _body(table: Paper) -> str:
    """Return a table's fragment without its title, which the page shows as its heading."""
    return table.fragment.removeprefix(f"<h2>{escape(table.title)}</h2>\n")
