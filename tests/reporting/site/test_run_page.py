"""The page of a run: what is kept beside its metrics, and what is said where nothing is."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from dgreid.paths import PROTOCOLS, QUERIES, RUNS
from dgreid.reporting import tables
from dgreid.reporting.site import page, run_page
from dgreid.reporting.site.material import Paper
from dgreid.runs import evidence


def rendered(run, gather):
    material = gather([run], kept=evidence.read_all([run]))
    return dict(page.site(material))[f"site/runs/{run['run']}.html"]


def test_a_run_with_everything(kept, gather):
    text = rendered(kept, gather)
    assert "<dt>weights</dt><dd>triplet 1.5</dd>" in text and "<dt>jitter</dt><dd>none</dd>" in text
    assert "<dt>pad</dt><dd>yes</dd>" in text
    for digest in ("c" * 64, "d" * 64, "e" * 64):  # configuration, training rows, images
        assert digest in text
    assert text.count('class="curve"') == 2  # the loss and the rate; the clocks are no curves
    assert "cross_entropy: 3 at the start, 1.5 at the end, between 1.5 and 3" in text
    assert "d/p_07.png" in text.replace("<wbr>", "") and "is not here" not in text and "<img" not in text
    assert "<td>7</td><td>2</td><td>2</td><td>9</td><td>10</td><td>10.0</td>" in text


def test_every_file_is_read_once_whatever_the_number_of_runs(kept, monkeypatch):
    runs = [kept, *({**kept, "run": f"{kept['run']}{number}"} for number in range(2))]
    for run in runs[1:]:
        shutil.copy(QUERIES / f"{kept['run']}.parquet", QUERIES / f"{run['run']}.parquet")
    read = []
    for name in ("read_scores", "read_test_rows"):
        plain = getattr(evidence, name)
        monkeypatch.setattr(
            evidence, name, lambda path, plain=plain: read.append(Path(path).name) or plain(path)
        )
    found = evidence.read_all(runs)
    assert sorted(read) == sorted([f"{run['run']}.parquet" for run in runs] + ["toy"])
    target = next(iter(kept["targets"]))
    for each in found.values():
        assert each.hardest[target]["identity"].iloc[0] == 7
        assert list(each.queries.columns) == ["target", "split", "query", "mAP", "rank1"]


def test_a_run_of_which_only_the_metrics_are_here(run, gather):
    text = rendered(run, gather)
    assert "history of this training is not here" in text and "What each query scored is not here" in text
    assert "resolved configuration is kept with the trained model, which is not here" in text
    assert "50.0 ± " not in text.replace("50.0 ± 0.0", "")  # these metrics give no deviation over splits
    assert "SHA-256" not in text  # nothing is known, so nothing is said


def test_commit_and_date_are_said_where_they_are_recorded(run, gather):
    old = rendered(run, gather)
    assert "either date nor commit of this run is recorded" in old and "<dt>commit</dt>" not in old
    assert "A + after" not in old
    run["cost"] |= {"commit": None, "date": "2026-03-04T05:06:07Z"}  # where there is no git
    text = rendered(run, gather)
    assert "<dd>2026-03-04 05:06 UTC</dd>" in text and "Its commit is unknown: " in text
    assert "either date nor" not in text and "A + after" not in text
    run["cost"] |= {"commit": "abc1234", "date": ""}
    text = rendered(run, gather)
    assert "A + after the commit" in text and "Its date is not recorded." in text
    run["cost"] |= {"commit": "abc1234+", "date": "2026-03-04T05:06:07Z"}
    run["made_from"] = {"configuration": "1" * 64, "training_rows": "2" * 64, "searched_rows": "3" * 64}
    text = rendered(run, gather)
    assert "<dt>commit</dt><dd>abc1234+</dd>" in text and "<dd>2026-03-04 05:06 UTC</dd>" in text
    assert all(f"<dd>{digit * 64}</dd>" in text for digit in "123") and "either date nor" not in text
    assert "A + after the commit" in text and "is unknown" not in text and "is not recorded" not in text


def test_every_number_of_the_overview_leads_to_run_commit_and_data(run, make, gather):
    run["cost"] |= {"commit": "abc1234", "date": "2026-03-04T05:06:07Z"}
    run["made_from"] = {"configuration": "1" * 64, "training_rows": "2" * 64, "searched_rows": "3" * 64}
    other = make("erm", 1, 40.0)  # of before all that was recorded
    other["cost"]["commit"] = None
    material = gather([run, other])
    pages = dict(page.site(material))
    cells = ["abc1234", "2026-03-04 05:06 UTC", *(f"<code>{digit * 12}</code>" for digit in "231")]
    assert "".join(f'<td class="text">{cell}</td>' for cell in cells) in pages["index.html"]
    assert '<td class="text"></td><td class="text"></td><td class="text"><code></code>' in pages["index.html"]
    assert "<small>commit abc1234; not recorded of 1 of 2 runs</small>" in pages["index.html"]
    assert "<dd>2026-03-04<small>" in pages["index.html"]
    assert "2026-03-04 05:06 UTC" in pages["site/runs.html"]
    lines = tables.frame(material.blocks)
    assert set(lines.loc[lines["data"] == "miniature", "runs"]) == {f"{run['run']}; {other['run']}"}
    assert set(lines.loc[lines["data"] == "miniature", "commits"]) == {"abc1234; unknown"}
    assert set(lines.loc[lines["data"] == "miniature", "searched_rows"]) == {f"{'3' * 12}; unknown"}


def test_a_papers_table_is_a_page_without_other_files():
    text = page.alone(
        Paper("t", "P, Table 1. About <it>", "<h2>P, Table 1. About &lt;it&gt;</h2>\n<table></table>")
    )
    assert text.count("About &lt;it&gt;") == 1 and "<table></table>" in text and "--paper:" in text
    assert "<link" not in text and 'src="' not in text and 'href="' not in text


def test_what_is_of_another_training_or_evaluation_is_not_shown(kept, gather, caplog):
    (RUNS / kept["run"] / "cost.json").write_text(json.dumps(kept["cost"] | {"seconds": 11.0}))
    kept["targets"]["VIPeR"]["mAP"] += 1
    text = rendered(kept, gather)
    assert "history of this training is not here" in text and "What each query scored is not here" in text
    assert "of another training than the metrics" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.yaml", "config: ["),
        ("run.yaml", "- config"),
        ("cost.json", "{"),
        ("cost.json", "[" * 9999),
        ("history.csv", ""),
        ("history.csv", "iteration,epoch,loss\n1,1,2\n2,1,x3\n"),
        ("history.csv", "epoch,loss\n1,2\n"),
        ("run.yaml", "[" * 9999),
        ("history.csv", "iteration,epoch,loss\n,1,2\n"),
    ],
)
def test_a_damaged_training_is_left_out_with_a_warning(kept, gather, caplog, name, text):
    (RUNS / kept["run"] / name).write_text(text)
    assert "history of this training is not here" in rendered(kept, gather)
    assert f"data/runs/{kept['run']}: its {name} is " in caplog.text and "`dvc repro train@" in caplog.text


def test_an_unknown_identity_is_left_open(kept, gather):
    (PROTOCOLS / "toy" / "targets.parquet").unlink()
    assert "<td></td><td></td><td>2</td><td>9</td>" in rendered(kept, gather)


def test_values_that_are_missing_leave_a_gap_in_no_drawing():
    history = pd.DataFrame(
        {"iteration": [1, 2, 3], "epoch": 1, "loss": [1.0, None, 2.0], "once": [None, 1.0, None]}
    )
    assert [name for name, _ in run_page.curves(history)] == ["loss"]
