import copy
import json
import re
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dgreid import sheets
from dgreid.errors import UserError
from dgreid.networks.norms.gates import layer_row
from dgreid.paths import METRICS, PARAMS, QUERIES, REPORTS
from dgreid.runs.config import load_run
from dgreid.runs.run import configuration_hash
from dgreid.stages import report
from helpers import tiny

TARGET = {"rank1": 40.0, "rank5": 50.0, "rank10": 60.0, "mAP": 45.0, "mAP_trapezoid": 42.0, "mINP": 45.0}
TABLES = ["toy-differences.csv", "toy-differences.md", "toy.csv", "toy.md", "toy.tex"]
SEARCHED = ("VIPeR", "PRID", "GRID", "iLIDS")
FILES = [
    *(f"figures/toy/{name}.{suffix}" for name in ("balance", "cost") for suffix in ("csv", "pdf", "png")),
    "index.html",
    *(f"tables/{name}" for name in TABLES),
]
SITE = [
    *(f"site/{name}" for name in ("page.css", "page.js", "papers.html", "runs.html")),
    *(f"site/papers/{name}.html" for name in tiny.names("tables")),
    *(f"site/runs/{method}-resnet_tiny-miniature-s0.html" for method in ("erm", "metabin")),
]
PAPERS = [
    f"papers/{name}.{suffix}" for name in tiny.names("tables") for suffix in ("csv", "html", "md", "tex")
]


