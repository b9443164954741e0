"""How the pages write durations, sizes, intervals, lists and long names."""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from dgreid.evaluation.statistics import Bounds
from dgreid.sheets import signed


def duration(seconds: float) -> str:
    """`52 s`, `5 min 12 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def mebibytes(size: float) -> str:
    """A number of bytes as a whole number of MiB: `1,234`."""
    return f"{size / 2**20:,.0f}"


def interval(bounds: Bounds) -> str:
    """`+0.4 to +3.7`, or nothing if an end is not known."""
    low, high = bounds
    return f"{signed(low)} to {signed(high)}" if low == low and high == high else ""


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b, c, d and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def breakable(name: str) -> Markup:
    """A name or path that may be broken after / and _ if it does not fit (browsers know the hyphen)."""
    return Markup("<wbr>".join(escape(part) for part in re.findall(r"[^/_]*[/_]+|[^/_]+", name)))
