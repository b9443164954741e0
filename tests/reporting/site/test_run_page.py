"""The page of a run: what is kept beside its metrics, and what is said where nothing is."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from dgreid.errors import UserError
from dgreid.paths import PHOTOGRAPHS, PROTOCOLS, QUERIES, RUNS
from dgreid.protocols.tables import SCHEMA as ROWS
from dgreid.reporting import photographs, tables
from dgreid.reporting.site import overview, page, run_page, svg, wording
from dgreid.reporting.site.material import Paper
from dgreid.runs import evidence, recorded
from dgreid.runs.summary import summary
from helpers.tables import write as write_table

FACTS = {
    "config": {
        "method": {"name": "erm", "losses": ["cross_entropy", "triplet"], "weights": {"triplet": 1.5}},
        "image": {"flip": 0.5, "jitter": None, "pad": True},
        "protocol": "toy",
        "seed": 0,
    },
    "data": {"sha256": "d" * 64, "content": {"viper": "e" * 64}, "counts": {"ids": 1200}},
    "config_sha256": "c" * 64,
    "versions": {"torch": "2.9"},
}
HISTORY = pd.DataFrame(
    {"iteration": [10, 20, 30], "epoch": 1.0, "learning_rate": 0.01, "cross_entropy": [3.0, 2.0, 1.5]}
)
SEARCHES = pd.DataFrame(  # a mean of 55 %, as the metrics have; the hard one is found at 9 and at 10
    {
        "query": ["d/p_07.png", "d/p_07.png", "d/p_08.png", "d/p_08.png"],
        "split": [0, 1, 0, 1],
        "average_precision": [0.1, 0.1, 1.0, 1.0],
        "first_hit": [9, 10, 1, 1],
    }
)


@pytest.fixture
def run(root, make, tmp_path, monkeypatch):
    """A run of which nothing is kept but its metrics."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reference").symlink_to(root / "data" / "reference")
    monkeypatch.chdir(tmp_path)
    return make("erm", 0, 50.0, splits=(0.0, 0.0))


@pytest.fixture
def kept(run):
    """The same, with everything."""
    folder = RUNS / run["run"]
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(yaml.safe_dump(FACTS))
    (folder / "cost.json").write_text(json.dumps(run["cost"]))
    HISTORY.to_csv(folder / "history.csv", index=False)
    QUERIES.mkdir()
    frame = pd.concat(SEARCHES.assign(target=target) for target in run["targets"])
    frame.to_parquet(QUERIES / f"{run['run']}.parquet")
    rows = pd.DataFrame({"part": ["query", "gallery"], "dataset": "d", "pixel_sha256": [bytes(32)] * 2})
    rows["path"], rows["row"] = ["07.png", "09.png"], [4, 5]
    rows["image_id"], rows["identity"], rows["camera"] = ["p_07.png", "p_09.png"], [7, 9], [2, 3]
    write_table(PROTOCOLS / "toy/targets.parquet", rows, ROWS)
    return run


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


def test_what_one_run_does_not_record_is_unknown_beside_the_others(make):
    made = [make("erm", seed, 40.0) for seed in range(4)]
    names = "; ".join(run["run"] for run in made)
    nothing = {"commits": "", "training_rows": "", "searched_rows": ""}
    assert recorded.origin(made) == {"runs": names, **nothing}
    for run, commit in zip(made, ("abc1234+", None, "def5678", "abc1234+"), strict=True):
        run["cost"]["commit"] = commit
    made[1]["made_from"] = {"training_rows": "2" * 64}
    assert recorded.origin(made) == {
        "runs": names,
        "commits": "abc1234+; unknown; def5678",
        "training_rows": f"unknown; {'2' * 12}",
        "searched_rows": "",
    }


def test_the_overview_says_how_many_runs_record_nothing(make):
    def trained(*costs):
        made = [make("erm", seed, 40.0) for seed in range(len(costs))]
        for run, (commit, date) in zip(made, costs, strict=True):
            run["cost"] |= {"commit": commit, "date": date}
        return [(value, more) for name, value, more in overview.tiles(made) if name == "Trained"]

    early, late = "2026-03-04T05:06:07Z", "2026-03-06T05:06:07Z"
    assert trained((None, None), (None, None)) == []
    assert trained(("b", early), ("a+", late)) == [("2026-03-04 to 2026-03-06", "commits a+, b")]
    assert trained(("b", early), (None, late), (None, None)) == [
        ("2026-03-04 to 2026-03-06", "commit b; not recorded of 2 of 3 runs")
    ]
    assert trained((None, early), (None, early)) == [("2026-03-04", "commit unknown")]


