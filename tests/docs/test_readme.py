"""The README's worked example is code: it is taken from the page, trained, and kept under sixty lines."""

import re
import sys
import types

import pytest
import torch
import yaml

from dgreid.cli.main import main
from dgreid.images.batch import Batch
from dgreid.methods.base import Task
from dgreid.networks import backbones
from dgreid.runs.config import load_run
from dgreid.schema import validate


def block(text: str, language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", text, re.S)[1]


def test_the_example_method_trains(root):
    text = (root / "README.md").read_text()
    code, numbers = block(text, "python"), yaml.safe_load(block(text, "yaml"))
    assert len(code.splitlines()) + len(numbers) < 60
    module = types.ModuleType("colour_mix")
    sys.modules["colour_mix"] = module  # pydantic looks its own module up
    exec(compile(code, "README.md", "exec"), module.__dict__)

    run = load_run(["method=erm", "backbone=resnet_tiny", "protocol=miniature"])
    options = validate(module.Options, {"name": "colour_mix", **numbers})
    task = Task(classes=4, domains=2, iterations=2, iterations_per_epoch=1)
    torch.manual_seed(0)
    method = module.METHOD(options, backbones.build(run.backbone), run.recipe, task).train()
    identities = torch.arange(4).repeat_interleave(2)
    batch = Batch(torch.randn(8, 3, 64, 32), identities, identities // 2)
    before = method.network.classifier.weight.clone()
    for iteration in range(2):
        losses = method.step({"base": [batch]}, iteration)
        assert all(torch.isfinite(loss) for loss in losses.values())
    assert not torch.equal(before, method.network.classifier.weight)
    mixed = method.mix(batch.images)
    assert mixed.shape == batch.images.shape and not torch.equal(mixed, batch.images)


def test_the_files_it_names_exist(root):
    text = (root / "README.md").read_text()
    named = set(re.findall(r"`((?:src|params|profiles)/[\w/.]+\.\w+)`", text)) | {
        "LICENSE",
        "CONTRIBUTING.md",
    }
    named -= {"src/dgreid/methods/colour_mix.py", "params/method/colour_mix.yaml", "params/matrix.yaml"}
    assert named
    for name in named:
        assert (root / name).is_file(), name


def test_the_commands_it_names_exist(root):
    named = set(re.findall(r"^dgreid (\w+)", (root / "README.md").read_text(), re.M))
    assert {"adopt", "select", "train"} <= named
    for name in named:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0


def test_its_table_is_an_excerpt_of_the_rendered_one(root):
    def cells(path):
        lines = [line for line in (root / path).read_text().splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    shown = [row for row in cells("README.md") if len(row) == 9]
    head, _, *rendered = cells("docs/results/miniature.md")
    columns = [head.index(name) for name in shown[0]]
    assert len(shown) >= 4
    for row in shown[2:]:
        assert row in [[full[i] for i in columns] for full in rendered if len(full) == len(head)]
