"""The commands that use a trained run pass on what they are given, and say what they wrote."""

import pandas as pd
import pytest

from dgreid.cli import main as cli
from helpers import tiny, trained_run

RUN = "erm-tiny-toy-s0"


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A project with a trained run, three crops and one that cannot be read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params").mkdir()
    trained_run.make(RUN, tiny.config("erm"))
    trained_run.crops(tmp_path / "crops", ["a.png", "b.png", "deep/c.png"])
    (tmp_path / "crops/broken.png").write_bytes(b"no image")
    return tmp_path


def test_embed_refuses_what_cannot_be_read_unless_it_may_be_left_out(trained, capsys, caplog):
    words = f"embed --run {RUN} --images crops --out found.parquet".split()
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "broken.png" in said and said.count("\n") == 1
    with caplog.at_level("INFO"):
        assert cli.main([*words, "--skip-unreadable"]) == 0
    assert list(pd.read_parquet("found.parquet")["path"]) == ["a.png", "b.png", "deep/c.png"]
    assert "found.parquet" in caplog.messages


def test_search_writes_as_many_images_as_asked_for_and_copies_of_them(trained, caplog):
    words = f"search --run {RUN} --query crops/a.png --gallery crops --out found --top 2 --skip-unreadable"
    with caplog.at_level("INFO"):
        assert cli.main([*words.split(), "--copy"]) == 0
    ranking = pd.read_csv("found/ranking.csv")
    assert len(ranking) == 2 and ranking["gallery"].iloc[0].endswith("a.png")
    assert "found/index.html: open it in a browser" in caplog.text
    assert len([path for path in (trained / "found").rglob("*") if path.suffix == ".png"]) >= 2


def test_a_run_that_is_not_there_is_one_sentence(trained, capsys):
    for words in (
        "embed --run erm-tiny-toy-s1 --images crops --out x.parquet",
        "search --run erm-tiny-toy-s1 --query crops/a.png --gallery crops --out x",
        "export --run erm-tiny-toy-s1 --out x.onnx",
    ):
        assert cli.main(words.split()) == 1
        assert f"unknown run 'erm-tiny-toy-s1': did you mean '{RUN}'" in capsys.readouterr().err
