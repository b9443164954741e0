import os
import shutil
from types import SimpleNamespace

import pytest
import yaml

from dgreid.errors import UserError
from dgreid.selection import code, matrix
from dgreid.selection.graph import Graph

SPEC = {
    "vars": ["matrix.yaml"],
    "stages": {
        "table": {
            "foreach": "${sets}",
            "do": {
                "cmd": "x",
                "deps": ["${item.source}", "code"],
                "params": [{"p/${key}.yaml": None}],
                "outs": ["t/${key}.csv"],
            },
        },
        "run": {
            "foreach": "${runs}",
            "do": {
                "cmd": "x",
                "deps": ["t"],
                "outs": ["r/${item}/model"],
                "metrics": [{"m/${item}.json": {"cache": False}}],
            },
        },
        "report": {"cmd": "x", "deps": ["m"], "outs": ["${name}.html"]},
    },
}
MATRIX = {
    "name": "n",
    "sets": {"a": {"source": "raw/a.zip"}, "b": {"source": "raw/b.zip"}},
    "runs": ["r1", "r2"],
}


@pytest.fixture
def graph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("raw/a.zip", "raw/b.zip", "code/x.py", "code/notes.txt", "p/a.yaml", "p/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(SPEC))
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(MATRIX))
    return Graph("dvc.yaml")


def inputs(graph, stage, item=""):
    return graph.inputs(stage)(SimpleNamespace(item=item))


def test_outputs_are_patterns_and_targets_are_files(graph):
    assert graph.outputs("run") == ["r/{item}/model", "m/{item}.json"]
    assert graph.targets("table") == ["t/a.csv", "t/b.csv"]
    assert graph.targets("report") == ["n.html"]


def test_a_folder_stands_for_what_is_made_in_it(graph):
    assert inputs(graph, "report") == ["m/r1.json", "m/r2.json"]
    assert inputs(graph, "run", "r1") == ["t/a.csv", "t/b.csv"]
    assert inputs(graph, "table", "b") == ["raw/b.zip", "code", "p/b.yaml"]


def test_a_missing_raw_file_is_one_sentence_with_a_remedy(graph, tmp_path):
    MATRIX_ = {**MATRIX, "sets": {"grid": {"source": "data/raw/grid/adopted.json"}}}
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(MATRIX_))
    with pytest.raises(UserError, match="dgreid adopt grid --from PATH"):
        inputs(Graph("dvc.yaml"), "table", "grid")


def test_the_shell_line_quotes_the_item_and_passes_the_threads(graph):
    line = graph.repro("run")
    assert "dgreid repro run@{wildcards.item:q} >" in line
    assert "DGREID_JOB=1" in line and "DGREID_THREADS={threads}" in line
    assert graph.repro("report").split(" > ")[0].endswith("report")


def test_wildcards_match_items_only(graph):
    assert graph.constraint() == "a|b|r1|r2"


def test_flags_tell_snakemake_of_folders_and_of_what_its_report_shows(graph, tmp_path):
    spec = {
        **SPEC,
        "stages": {**SPEC["stages"], "report": {"cmd": "x", "outs": ["${name}.html", "site", "t/x.md"]}},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(spec))
    folder = tmp_path / "workflow" / "report"
    folder.mkdir(parents=True)
    shown = {"${name}.html": {"caption": "a.rst", "category": "A"}, "gone.csv": {"caption": "b.rst"}}
    (folder / "shown.yaml").write_text(yaml.safe_dump(shown))
    page, site, table = Graph("dvc.yaml").flagged("report")
    assert (page, site, table) == ("n.html", "site", "t/x.md")
    assert page.flags["report"].category == "A" and page.flags["report"].caption == str(folder / "a.rst")
    assert site.flags == {"directory": True} and not getattr(table, "flags", {})


def test_what_is_shown_is_made_and_has_a_caption(root):
    shown = yaml.safe_load((root / "workflow" / "report" / "shown.yaml").read_text())
    outs = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["report"]["outs"]
    assert shown and set(shown) <= set(outs)
    assert all((root / "workflow" / "report" / how["caption"]).is_file() for how in shown.values())


