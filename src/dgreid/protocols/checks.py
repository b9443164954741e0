"""Check the rules about several data sets at once: R3 and R6-R10 of a protocol."""

import logging
from itertools import combinations

import pandas as pd

from dgreid.datasets.parsers import layout_of, parser_names
from dgreid.errors import UserError, unknown

log = logging.getLogger(__name__)


def check_counts(protocol: str, where: str, expect: dict[str, int], found: dict[str, int]) -> None:
    """R3: compare counts with those that the protocol states.

    Args:
        protocol: its name.
        where: what is counted, for the message.
        expect: count -> number that the protocol states.
        found: count -> number in the data.

    Raises:
        UserError: a number differs, or there is no such count.
    """
    for name, number in expect.items():
        if name not in found:
            raise unknown(f"count in expect of protocol {protocol}:", name, found)
        if found[name] != number:
            raise UserError(
                f"protocol {protocol}, {where}: {found[name]} {name} instead of {number}; are the data the "
                "expected ones?"
            )


def check_separate(protocol: str, train: pd.DataFrame, test: pd.DataFrame) -> None:
    """R6-R8: refuse an identity or image that is both in training and in test, in any variant or data set."""
    for column, what in (("person_key", "identity"), ("pixel_sha256", "image")):
        shared = set(train[column]) & set(test[column].dropna())
        if shared:
            row = test[test[column].isin(shared)].sort_values("image_id").iloc[0]
            raise UserError(
                f"protocol {protocol}: the {what} of {row.image_id} also trains ({len(shared)} in all); "
                "take a training split, or another source."
            )


def overlaps(tables: dict[str, pd.DataFrame]) -> list[str]:
    """R8: warn of real data sets that share identities under unrelated numbers."""
    real = {_parser(table) for table in tables.values() if table.attrs["kind"] != "miniature"}
    pairs = combinations(sorted(real & set(parser_names())), 2)
    warnings = [
        f"{first} and {second} share some identities"
        for first, second in pairs
        if second in layout_of(first).shares_identities_with
    ]
    for warning in warnings:
        log.warning("%s.", warning)
    return warnings


def _parser(table: pd.DataFrame) -> str:
    """Return the parser of a real data set, with whose name its person keys begin."""
    return next(iter(table.person_key.dropna()), "").split(":")[0]


def check_matches(where: str, query: pd.DataFrame, gallery: pd.DataFrame) -> None:
    """R9, R10: refuse a query without a gallery image of the same identity from another camera."""
    if (query.identity < 0).any():
        raise UserError(
            f"{where}: {query.image_id[query.identity < 0].iloc[0]} is a distractor, not a query."
        )
    pairs = query.reset_index().merge(gallery, on="identity", suffixes=("", "_gallery"))
    matched = pairs["index"][pairs.camera != pairs.camera_gallery].unique()
    lost = query[~query.index.isin(matched)]
    if len(lost):
        raise UserError(f"{where}: query {lost.image_id.iloc[0]} has no match from another camera.")
