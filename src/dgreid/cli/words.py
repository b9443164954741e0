"""Parse words of the form key=value, as several commands take them."""

from collections.abc import Sequence

from dgreid.errors import UserError, unknown


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Split `key=value` words.

    Raises:
        UserError: a word has no `=`.
    """
    for word in words:
        if "=" not in word:
            raise UserError(f"'{word}' is not of the form key=value.")
    return dict(word.split("=", 1) for word in words)


def only(key: str, words: Sequence[str], command: str) -> str:
    """Return the value of the one key that a command takes.

    Raises:
        UserError: the key is missing, or another one is given.
    """
    given = pairs(words)
    for name in given:
        if name != key:
            raise unknown("key", name, [key])
    if key not in given:
        raise UserError(f"which {key}? Write `dgreid {command} {key}=NAME`.")
    return given[key]
