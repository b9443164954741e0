"""Stage report: the metrics of a selection -> tables, figures and the page."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from dgreid.errors import UserError
from dgreid.files import whole
from dgreid.reporting import latex, page, tables
from dgreid.reporting.figures import write_balance

log = logging.getLogger(__name__)

METRICS, REPORTS = Path("reports/metrics"), Path("reports")


def report(matrix: Mapping) -> None:
    """Write reports/tables, reports/figures and reports/index.html of params/matrix.yaml's content.

    Raises:
        UserError: a run has no metrics, or its metrics do not fit the others.
    """
    name, title = matrix["name"], matrix.get("title", matrix["name"])
    metrics = {run: read_metrics(run, choice) for run, choice in matrix["runs"].items()}
    content = tables.blocks(matrix, metrics)
    texts = {
        f"{name}.md": tables.markdown(title, content),
        f"{name}.csv": tables.tidy(content),
        f"{name}.tex": latex.latex(title, content),
    }
    for file, text in texts.items():
        with whole(REPORTS / "tables" / file) as part:
            part.write_text(text)

    balance = [{"run": run, **row} for run, node in metrics.items() for row in node["balance"]]
    kinds = ", ".join(sorted({block.data for block in content}))
    labels = {
        run: f"{node['title']}, {node['backbone']}, seed {node['seed']}" for run, node in metrics.items()
    }
    write_balance(balance, labels, REPORTS / "figures" / f"{name}-balance", f"{title} ({kinds} data)")
    with whole(REPORTS / "index.html") as part:
        part.write_text(page.page(name, title, content, list(metrics), bool(balance)))
    log.info("reports/index.html: %d runs", len(metrics))


def read_metrics(run: str, choice: Mapping) -> dict:
    """The scores of one run."""
    path = METRICS / f"{run}.json"
    if not path.is_file():
        words = " ".join(f"{key}={choice[key]}" for key in ("method", "backbone", "protocol", "seed"))
        raise UserError(f"{path} is missing: run `dgreid evaluate {words}` first.")
    return json.loads(path.read_text())