def test_names_break_where_a_reader_would_break_them():
    assert wording.breakable("a_b/c-<d>") == "a_<wbr>b/<wbr>c-&lt;d&gt;"
    assert wording.breakable("__a//") == "__<wbr>a//"


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


def test_the_hardest_queries_come_first_and_those_without_a_match_not_at_all():
    queries = pd.DataFrame(
        [("A", "x", 0.5, 2), ("A", "y", 0.2, 5), ("A", "y", 0.4, 3), ("A", "z", None, 0), ("B", "x", 1.0, 1)],
        columns=["target", "query", "average_precision", "first_hit"],
    )
    known = pd.DataFrame({"query": ["y"], "identity": [3], "camera": [1]})
    found = evidence.hardest(queries, known)
    assert list(found) == ["A", "B"]
    assert found["A"]["query"].to_list() == ["y", "x"]
    assert found["A"].iloc[0][["splits", "best", "worst", "identity"]].to_list() == [2, 3, 5, 3]
    assert found["A"]["average_precision"].to_list() == pytest.approx([30, 50])
    assert evidence.hardest(queries, known, count=1)["A"]["query"].to_list() == ["y"]


def test_an_unknown_identity_is_left_open(kept, gather):
    (PROTOCOLS / "toy" / "targets.parquet").unlink()
    assert "<td></td><td></td><td>2</td><td>9</td>" in rendered(kept, gather)


def test_a_curve_ends_where_its_numbers_do():
    text = svg.curve("loss", [0, 5, 10], [1.0, 0.0, 0.5])
    points = text.split('points="')[1].split('"')[0].split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in points)
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y0 < y2 < y1 and y2 == pytest.approx((y0 + y1) / 2, abs=0.1)  # y falls as the value rises
    assert "nan" not in svg.curve("flat", [0, 1], [2.0, 2.0])


def test_dots_have_a_ring_for_every_seed_and_a_disc_for_the_mean():
    text = svg.dots("R-1", [svg.Dots("a <b>", (40.0, 50.0)), svg.Dots("c", (61.0,))])
    assert text.count('class="seed"') == 2 and text.count('class="mean"') == 2
    assert "a &lt;b&gt; 45.0; c 61.0" in text
    centres = [float(part.split('"')[0]) for part in text.split('class="seed" cx="')[1:]]
    mean = float(text.split('class="mean" cx="')[1].split('"')[0])
    assert mean == pytest.approx(sum(centres) / 2, abs=0.1)


def test_a_name_that_is_too_long_is_cut_where_it_is_drawn_and_said_in_full():
    text = svg.dots("R-1", [svg.Dots("x" * 80, (40.0,))])
    assert f">{'x' * 59}…<" in text and "x" * 80 in text.split('aria-label="')[1].split('"')[0]


def test_values_that_are_missing_leave_a_gap_in_no_drawing():
    history = pd.DataFrame(
        {"iteration": [1, 2, 3], "epoch": 1, "loss": [1.0, None, 2.0], "once": [None, 1.0, None]}
    )
    assert [name for name, _ in run_page.curves(history)] == ["loss"]


def test_summary_has_a_few_numbers_per_run(make):
    assert summary(make("metabin", 1, 45.678)) == {
        "average": {"rank1": 45.68, "mAP": 50.68}, "VIPeR": {"rank1": 45.68}, "i_LIDS": {"rank1": 45.68},
    }  # fmt: skip


def test_photographs_are_written_for_those_who_ask_and_nowhere_else(kept, tmp_path, monkeypatch):
    Image.new("RGB", (4, 8), "red").save(tmp_path / "07.png")
    monkeypatch.setattr(photographs, "images_root", lambda dataset: tmp_path)
    shown = photographs.photographs({kept["run"]: kept})
    assert shown == PHOTOGRAPHS / "index.html"
    assert sorted(path.name for path in shown.parent.iterdir()) == ["d-4.png", "index.html"]
    text = shown.read_text()
    assert text.count('<img src="d-4.png"') == len(kept["targets"])  # the easy query is in no protocol here
    assert "rank 9 to 10, identity 7" in text and "miniature data" in text


def test_without_queries_there_are_no_photographs(run):
    with pytest.raises(UserError, match="no run of the selection keeps what its queries scored"):
        photographs.photographs({run["run"]: run})
    assert not PHOTOGRAPHS.exists()


def test_git_ignores_the_photographs(root):
    ignored = (root / ".gitignore").read_text().splitlines()
    kept = [line for line in ignored if line.startswith("!/reports/")]
    assert "/reports/*" in ignored and kept == ["!/reports/metrics/", "!/reports/summary/"]
