import errno
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from dgreid.cli import main as cli
from dgreid.selection import matrix
from helpers import random_project

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


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        ("viper", "dgreid adopt viper --from PATH"),
        ("dukemtmc", "withdrawn"),
        ("mini_grid", "dgreid synthesize"),
    ],
)
def test_download_says_where_to_ask_and_that_is_no_error(root, capsys, dataset, sentence):
    assert cli.main(["download", dataset]) == 0
    said = capsys.readouterr()
    assert sentence in said.out and "error" not in said.err


def test_outside_a_project_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report"]) == 1
    assert "project's root" in capsys.readouterr().err


def test_select_writes_every_run_with_its_own_choices(root, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "MATRIX", tmp_path / "matrix.yaml")
    assert cli.main(["select", "miniature", "methods=[erm]", "seeds=[0,7]"]) == 0
    written = yaml.safe_load((tmp_path / "matrix.yaml").read_text())
    assert list(written["runs"]) == ["erm-resnet_tiny-miniature-s0", "erm-resnet_tiny-miniature-s7"]
    assert written["runs"]["erm-resnet_tiny-miniature-s7"]["seed"] == 7
    assert written["datasets"]["mini_grid"]["source"] == "data/archives/mini_grid.zip"
    assert set(written["drawn"]) == set(written["datasets"])


def test_select_says_which_data_are_still_to_be_brought(root, tmp_path, monkeypatch, caplog):
    shutil.copytree("params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "data/raw/grid/adopted.json"
    here.parent.mkdir(parents=True)
    here.touch()
    with caplog.at_level("INFO"):
        assert cli.main(["select", "open_small"]) == 0
    asked = [line for line in caplog.messages if "--from PATH" in line]
    names = set(yaml.safe_load((tmp_path / "params/matrix.yaml").read_text())["datasets"]) - {"grid"}
    assert [line.split("adopt ")[1].split()[0] for line in asked] == sorted(names)
    caplog.clear()
    with caplog.at_level("INFO"):
        assert cli.main(["select", "miniature"]) == 0
    assert "--from PATH" not in caplog.text


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


@pytest.fixture
def crops(root, tmp_path, monkeypatch):
    """A project in tmp_path with two data sets of a few random crops in VIPeR's and Market's layout."""
    random_project.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_adopted_elsewhere_are_found_through_a_link(crops):
    entry = crops / "data/raw/wide"
    for place in ("one", "two"):
        words = ["adopt", "wide", "--from", str(crops / "source/wide"), "--to", str(crops / place)]
        assert cli.main(words) == 0
        assert entry.is_symlink() and entry.resolve() == crops / place / "wide"
    assert cli.main(["manifest", "dataset=wide"]) == 0
    assert (crops / "data/manifests/wide/images.parquet").is_file()
    # adopted here, the link gives way to the folder, and what it led to stays
    assert cli.main(["adopt", "wide", "--from", str(crops / "source/wide")]) == 0
    assert not entry.is_symlink() and (entry / "adopted.json").is_file()
    assert (crops / "two/wide/adopted.json").is_file()


def test_a_folder_in_data_raw_is_not_replaced_by_a_link(crops, capsys):
    assert cli.main(["adopt", "wide", "--from", "source/wide"]) == 0
    assert cli.main(["adopt", "wide", "--from", "source/wide", "--to", "elsewhere"]) == 1
    assert "data/raw/wide is a folder" in capsys.readouterr().err
    assert not (crops / "elsewhere").exists() and (crops / "data/raw/wide/adopted.json").is_file()


def test_manifest_and_protocol_say_what_they_made(crops, caplog):
    with caplog.at_level("INFO"):
        for word in ("adopt wide --from source/wide", "manifest dataset=wide", "protocol protocol=alone"):
            assert cli.main(word.split()) == 0
    assert "data/manifests/wide: 32 images, 8 ids, 2 cameras (miniature data)" in caplog.messages
    assert (
        "data/protocols/alone: 8 ids, 32 images, 1 domains; targets and splits: none (miniature data)"
        in caplog.messages
    )


def test_a_set_that_records_no_camera_has_not_zero_of_them(crops, caplog):
    (crops / "params/dataset/hall.yaml").write_text("{title: Hall, parser: ilids, access: drawn}")
    (crops / "hall/Persons").mkdir(parents=True)
    for number, picture in enumerate(sorted((crops / "source/wide").rglob("*.jpg"))):
        shutil.copy(picture, crops / f"hall/Persons/{number // 4 + 1:04d}{number % 4 + 1:03d}.jpg")
    with caplog.at_level("INFO"):
        for words in ("adopt hall --from hall", "manifest dataset=hall"):
            assert cli.main(words.split()) == 0
    assert "data/manifests/hall: 32 images, 8 ids, cameras unknown (miniature data)" in caplog.messages


def test_photographs_are_a_command_and_were_an_option_of_report(crops, capsys):
    for words in (["photographs"], ["report", "--photographs"]):
        assert cli.main(words) == 1
        assert "s0.json is missing: run `dgreid evaluate" in capsys.readouterr().err
        assert not (crops / "logs").exists()  # it is no stage


def test_stages_that_succeed_are_noted_in_the_execution_log(crops):
    assert cli.main(["manifest", "dataset=wide"]) == 1  # not adopted yet
    assert not (crops / "logs").exists()
    for words in ("adopt wide --from source/wide", "manifest dataset=wide", "protocol protocol=alone"):
        assert cli.main(words.split()) == 0
    lines = [line.split("\t") for line in (crops / "logs/executions.tsv").read_text().splitlines()]
    assert [line[:2] for line in lines] == [["manifest", "dataset=wide"], ["protocol", "protocol=alone"]]
    assert all(float(seconds) >= 0 and int(process) > 0 for _, _, seconds, process in lines)


def test_the_name_of_a_stranger_stays_on_one_line(root, capfd):
    name = "a\nb\x1b[31m\u202e" + "x" * 10_000
    for words in (["describe", f"method={name}"], ["adopt", "viper", "--from", name]):
        assert cli.main(words) == 1
        said = capfd.readouterr().err
        assert said.startswith("error: ") and said.rstrip("\n").isprintable() and len(said) < 2100
