import subprocess
import sys

import pytest
import yaml

from dgreid import cli, matrix


def test_help_shows_examples_and_every_command():
    done = subprocess.run([sys.executable, "-m", "dgreid.cli", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for word in ("examples:", "adopt", "select", "train", "evaluate", "report"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["manifest"], "which dataset"),
        (["manifest", "dataset=nope"], "unknown dataset"),
        (["manifest", "protocol=x"], "unknown key 'protocol'"),
        (["protocol", "protocol=miniatur"], "did you mean 'miniature'"),
        (["train", "method=erm"], "which backbone"),
        (["select", "minature"], "did you mean 'miniature'"),
        (["select", "miniature", "sceds=[1]"], "did you mean 'seeds'"),
        (["select", "miniature", "seeds=[]"], "has no runs"),
        (["report", "x=1"], "takes no keys"),
        (["download", "viper"], "dgreid adopt viper --from PATH"),
        (["download", "dukemtmc"], "withdrawn"),
        (["inspect", "vipr"], "did you mean 'viper'"),
        (["splits", "import", "viper", "--from", "/nowhere/splits.json", "--name", "A-B"], "small letters"),
        (["adopt", "grid", "--from", "/nowhere/grid.zip"], "/nowhere/grid.zip"),
    ],
)
def test_user_errors_are_one_sentence_without_traceback(root, capsys, words, sentence):
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("error: ") and said.count("\n") == 1


def test_outside_a_project_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report"]) == 1
    assert "project's root" in capsys.readouterr().err


def test_select_writes_every_run_with_its_own_choices(root, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    assert cli.main(["select", "miniature", "methods=[erm]", "seeds=[0,7]"]) == 0
    written = yaml.safe_load((tmp_path / "matrix.yaml").read_text())
    assert list(written["runs"]) == ["erm-resnet_tiny-miniature-s0", "erm-resnet_tiny-miniature-s7"]
    assert written["runs"]["erm-resnet_tiny-miniature-s7"]["code"] == "erm"
    assert written["datasets"]["mini_grid"]["source"] == "data/archives/mini_grid.zip"
    assert set(written["drawn"]) == set(written["datasets"])
