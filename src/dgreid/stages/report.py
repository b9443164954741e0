"""Stage report: make tables, figures and the page from metrics.

Tables, figures and page show the runs of a selection; the papers' tables use every run in
reports/metrics. Tables and figures of other selections stay as they are.
"""

import logging
from collections.abc import Mapping, Sequence

from dgreid.files import whole
from dgreid.papers import audit, comparison
from dgreid.papers import tables as papers
from dgreid.paths import FIGURES, PAPERS, REPORTS, TABLES
from dgreid.reporting import agreement, differences, figures, tables
from dgreid.reporting.site import page
from dgreid.reporting.site.material import Material, Paper
from dgreid.runs import evidence
from dgreid.runs.metrics import every, read_metrics
from dgreid.selection import current
from dgreid.sheets import csv, html, latex, markdown

log = logging.getLogger(__name__)


def report(matrix: Mapping) -> None:
    """Write tables, papers, figures, site and index.html to reports/.

    Args:
        matrix: the selection, as `selection.matrix.read` returns it.

    Raises:
        UserError: a run's metrics are missing, are damaged, do not fit the others, or were made from other
            settings, data or code than the present.
    """
    name, title = matrix["name"], matrix.get("title", matrix["name"])
    metrics = {run: read_metrics(run, choice) for run, choice in matrix["runs"].items()}
    current.check(matrix, metrics)
    all_metrics = current.marked(every(), metrics)
    kept = evidence.read_all(all_metrics)
    scored = {run: kept[run].queries for run in metrics if not kept[run].queries.empty}
    gaps = differences.differences(matrix, metrics, scored)
    blocks = tables.blocks(matrix, metrics, gaps)

    write_tables(name, title, blocks, gaps)
    shown = write_papers(all_metrics)
    histories = {run: kept[run].history for run in metrics}
    pictures = figures.draw(title, metrics, histories, FIGURES / name)
    found = agreement.with_the_last_commit(metrics)
    page.write(Material(matrix, metrics, all_metrics, blocks, shown, pictures, kept, found), REPORTS)
    log.info("%s: %d runs", REPORTS / "index.html", len(metrics))


def write_tables(
    name: str, title: str, blocks: Sequence[tables.Block], gaps: Sequence[differences.Gap]
) -> None:
    """Write the tables of the selection's scores and of its methods' differences to their baselines."""
    scores, compared = tables.sheets(title, blocks), differences.sheets(title, gaps)
    texts = {
        f"{name}.md": markdown(scores),
        f"{name}.csv": csv(tables.frame(blocks)),
        f"{name}.tex": latex(scores),
        f"{name}-differences.md": markdown(compared) if compared else differences.NOTHING,
        f"{name}-differences.csv": csv(differences.frame(gaps)),
    }
    for file, text in texts.items():
        with whole(TABLES / file) as part:
            part.write_text(text, encoding="utf-8")


def write_papers(metrics: Sequence[Mapping]) -> list[Paper]:
    """Write the papers' tables, with every run that measures one of their rows; return them for the page."""
    for sentence in audit.unexplained():
        log.warning("%s", sentence)
    known, methods = papers.Reference.read(), comparison.methods()
    shown = []
    with whole(PAPERS) as folder:
        folder.mkdir()
        for name in papers.names():
            table = papers.describe(name)
            cells = papers.cells(table, known, metrics)
            sheets = comparison.sheets(table, cells, methods)
            shown.append(Paper(name, table.title, html(sheets)))
            (folder / f"{name}.md").write_text(markdown(sheets), encoding="utf-8")
            (folder / f"{name}.csv").write_text(csv(cells), encoding="utf-8")
            (folder / f"{name}.tex").write_text(latex(sheets), encoding="utf-8")
            (folder / f"{name}.html").write_text(page.alone(shown[-1]), encoding="utf-8")
    return shown
