"""How a data set may be obtained: its terms, and the sentences that say what to do."""

from dgreid.datasets.config import DatasetConfig
from dgreid.errors import UserError


def check_terms(config: DatasetConfig, acknowledge: bool) -> None:
    """R20: withdrawn or restricted data need the user's statement, which is recorded.

    Raises:
        UserError: it is missing.
    """
    if acknowledge or config.access not in ("withdrawn", "request"):
        return
    state = {"withdrawn": "was withdrawn by its authors", "request": "is given on request only"}
    terms = f" ({config.home})" if config.home else ""
    raise UserError(
        f"{config.title} {state[config.access]}{terms}; if you hold a copy that you may use, say so with "
        "--acknowledge."
    )


def where_to_ask(config: DatasetConfig) -> str:
    """How to get a data set, in a sentence; none is fetched, as none has an open licence and a known hash."""
    if config.access == "drawn":
        return f"{config.title} is generated, not downloaded: `dgreid synthesize dataset={config.name}`."
    if config.access == "withdrawn":
        return f"{config.title} was withdrawn by its authors and is available nowhere; do without it."
    way = {
        "open": "no open licence is stated for it",
        "request": "it is given on request",
        "agreement": "it is given under an agreement",
    }[config.access]
    way += f"; see {config.home}" if config.home else "; ask its authors"
    return f"{config.title} is not downloaded: {way}, then run `dgreid adopt {config.name} --from PATH`."


def remedy(config: DatasetConfig) -> str:
    """What to do if a data set is not here: the end of a sentence."""
    if config.access == "drawn":
        return f"generate it with `dgreid synthesize dataset={config.name}`"
    get = f", available from {config.home}" if config.home else ""
    return f"run `dgreid adopt {config.name} --from PATH` with its archive or folder{get}"
