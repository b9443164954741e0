import csv

import numpy as np
from PIL import Image

from dgreid.evaluation.balance import layer_row
from dgreid.reporting.figures import NOTHING, write_balance

LAYERS = [
    layer_row(1, "stem", np.array([0.0, 0.5, 1.0, 1.0])),
    layer_row(2, "block.norm", np.linspace(0.2, 0.6, 5)),
]
LINES = [{"run": run, **row} for run in ("r0", "r1", "r2") for row in LAYERS]


def test_same_numbers_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_balance(LINES[:-1], {}, tmp_path / folder / "x-balance", "Toy")
    for suffix in ("csv", "png", "pdf"):
        first = (tmp_path / "a" / f"x-balance.{suffix}").read_bytes()
        assert first == (tmp_path / "b" / f"x-balance.{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a" / "x-balance.pdf").read_bytes()
    assert "Software" not in Image.open(tmp_path / "a" / "x-balance.png").info


def test_without_balance_the_files_say_so(tmp_path):
    write_balance([], {}, tmp_path / "x-balance", "Toy")
    with (tmp_path / "x-balance.csv").open() as file:
        assert list(csv.DictReader(file)) == []
    assert Image.open(tmp_path / "x-balance.png").size[0] > 100
    assert (tmp_path / "x-balance.pdf").read_bytes().startswith(b"%PDF")
    assert NOTHING.startswith("No run")
