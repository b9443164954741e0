"""Draw small pictures for the pages as SVG text: a training curve, and scores of methods on one axis."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 300, 120  # of a curve, in its own units
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 8, 18
LONGEST_NAME = 60  # characters of a name that fit a drawing


class Dots(NamedTuple):
    """One method: its name and its score for every seed, in percent."""

    name: str
    scores: tuple[float, ...]


def curve(name: str, x: Sequence[float], y: Sequence[float]) -> str:
    """Draw a line through the points (x, y); the axes show the smallest and the largest values.

    Args:
        name: what is drawn, for screen readers.
        x: rising numbers, such as iterations.
        y: as many finite numbers.
    """
    low, high = min(y), max(y)
    across = _scale(x[0], x[-1], LEFT, WIDTH - RIGHT)
    down = _scale(low, high, HEIGHT - BOTTOM, TOP)
    points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x, y, strict=True))
    base = HEIGHT - BOTTOM
    ends = f"{short(y[0])} at the start, {short(y[-1])} at the end"
    said = f"{name}: {ends}, between {short(low)} and {short(high)}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">'
        f'<path class="axis" d="M{LEFT} {TOP}V{base}H{WIDTH - RIGHT}" fill="none"/>'
        + _text(LEFT - 5, TOP + 8, short(high), "end")
        + (_text(LEFT - 5, base, short(low), "end") if high > low else "")
        + _text(LEFT, HEIGHT - 4, short(x[0]), "start")
        + _text(WIDTH - RIGHT, HEIGHT - 4, short(x[-1]), "end")
        + f'<polyline class="curve" points="{points}"/></svg>'
    )


def dots(name: str, rows: Sequence[Dots]) -> str:
    """Draw a row per method: a small ring for every seed, a disc for their mean, over an axis in percent."""
    width, step, start = 460, 42, 10
    every = [score for row in rows for score in row.scores]
    low, high = 10 * math.floor(min(every) / 10), 10 * math.ceil(max(every) / 10)
    high = max(high, low + 10)
    across = _scale(low, high, 14, width - 44)
    base = step * len(rows)
    parts = []
    ticks = range(low, high + 1, 10)
    for tick in ticks:
        at = across(tick)
        parts.append(f'<path class="axis" d="M{at:.1f} {start}V{base + 6}"/>')
        parts.append(_text(at, base + 22, str(tick), "middle"))
    for number, row in enumerate(rows):
        mean, y = sum(row.scores) / len(row.scores), step * number + 32
        parts.append(_text(2, y - 13, _cut(row.name), "start", "name"))
        parts.append(f'<path class="axis" d="M{across(low):.1f} {y}H{width - 44}"/>')
        if len(row.scores) > 1:
            parts += [f'<circle class="seed" cx="{across(s):.1f}" cy="{y}" r="3.5"/>' for s in row.scores]
        parts.append(f'<circle class="mean" cx="{across(mean):.1f}" cy="{y}" r="6"/>')
        parts.append(_text(width - 2, y + 4, f"{mean:.1f}", "end", "value"))
    said = "; ".join(f"{row.name} {sum(row.scores) / len(row.scores):.1f}" for row in rows)
    label = escape(f"{name}: {said}")
    return f'<svg viewBox="0 0 {width} {base + 28}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def short(value: float) -> str:
    """Write a number in few characters: 0.000925, 7.59, 600, 12000."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _scale(low: float, high: float, start: float, end: float):
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'
