"""docs/rules.md names code and tests that exist; R5, which is a matter of the parsers' expressions."""

import importlib
import re

import pytest

from dgreid.datasets import parser


def test_every_rule_names_code_and_tests_that_exist(root):
    rows = re.findall(
        r"^\| (R\d+) \| ([\w, ]+) \| .+? \| (.+?) \| (.+?) \|$", (root / "docs/rules.md").read_text(), re.M
    )
    assert [row[0] for row in rows] == [f"R{number}" for number in range(1, 23)]
    for rule, level, where, tests in rows:
        assert set(level.split(", ")) <= {"error", "warning", "note"}, rule
        for name in re.findall(r"`([\w.]+)`", where):
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(f"dgreid.{module}"), attribute), f"{rule}: {name}"
        named = re.findall(r"`([\w./]+)::(\w+)`", tests)
        assert named, rule
        for file, test in named:
            assert f"def {test}(" in (root / "tests" / file).read_text(), f"{rule}: {file}::{test}"


@pytest.mark.parametrize(
    ("name", "form", "cameras"),
    [
        ("market1501", "0002_c{}s1_000451_03.jpg", range(1, 7)),
        ("dukemtmc", "0001_c{}_f0046182.jpg", range(1, 9)),
        ("grid", "0001_{}_25004_107_32_106_221.jpeg", range(1, 9)),
    ],
)
def test_r5_cameras_outside_the_range(name, form, cameras):
    pattern = parser(name).NAME
    for camera in range(25):
        match = pattern.match(form.format(camera))
        assert (match is not None) == (camera in cameras)
        assert match is None or int(match["camera"]) == camera
