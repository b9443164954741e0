"""Find the templates and static files, for every page that is written."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from dgreid.reporting.site import wording
from dgreid.sheets import signed

STATIC = ("page.css", "page.js")  # what the pages of the report share


@cache
def environment() -> Environment:
    """Return the templates of this package; an unknown variable is an error, and text is escaped."""
    made = Environment(
        loader=PackageLoader("dgreid.reporting.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "breakable": wording.breakable,
        "interval": wording.interval,
        "mebibytes": wording.mebibytes,
        "signed": signed,
    }
    return made


def static(name: str) -> str:
    """Read a shared file, one of STATIC."""
    return files("dgreid.reporting.site").joinpath("static", name).read_text(encoding="utf-8")
