"""Runs of a small project, what their training leaves, and the rows of their plan."""

import json

import yaml

from dgreid.runs.config import load_run
from dgreid.runs.run import build, chosen
from dgreid.runs.training import task_of
from dgreid.selection import costs

RUN = ["backbone=resnet_tiny", "seed=0"]


def run(protocol="pair", method="erm", *words):
    return load_run([f"method={method}", f"protocol={protocol}", *RUN, *words])


def matrix(*runs):
    groups = ("method", "backbone", "protocol", "recipe", "image")
    return {
        "name": "some",
        "runs": {
            each.run: {
                **{group: getattr(each, group).name for group in groups},
                "seed": each.seed,
                "changes": "".join(f" {word}" for word in each.changes),
            }
            for each in runs
        },
    }


def cost(folder, each, rate, **changes):
    """What train leaves."""
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(yaml.safe_dump({"config": chosen(each)}))
    node = {"images_per_second": rate, "device": "cpu", "threads": 1} | changes
    (folder / "cost.json").write_text(json.dumps(node))


def cells(text, name):
    """A run's row: its cells."""
    line = next(line for line in text.splitlines() if line.startswith(name))
    return [cell for cell in line.split("  ") if cell.strip()]


def build_of(each):
    task = task_of(costs.crowd(each, 2), each)
    return build(each.method, each.backbone, each.recipe, task, "none")
