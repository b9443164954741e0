"""Errors that a user can fix: one sentence that says what is wrong, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_LINE = 2000  # characters of a line


class UserError(Exception):
    """Bad input. The command line prints only the sentence and exits with status 1."""


def one_line(error: Exception | str) -> str:
    """Write a sentence as one line of bounded length, whatever names of strangers it quotes.

    >>> print(one_line(UserError("a\\nb\\x1b[31m.jpg: corrupt image; get it again.")))
    a\\nb\\x1b[31m.jpg: corrupt image; get it again.
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error))
    return (
        text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE // 2]} ... {text[-LONGEST_LINE // 2 :]}"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without its full stop, or the name of its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """Make the error for a name that is not among `known`; it proposes the nearest one.

    >>> print(unknown("method", "metabinn", ["erm", "metabin"]))
    unknown method 'metabinn': did you mean 'metabin'? Known: erm, metabin.
    """
    known = sorted(map(str, known))
    parts = [*reversed(str(name).split(".")), str(name)]  # of recipe.epochz: epochz first
    near = [found for part in parts for found in get_close_matches(part, known, n=1, cutoff=0.5)]
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UserError(f"unknown {what} '{name}': {hint}Known: {', '.join(known) or 'none'}.")
