import csv

import numpy as np
from PIL import Image

from dgreid.reporting.figures import NOTHING, layer_table, write_balance

LAYERS = [("stem", np.array([0.0, 0.5, 1.0, 1.0])), ("block.norm", np.linspace(0.2, 0.6, 5))]


def test_distribution_per_layer():
    first, second = layer_table({"run": LAYERS})
    assert (first["layer"], first["name"], first["channels"]) == (1, "stem", 4)
    assert (first["mean"], first["q50"], first["at_0"], first["at_1"]) == (0.625, 0.75, 0.25, 0.5)
    assert (second["layer"], second["q50"], second["at_1"]) == (2, 0.4, 0.0)


def test_same_numbers_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_balance(
            {"r0": LAYERS, "r1": LAYERS, "r2": LAYERS[:1]}, {}, tmp_path / folder / "x-balance", "Toy"
        )
    for suffix in ("csv", "png", "pdf"):
        first = (tmp_path / "a" / f"x-balance.{suffix}").read_bytes()
        assert first == (tmp_path / "b" / f"x-balance.{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a" / "x-balance.pdf").read_bytes()
    assert "Software" not in Image.open(tmp_path / "a" / "x-balance.png").info


def test_without_balance_the_files_say_so(tmp_path):
    write_balance({}, {}, tmp_path / "x-balance", "Toy")
    with (tmp_path / "x-balance.csv").open() as file:
        assert list(csv.DictReader(file)) == []
    assert Image.open(tmp_path / "x-balance.png").size[0] > 100
    assert (tmp_path / "x-balance.pdf").read_bytes().startswith(b"%PDF")
    assert NOTHING.startswith("No run")
