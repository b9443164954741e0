import errno
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest

from dgreid.cli import main as cli
from dgreid.selection import matrix

COMMANDS = {
    "data:": "adopt download inspect splits",
    "choose what to run:": "protocols describe select plan verify",
    "stages of the pipeline": "synthesize manifest protocol train evaluate report",
    "use a trained run:": "embed search export",
    "pictures:": "tsne photographs",
}


def test_help_lists_every_command_by_family_without_loading_torch():
    code = (
        "import sys; from dgreid.cli.main import main; sys.stderr.write(str('torch' in sys.modules)); main()"
    )
    words = [sys.executable, "-c", f"{code}", "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "False")
    place = 0
    for family, names in COMMANDS.items():
        place = done.stdout.index(f"\n{family}", place)
        for name in names.split():
            place = done.stdout.index(f"\n  {name} ", place)
    assert "examples:\n  dgreid adopt" in done.stdout


def test_the_console_script_and_the_module_are_the_same_program(root):
    script = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]["dgreid"]
    assert script == "dgreid.cli.main:main"
    done = subprocess.run([sys.executable, "-m", "dgreid.cli", "trian"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: unknown command 'trian'")


@pytest.mark.parametrize("name", " ".join(COMMANDS.values()).split())
def test_a_commands_help_has_examples_that_it_understands(name, tmp_path, monkeypatch, capsys):
    """Without data an example cannot succeed, but what stops it is no misspelt word."""
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    examples = re.findall(rf"^  (dgreid {name} ?.*)$", shown, re.M)
    assert examples and "example:" in shown
    monkeypatch.chdir(tmp_path)  # where there is no params/, nothing is done
    for example in examples:
        assert cli.main(shlex.split(example)[1:]) == 1
        assert capsys.readouterr().err.startswith("error: there is no params/ here")


def test_examples_that_need_no_data_succeed(root, tmp_path, monkeypatch, capsys):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    for name in ("download", "describe", "plan"):
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        for example in re.findall(rf"^  (dgreid {name}.*)$", capsys.readouterr().out, re.M):
            if "--measure" not in example:
                assert cli.main(shlex.split(example)[1:]) == 0, example


def test_a_reader_who_has_seen_enough_is_no_error():
    command = f"set -o pipefail; {sys.executable} -m dgreid.cli protocols | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


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
        (["select", "miniature", "seeds=[0,"], "seeds=[0, is not a value"),
        (["select", "miniature", "seeds=[a]"], "'a'"),
        (["trian", "method=erm"], "unknown command 'trian': did you mean 'train'"),
        (["train", "method"], "'method' is not of the form key=value"),
        (["manifest", "dataset"], "'dataset' is not of the form key=value"),
        (["report", "x=1"], "unrecognized arguments: x=1; see `dgreid report --help`"),
        (["adopt", "grid"], "required: --from; see `dgreid adopt --help`"),
        (["embed", "--rn", "mine"], "see `dgreid embed --help`"),
        ([], "required: COMMAND; see `dgreid --help`"),
        (["photographs", "x"], "unrecognized arguments: x"),
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


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), "data/x: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "data/y"), "data/y: Permission denied"),
        (OSError("odd"), "odd"),
    ],
)
def test_a_fault_of_the_machine_is_one_sentence(root, monkeypatch, capsys, error, sentence):
    def fail(name):
        raise error

    monkeypatch.setattr(matrix, "select", lambda *_: fail("x"))
    assert cli.main(["select", "miniature"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {sentence}; ") and said.count("\n") == 1


def test_the_name_of_a_stranger_stays_on_one_line(root, capfd):
    name = "a\nb\x1b[31m\u202e" + "x" * 10_000
    for words in (["describe", f"method={name}"], ["adopt", "viper", "--from", name]):
        assert cli.main(words) == 1
        said = capfd.readouterr().err
        assert said.startswith("error: ") and said.rstrip("\n").isprintable() and len(said) < 2100
