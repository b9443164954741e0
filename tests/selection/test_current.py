"""A report refuses what was made from other settings, data or code than the present."""

import hashlib
import logging
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from dgreid import sealed
from dgreid.errors import UserError
from dgreid.imports import Sources
from dgreid.paths import CODE, LEDGER, METRICS, PROTOCOLS
from dgreid.runs.run import configuration_hash
from dgreid.selection import code, current, matrix
from helpers import metrics, tiny

NAME = "erm-resnet_tiny-miniature-s0"
TARGETS = ("VIPeR", "PRID", "GRID", "iLIDS")
OTHER = {"configuration": "0", "training_code": "0"}  # of a run made from other settings


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project's params, a selection of one run, and its metrics."""
    shutil.copytree(tiny.ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    words = {"methods": ["erm"], "backbones": ["resnet_tiny"], "seeds": [0]}
    selected = matrix.compose("miniature", words)
    assert list(selected["runs"]) == [NAME]
    config = matrix.config_of(selected["runs"][NAME])
    node = metrics.protocol_run("erm", "resnet_tiny", "miniature", TARGETS, [50.0] * 4)
    made = {
        "configuration": configuration_hash(config),
        "training_rows": rows("train", b"a"),
        "searched_rows": rows("targets", b"b"),
        "training_code": code.digest("train", config),
        "evaluation_code": code.digest("evaluate", config),
    }
    return selected, {NAME: node | {"recipe": "miniature", "made_from": made}}


def rows(part, content):
    path = PROTOCOLS / "miniature" / f"{part}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def refused(project, words):
    with pytest.raises(UserError, match=words) as caught:
        current.check(*project)
    assert "\n" not in str(caught.value) and "dvc repro" in str(caught.value)


def test_what_is_current_passes_and_what_is_not_recorded_too(project):
    current.check(*project)
    project[1][NAME]["made_from"] = {}
    current.check(*project)


def test_an_edited_setting_is_refused_until_it_is_put_back(project):
    path = Path("params/recipe/miniature.yaml")
    before = path.read_text()
    path.write_text(re.sub(r"epochs: \d+", "epochs: 7", before, count=1))
    refused(project, rf"metrics/{NAME}\.json was made from other settings than the present")
    path.write_text(before)
    current.check(*project)


def test_other_rows_other_targets_and_other_code_are_refused(project):
    rows("train", b"c")
    refused(project, "other training data than the present")
    rows("targets", b"d")
    refused(project, "other training data and other query and gallery than")
    rows("train", b"a")
    rows("targets", b"b")
    node = project[1][NAME]
    node["made_from"]["training_code"] = "0" * 64
    refused(project, "other code than")
    del node["targets"]["VIPeR"]
    refused(project, "other targets and other code than")


def test_damaged_rows_are_called_damaged_and_not_other_ones(project):
    path = PROTOCOLS / "miniature/targets.parquet"
    sealed.write_table(pa.table({"a": [1, 2, 3]}), path)
    project[1][NAME]["made_from"]["searched_rows"] = hashlib.sha256(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"targets\.parquet is damaged: make it again with `dgreid protocol"):
        current.check(*project)


def ledger(selected, agreeing, outs=()):
    """A dvc.lock whose items were last made from the present content of data/code, or from another."""
    stages = {}
    for item, node in code.items(selected, Sources()):
        text = code.text_of(node) if agreeing else "another"
        digest = hashlib.md5(text.encode()).hexdigest()
        stages[item.replace("/", "@", 1)] = {
            "deps": [{"path": f"{CODE}/{item}.json", "md5": digest}],
            "outs": [{"path": str(path), "md5": hashlib.md5(path.read_bytes()).hexdigest()} for path in outs],
        }
    LEDGER.write_text(yaml.safe_dump({"stages": stages}))


def test_the_ledger_confirms_code_that_was_declared_current(project):
    project[1][NAME]["made_from"] |= {"training_code": "0" * 64}
    ledger(project[0], agreeing=True)
    current.check(*project)
    ledger(project[0], agreeing=False)
    refused(project, "other code than")


def test_what_dvc_made_from_something_else_is_refused(project):
    METRICS.mkdir(parents=True)
    path = METRICS / f"{NAME}.json"
    path.write_text("{}")
    for key in ("training_code", "evaluation_code"):
        del project[1][NAME]["made_from"][key]
    ledger(project[0], agreeing=False)
    current.check(*project)  # nothing here was made with DVC
    ledger(project[0], agreeing=False, outs=[path])
    refused(project, "synthesize mini_\\w+ was made from other settings or code")


@pytest.mark.parametrize("text", ["", "- a", "stages: [1]", "stages: {a: 1}", "stages: {", "[" * 9999])
def test_a_damaged_ledger_confirms_nothing(project, text):
    LEDGER.write_text(text)
    current.check(*project)
    project[1][NAME]["made_from"] |= {"training_code": "0" * 64}
    refused(project, "other code than")


def test_what_earlier_versions_hashed_otherwise_is_not_compared(project):
    node = project[1][NAME]
    old = node | {"run": node["run"].replace("-s0", "-s1"), "seed": 1, "made_from": {"configuration": "0"}}
    assert current.marked([old], ()) == [old]


def test_other_runs_are_marked_and_named_in_one_sentence(project, caplog):
    old = [
        node | {"run": node["run"].replace("-s0", f"-s{seed}"), "seed": seed, "made_from": OTHER}
        for node in project[1].values()
        for seed in range(1, 6)
    ]
    gone = old[0] | {"run": "gone-resnet_tiny-miniature-s0", "method": "gone"}
    with caplog.at_level(logging.WARNING):
        found = current.marked([*project[1].values(), *old, gone], project[1])
    titles = [run["title"] for run in found]
    assert titles == ["BN baseline"] + ["BN baseline (made from other settings)"] * 6
    (record,) = caplog.records
    assert "and 3 more were made from other settings or data" in record.getMessage()
