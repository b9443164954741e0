"""What a name may be that becomes part of a path, a word for the shell, a DVC item or a cell of a table."""

import re

NAME_RULE = "letters, digits, _, - and single dots, at most 48, beginning with a letter, a digit or _"
_NAMED = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_name(text: str) -> bool:
    """Whether a text may name a file of params/."""
    return len(text) <= 48 and bool(_NAMED.fullmatch(text))


def is_run(text: str) -> bool:
    """Whether a text may be the name of a run, which is made of several names."""
    return len(text) <= 200 and bool(_NAMED.fullmatch(text))


def is_title(text: str) -> bool:
    """Whether a text is one line of visible characters."""
    return not _CONTROL.search(text)
