import pytest

from dgreid.reporting.site import wording


def test_names_break_where_a_reader_would_break_them():
    assert wording.breakable("a_b/c-<d>") == "a_<wbr>b/<wbr>c-&lt;d&gt;"
    assert wording.breakable("__a//") == "__<wbr>a//"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (12000, "3 h 20 min")]
)
def test_duration(seconds, text):
    assert wording.duration(seconds) == text
