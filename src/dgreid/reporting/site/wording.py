"""Write durations, sizes, intervals, lists and long names as the pages show them."""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from dgreid.evaluation.statistics import Bounds
from dgreid.sheets import signed


def duration(seconds: float) -> str:
    """Write a duration as `52 s`, `5 min 12 s` or `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def mebibytes(size: float) -> str:
    """Write a number of bytes as a whole number of MiB: `1,234`."""
    return f"{size / 2**20:,.0f}"


def interval(bounds: Bounds) -> str:
    """Write an interval as `+0.4 to +3.7`; "" if an end is not known."""
    low, high = bounds
    return f"{signed(low)} to {signed(high)}" if low == low and high == high else ""


def listed(names: Sequence[str], most: int = 4) -> str:
    """Write names as `a, b, c, d and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def breakable(name: str) -> Markup:
    """Allow line breaks after / and _ in a name or path (browsers break after hyphens by themselves)."""
    return Markup("<wbr>".join(escape(part) for part in re.findall(r"[^/_]*[/_]+|[^/_]+", name)))