@pytest.fixture
def refreshed(graph, tmp_path, monkeypatch):
    """Refresh a graph with a stage `code`, which a stand-in makes; return how often it was made."""
    stages = {
        "code": {"cmd": "x", "deps": ["code"], "outs": [{"data/code": {"cache": False}}]},
        "run": {"foreach": "${runs}", "do": {"cmd": "x", "deps": ["data/code/run/${item}.json"], "outs": []}},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({**SPEC, "stages": stages}))
    made = []

    def write(node):
        made.append(node)
        if (tmp_path / "broken").exists():
            raise UserError("x.py, line 1")
        (tmp_path / "data/code/run").mkdir(parents=True, exist_ok=True)
        for name in node["runs"]:
            (tmp_path / f"data/code/run/{name}.json").touch()

    monkeypatch.setattr(code, "write", write)
    monkeypatch.setattr(matrix, "read", lambda: MATRIX)

    def refresh() -> int:
        Graph("dvc.yaml").refresh()
        return len(made)

    return refresh


def test_the_code_is_looked_at_again_if_a_source_was_touched_or_an_item_is_missing(refreshed, tmp_path):
    assert [refreshed(), refreshed()] == [1, 1]
    os.utime(tmp_path / "code/x.py", (1, 1))  # an older date is another one too
    assert [refreshed(), refreshed()] == [2, 2]
    (tmp_path / "code/notes.txt").unlink()
    assert [refreshed(), refreshed()] == [3, 3]
    (tmp_path / "data/code/run/r2.json").unlink()
    assert [refreshed(), refreshed()] == [4, 4]


def test_code_that_cannot_be_read_stops_before_anything_is_scheduled(refreshed, tmp_path):
    (tmp_path / "broken").touch()
    for _ in range(2):
        with pytest.raises(UserError, match=r"x\.py, line 1"):
            refreshed()
    (tmp_path / "broken").unlink()
    assert refreshed() == 3


def test_the_items_of_code_are_plain_inputs(refreshed):
    refreshed()
    assert inputs(Graph("dvc.yaml"), "run", "r1") == ["data/code/run/r1.json"]


def test_a_selection_of_an_earlier_version_is_one_sentence(graph, tmp_path):
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump({"name": "n", "runs": []}))
    with pytest.raises(UserError, match="no 'sets': write it again"):
        Graph("dvc.yaml")


def test_snakemake_ends_with_the_sentence_and_no_traceback(graph, tmp_path, capsys):
    workflow = SimpleNamespace(is_main_process=True, executor_plugin=None, dryrun=True)
    (tmp_path / "matrix.yaml").write_text("name: [")
    for text in ("name: [", yaml.safe_dump({"name": "n", "runs": []})):
        (tmp_path / "matrix.yaml").write_text(text)
        with pytest.raises(SystemExit) as ended:
            Graph("dvc.yaml", workflow)
        assert ended.value.code == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1


def test_a_protocol_depends_on_the_manifests_of_its_own_data_sets(root, tmp_path, monkeypatch):
    pairs = {("one", "grid"), ("one", "viper"), ("one_more", "viper"), ("one_more", "prid2011")}
    members = {f"{protocol}/{name}": {"protocol": protocol, "dataset": name} for protocol, name in pairs}
    node = {
        "name": "n",
        "drawn": [],
        "starts": [],
        "protocols": ["one", "one_more"],
        "members": members,
        "runs": {},
    }
    node["datasets"] = {name: {"source": f"data/raw/{name}/adopted.json"} for _, name in pairs}
    shutil.copy(root / "dvc.yaml", tmp_path)
    for name in ("params/matrix.yaml", "params/protocol/one.yaml", "data/code/protocol/one.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(node))
    (tmp_path / "data/code/member/one").mkdir(parents=True)
    (tmp_path / "data/code/member/one/grid.json").touch()
    monkeypatch.chdir(tmp_path)
    graph = Graph("dvc.yaml")
    own = {path for path in inputs(graph, "protocol", "one") if not path.endswith("one.yaml")}
    assert own == {"data/code/protocol/one.json", "data/members/one/grid.json", "data/members/one/viper.json"}
    manifests = {path for path in inputs(graph, "member", "one/grid") if "manifests" in path}
    assert manifests == {f"data/manifests/grid/{name}.parquet" for name in ("images", "splits")}


def test_no_stage_but_code_names_a_python_file(root):
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    for stage in stages.keys() - {"code"}:
        deps = stages[stage].get("do", stages[stage])["deps"]
        assert f"data/code/{stage}" in " ".join(deps)
        for path in deps:
            assert not path.startswith("src/") or not list((root / path).rglob("*.py")), f"{stage}: {path}"


def test_every_name_in_a_command_is_quoted(root):
    for name, stage in yaml.safe_load((root / "dvc.yaml").read_text())["stages"].items():
        words = stage.get("do", stage)["cmd"].split()
        values = [word for word in words if "${" in word and "seed=" not in word]  # a number, and `changes`,
        assert all(word.endswith("}'") for word in values), (
            f"{name}: {values}"
        )  # which are quoted when written
