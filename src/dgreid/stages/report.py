"""Stage report: metrics -> tables, figures and the page.

A selection has its own tables and the page; the papers' tables take every run in reports/metrics.
"""

import json
import logging
from collections.abc import Mapping, Sequence

import pandas as pd

from dgreid.errors import UserError
from dgreid.evaluation.queries import agree, read_queries
from dgreid.files import whole
from dgreid.papers import sheets as paper_sheets
from dgreid.papers import tables as papers
from dgreid.paths import QUERIES, REPORTS
from dgreid.reporting import differences, figures, sheets, tables
from dgreid.reporting.site import page
from dgreid.reporting.summary import summary
from dgreid.runs import evidence
from dgreid.runs import metrics as results

log = logging.getLogger(__name__)


def report(matrix: Mapping) -> None:
    """Write tables, papers, figures, site, index.html and summary of params/matrix.yaml to reports/.

    Raises:
        UserError: a run has no metrics, or they are damaged or do not fit the others.
    """
    name, title = matrix["name"], matrix.get("title", matrix["name"])
    metrics = {run: read_metrics(run, choice) for run, choice in matrix["runs"].items()}
    every = results.every()
    gaps = differences.differences(matrix, metrics, queries_of(metrics))
    content = tables.blocks(matrix, metrics, gaps)
    for file, text in selection_texts(name, title, content, gaps).items():
        with whole(REPORTS / "tables" / file) as part:
            part.write_text(text)
    shown, printed = paper_texts(every)
    with whole(REPORTS / "papers") as folder:
        folder.mkdir()
        for file, text in printed.items():
            (folder / file).write_text(text)

    kept = {run["run"]: evidence.read(run) for run in every}
    histories = {run: kept[run].history for run in metrics}
    drawn = figures.draw(title, metrics, histories, REPORTS / "figures" / name)
    with whole(REPORTS / "summary") as folder:
        folder.mkdir()
        for run, node in metrics.items():
            (folder / f"{run}.json").write_text(json.dumps(summary(node), indent=2) + "\n")
    page.write(page.Material(matrix, metrics, every, content, gaps, shown, drawn, kept), REPORTS)
    log.info("reports/index.html: %d runs", len(metrics))


def selection_texts(name: str, title: str, content: list[tables.Block], gaps: pd.DataFrame) -> dict[str, str]:
    """The selection's tables by file name: its scores, and its methods against their baselines."""
    scores, compared = tables.sheets(title, content), differences.sheets(title, gaps)
    return {
        f"{name}.md": sheets.markdown(scores),
        f"{name}.csv": csv(tables.frame(content)),
        f"{name}.tex": sheets.latex(scores),
        f"{name}-differences.md": sheets.markdown(compared) if compared else differences.NOTHING,
        f"{name}-differences.csv": csv(gaps),
    }


def paper_texts(metrics: Sequence[Mapping]) -> tuple[list[page.Paper], dict[str, str]]:
    """The papers' tables with these runs: for the page, and by file name."""
    known, methods = papers.Reference.read(), paper_sheets.methods()
    shown, texts = [], {}
    for name in papers.names():
        table = papers.describe(name)
        cells = papers.cells(table, known, metrics)
        content = paper_sheets.sheets(table, cells, methods)
        shown.append(page.Paper(name, table.title, sheets.html(content)))
        texts |= {
            f"{name}.md": sheets.markdown(content),
            f"{name}.csv": csv(cells),
            f"{name}.tex": sheets.latex(content),
            f"{name}.html": page.alone(shown[-1]),
        }
    return shown, texts


def csv(frame: pd.DataFrame) -> str:
    """A frame as CSV, numbers to four places."""
    return frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")


def queries_of(runs: Mapping[str, Mapping]) -> dict[str, pd.DataFrame]:
    """What each query scored, of the runs that keep it: metrics from elsewhere come without."""
    found = {}
    for run, metrics in runs.items():
        path = QUERIES / f"{run}.parquet"
        if not path.is_file():
            continue
        frame = read_queries(path)
        if agree(frame, metrics):
            found[run] = frame
        else:
            log.warning("%s is of another evaluation than the metrics; evaluate %s again.", path, run)
    return found


def read_metrics(run: str, choice: Mapping) -> dict:
    """The scores of one run.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    path = results.METRICS / f"{run}.json"
    if not path.is_file():
        words = " ".join(f"{key}={choice[key]}" for key in ("method", "backbone", "protocol", "seed"))
        raise UserError(f"{path} is missing: run `dgreid evaluate {words}` first.")
    return results.read(path)