def gather(folder):
    """Write the metrics of two runs, one of them with BIN layers; their selection."""
    words = "backbone=resnet_tiny", "protocol=miniature"
    with chdir(tiny.ROOT):
        configs = [load_run([f"method={name}", *words]) for name in ("erm", "metabin")]
        for group in ("data/reference", "params"):
            shutil.copytree(group, folder / group)
    choices = {}
    for made in configs:
        run = made.run
        node = {
            "run": run,
            "data": "miniature",
            "protocol": "miniature",
            "method": made.method.name,
            "title": made.method.title,
            "provenance": made.method.provenance,
            "backbone": "resnet_tiny",
            "recipe": "miniature",
            "image": "64x32",
            "seed": 0,
            "targets": {name: {**TARGET, "splits": [TARGET, TARGET]} for name in SEARCHED},
            "average": TARGET,
            "balance": [layer_row(1, "stem", np.full(4, 0.25))] if made.method.name == "metabin" else [],
            "cost": {"seconds": 1, "images_per_second": 1, "peak_memory_bytes": 1, "parameters": 1},
            "made_from": {"configuration": configuration_hash(made)},
        }
        (folder / METRICS).mkdir(parents=True, exist_ok=True)
        (folder / METRICS / f"{run}.json").write_text(json.dumps(node))
        choices[run] = {"method": made.method.name, "seed": 0}
        choices[run] |= {"backbone": "resnet_tiny", "protocol": "miniature", "recipe": "miniature"}
        choices[run] |= {"image": "64x32"}
    return {"name": "toy", "title": "Toy", "datasets": {}, "protocols": ["miniature"], "runs": choices}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return gather(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose report is written, and its selection."""
    folder = tmp_path_factory.mktemp("finished")
    selected = gather(folder)
    with chdir(folder):
        report.report(selected)
    return folder, selected


@pytest.fixture
def reported(finished, tmp_path, monkeypatch):
    """A copy of it to change."""
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return copy.deepcopy(finished[1])


def written():
    return {str(p.relative_to("reports")): p.read_bytes() for p in REPORTS.rglob("*") if p.is_file()}


def test_writes_every_declared_file_and_the_same_bytes_again(reported):
    first = written()
    assert sorted(name for name in first if not name.startswith("metrics")) == sorted(FILES + PAPERS + SITE)
    report.report(reported)
    assert written() == first


def test_the_figure_shows_the_balance_of_the_metrics(reported):
    run = "metabin-resnet_tiny-miniature-s0"
    lines = (REPORTS / "figures" / "toy" / "balance.csv").read_text().splitlines()
    assert len(lines) == 2 and f",{run},0,1,stem,4,0.25," in lines[1]


def test_every_artefact_marks_a_method_that_sees_the_target(reported):
    """Wherever a title stands, the mark stands behind it: tables, differences, papers, figures, pages."""
    run = "metabin-resnet_tiny-miniature-s0"
    node = json.loads((METRICS / f"{run}.json").read_text())
    (METRICS / f"{run}.json").write_text(json.dumps(node | {"sees_target": True}))
    title, path = "Toy that adapts", PARAMS / "method" / "metabin.yaml"
    path.write_text(re.sub("^title: .*$", f"title: {title}", path.read_text(), flags=re.M))
    report.report(reported)
    texts = {str(p.relative_to("reports")): p.read_bytes() for p in REPORTS.rglob("*") if p.is_file()}
    shown = {name: text.count(title.encode()) for name, text in texts.items() if "metrics" not in name}
    marked = {name: texts[name].count(f"{title} (sees target)".encode()) for name in shown}
    assert shown == marked
    expected = {f"tables/{name}" for name in TABLES} | {"figures/toy/balance.csv", "figures/toy/cost.csv"}
    expected |= {f"papers/metabin_t1.{suffix}" for suffix in ("csv", "md", "tex", "html")}
    expected |= {"index.html", "site/runs.html", "site/papers/metabin_t1.html", f"site/runs/{run}.html"}
    assert expected <= {name for name, count in marked.items() if count}


def test_what_has_no_data_is_not_drawn_and_leaves_nothing_behind(reported):
    del reported["runs"]["metabin-resnet_tiny-miniature-s0"]  # no balance, and one system has no comparison
    report.report(reported)
    assert (REPORTS / "figures" / "toy").is_dir() and not [*REPORTS.glob("figures/toy/*")]
    assert "has nothing that a figure shows" in (REPORTS / "index.html").read_text()


def test_other_selections_keep_their_tables_and_figures(reported):
    before = written()
    small = {name: choice for name, choice in reported["runs"].items() if name.startswith("erm")}
    report.report(reported | {"name": "small", "runs": small})
    after = written()
    kept = {name for name in before if name.split("/")[0] in ("tables", "figures")}
    assert len(kept) > 10 and all(after.get(name) == before[name] for name in kept)


def test_missing_metrics_name_the_run_and_the_command(project):
    (METRICS / "erm-resnet_tiny-miniature-s0.json").unlink()
    with pytest.raises(
        UserError,
        match=r"erm-resnet_tiny-miniature-s0.json is missing: run `dgreid evaluate method=erm .*seed=0`",
    ):
        report.report(project)


@pytest.mark.parametrize("run", ["erm-resnet_tiny-miniature-s0", "of-another-selection"])
def test_damaged_metrics_are_a_sentence_and_nothing_is_written(project, run):
    (METRICS / f"{run}.json").write_text('{"run": ')
    with pytest.raises(UserError, match=rf"reports/metrics/{run}\.json is damaged: evaluate the run again"):
        report.report(project)
    assert {name.split("/")[0] for name in written()} == {"metrics"}


def change(run, **values):
    path = METRICS / f"{run}.json"
    node = json.loads(path.read_text())
    node["targets"]["VIPeR"] |= values
    path.write_text(json.dumps(node))


def test_a_changed_metric_changes_only_the_tables_that_show_it(reported):
    before = written()
    change("metabin-resnet_tiny-miniature-s0", rank5=51.0)
    report.report(reported)
    after = written()
    changed = {name for name in before if before[name] != after[name] and not name.startswith("metrics")}
    shown = {
        f"papers/metabin_t1.{suffix}" for suffix in ("csv", "html", "md", "tex")
    }  # no other prints Rank-5
    pages = {"index.html", "site/papers/metabin_t1.html", "site/runs/metabin-resnet_tiny-miniature-s0.html"}
    assert changed == {*pages, *(f"tables/toy.{suffix}" for suffix in ("csv", "md", "tex")), *shown}


def test_runs_of_other_selections_are_in_the_papers_tables_alone(project):
    del project["runs"]["erm-resnet_tiny-miniature-s0"]
    report.report(project)
    assert "BN baseline" not in (REPORTS / "tables" / "toy.md").read_text()
    beside = (REPORTS / "papers" / "metabin_t5.md").read_text().split("Not comparable with the paper")[1]
    assert "BN baseline, resnet_tiny, miniature data" in beside


def test_queries_of_another_evaluation_are_left_out_with_a_warning(project, caplog):
    for run in project["runs"]:
        split = pd.DataFrame({"split": [0, 0, 1, 1], "query": ["a", "b", "a", "c"], "first_hit": 1})
        split["average_precision"] = [0.4, 0.5, 0.3, 0.6]  # a mean of 45 %, as TARGET has
        QUERIES.mkdir(parents=True, exist_ok=True)
        frame = pd.concat([split.assign(target=name) for name in SEARCHED])
        frame.to_parquet(QUERIES / f"{run}.parquet")
    report.report(project)
    path = REPORTS / "tables" / "toy-differences.csv"
    assert pd.read_csv(path)["queries"].to_list() == [3, 3, 3, 3, 0] * 2  # an average has no count
    assert not caplog.records
    change("erm-resnet_tiny-miniature-s0", mAP=46.0)
    report.report(project)
    assert (pd.read_csv(path)["queries"] == 0).all()
    assert (
        "is of another evaluation than the metrics; evaluate erm-resnet_tiny-miniature-s0 again"
        in caplog.text
    )


def has_latex():
    return (
        shutil.which("pdflatex")
        and not subprocess.run(["kpsewhich", "booktabs.sty", "amssymb.sty"], capture_output=True).returncode
    )


@pytest.mark.skipif(not has_latex(), reason="pdflatex, booktabs or amssymb is not installed")
def test_every_table_compiles_with_the_packages_it_names(reported, tmp_path):
    files = sorted([*REPORTS.glob("tables/*.tex"), *REPORTS.glob("papers/*.tex")])
    (packages,) = {file.read_text().splitlines()[0] for file in files}
    assert len(files) == 1 + len(tiny.names("tables")) and packages.startswith("% ")
    signs = sheets.Sheet("Signs", (sheets.Column("all"),), (sheets.line(["".join(sheets.SPECIAL)]),))
    lines = [r"\documentclass[twocolumn]{article}", packages.removeprefix("% "), r"\begin{document}"]
    lines += [rf"\input{{{file.as_posix()}}}\clearpage" for file in files]
    lines += [sheets.latex([signs]), r"\end{document}"]
    Path("all.tex").write_text("\n".join(lines))
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "too large" not in done.stdout


def test_the_declared_outputs_are_the_files_written(reported):
    stage = yaml.safe_load((tiny.ROOT / "dvc.yaml").read_text())["stages"]["report"]
    declared = {out.replace("${name}", "toy").removeprefix("reports/") for out in stage["outs"]}
    files = {name for name in written() if not name.startswith("metrics")}
    folders = {"figures/toy", "papers", "site"}
    assert declared - files == folders
    assert all(any(name.startswith(f"{folder}/") for folder in folders) for name in files - declared)
    read = {
        "data/protocols",
        "data/queries",
        "data/reference",
        "data/runs",
        "params/method",
        "params/tables",
        "reports/metrics",
    }
    assert read <= set(stage["deps"])
