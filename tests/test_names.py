import pytest

from dgreid.names import is_name, is_run, is_title


@pytest.mark.parametrize("text", ["erm", "_base", "0", "resnet50", "x0_25", "a-b", "a.b", "a" * 48, "v1.2.3"])
def test_names(text):
    assert is_name(text) and is_run(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a..b", ".a", "a.", "-a", "a/b", "a b", "a\n", "a$b", "a'b", "a@b", "ü", "../a", "a\0"],
)
def test_what_a_path_the_shell_or_dvc_would_read_otherwise_is_no_name(text):
    assert not is_name(text) and not is_run(text)


def test_a_run_joins_several_names():
    assert not is_name("a" * 49) and is_run("a" * 49)
    assert is_run("a" * 200) and not is_run("a" * 201)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("MetaBIN (as written)", True),
        ("β → ρ, ü", True),
        ("", True),
        ("two\nlines", False),
        ("bell\x07", False),
        ("escape\x1b[31m", False),
        ("line\u2028separator", False),
        ("half a pair \ud800", False),
    ],
)
def test_a_title_is_one_line_of_visible_characters(text, good):
    assert is_title(text) == good
