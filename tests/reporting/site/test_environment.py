import jinja2
import pytest

from dgreid.reporting.site.environment import STATIC, environment, static


def render(template, **values):
    return environment().from_string(template).render(**values)


def test_text_is_escaped():
    assert render("{{ name }}", name="<b> & co") == "&lt;b&gt; &amp; co"


def test_a_variable_that_is_not_there_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("{{ nmae }}", name="x")


def test_numbers_and_names_are_written_by_filters():
    assert render("{{ 0.04 | signed }} {{ 1.26 | signed }}") == "0.0 +1.3"
    assert render("{{ 'a_b' | breakable }}") == "a_<wbr>b"


def test_every_template_compiles():
    names = environment().list_templates()
    assert {"index.html", "run.html", "photographs.html"} <= set(names)
    for name in names:
        environment().get_template(name)


def test_what_pages_share_is_in_the_package():
    assert all(static(name) for name in STATIC)
