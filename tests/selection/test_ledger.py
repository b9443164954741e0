import hashlib
from pathlib import Path

import pytest
import yaml

from dgreid.paths import CODE, LEDGER
from dgreid.selection.ledger import Ledger


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def write(deps=(), outs=()):
    """A dvc.lock with one item, made from and to these texts by path."""
    stage = {
        name: [{"path": path, "md5": md5(text), "size": len(text)} for path, text in part]
        for name, part in (("deps", deps), ("outs", outs))
    }
    LEDGER.write_text(yaml.safe_dump({"schema": "2.0", "stages": {"train@mine": {"cmd": "x", **stage}}}))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_item_is_known_if_its_outputs_are_those_that_dvc_made():
    write(outs=[("a.txt", "a"), ("b.txt", "b")])
    assert not Ledger().knows("train/mine")  # nothing is here
    Path("a.txt").write_text("a")
    assert Ledger().knows("train/mine")  # as far as it is here
    Path("b.txt").write_text("another")
    assert not Ledger().knows("train/mine")
    assert not Ledger().knows("train/other")


def test_an_item_agrees_with_the_content_that_it_was_made_from():
    write(deps=[(f"{CODE}/train/mine.json", "{}")])
    assert Ledger().agrees("train/mine", "{}")
    assert not Ledger().agrees("train/mine", "{ }") and not Ledger().agrees("train/other", "{}")


@pytest.mark.parametrize(
    "text",
    [
        None, "", "- a", "stages: [1]", "stages: {train@mine: 1}", "stages: {", "[" * 9999,
        "stages: {train@mine: {outs: 1, deps: [1]}}", "stages: {train@mine: {outs: [{path: a.txt}]}}",
    ],
)  # fmt: skip
def test_a_ledger_that_is_missing_or_damaged_knows_nothing(text):
    Path("a.txt").write_text("a")
    if text is not None:
        LEDGER.write_text(text)
    assert not Ledger().knows("train/mine") and not Ledger().agrees("train/mine", "{}")
