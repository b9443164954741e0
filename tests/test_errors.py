import doctest

import pytest

from dgreid import errors
from dgreid.errors import UserError, first_line, one_line, unknown


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(errors).failed == 0 < doctest.testmod(errors).attempted


def test_a_sentence_stays_one_line_of_bounded_length():
    text = one_line("a\r\nb\t\u202ec" + "x" * 10_000 + "end")
    assert text.startswith(r"a\r\nb\t\u202ec") and text.endswith("end")
    assert text.isprintable() and len(text) < 2100
    assert one_line(UserError("grün: 30 %.")) == "grün: 30 %."


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("bad.\nmore"), "bad"), (ValueError(), "ValueError"), (OSError(2, "gone"), "[Errno 2] gone")],
)
def test_the_first_line_of_what_an_error_says(error, line):
    assert first_line(error) == line


def test_the_nearest_name_is_proposed_and_all_are_listed():
    assert str(unknown("key", "seeed", {"seed": 0, "method": 1})) == (
        "unknown key 'seeed': did you mean 'seed'? Known: method, seed."
    )
    assert str(unknown("run", "erm", [])) == "unknown run 'erm': Known: none."
    assert "did you mean" not in str(unknown("key", "zzz", ["seed"]))


def test_of_a_dotted_name_the_last_part_counts_first():
    assert "did you mean 'epochs'" in str(unknown("key", "recipe.epochz", ["recipe", "epochs"]))
