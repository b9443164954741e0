"""Rules about several data sets at once, or about who searches whom: R3 and R6-R10 of a protocol."""

import logging
import re

import pandas as pd

from dgreid.errors import UserError, unknown

log = logging.getLogger(__name__)
# real data sets that show some of the same people under unrelated numbers
OVERLAPS = ({"cuhk01", "cuhk02"}, {"cuhk01", "cuhk03"}, {"cuhk02", "cuhk03"})


def check_counts(protocol: str, where: str, expect: dict[str, int], found: dict[str, int]) -> None:
    """R3: the counts that the protocol promises."""
    for name, number in expect.items():
        if name not in found:
            raise unknown(f"count in expect of protocol {protocol}:", name, found)
        if found[name] != number:
            raise UserError(
                f"protocol {protocol}, {where}: {found[name]} {name} instead of {number}; are the data the "
                "expected ones?"
            )


def split_count(split_set: str) -> int | None:
    """How many splits a split set has by its name, 10 for viper/rand10_a2b; None if it does not say."""
    said = re.search(r"/(?:rand|official)(\d+)", split_set)
    return int(said[1]) if said else None


def check_separate(protocol: str, train: pd.DataFrame, searched: pd.DataFrame) -> None:
    """R6-R8: no person and no image both trains and is searched, in whatever variant or data set."""
    for column, what in (("person_key", "person"), ("pixel_sha256", "image")):
        shared = set(train[column]) & set(searched[column].dropna())
        if shared:
            row = searched[searched[column].isin(shared)].sort_values("image_id").iloc[0]
            raise UserError(
                f"protocol {protocol}: the {what} of {row.image_id} also trains ({len(shared)} in all); "
                "take a training split, or another source."
            )


def overlaps(names: list[str], tables: dict[str, pd.DataFrame]) -> list[str]:
    """R8: data sets known to share people under unrelated numbers."""
    real = {name.split("_")[0] for name in names if tables[name].attrs["kind"] != "miniature"}
    warnings = [f"{' and '.join(sorted(p))} show some of the same people" for p in OVERLAPS if p <= real]
    for warning in warnings:
        log.warning("%s.", warning)
    return warnings


def check_matches(where: str, query: pd.DataFrame, gallery: pd.DataFrame) -> None:
    """R9, R10: each query has a gallery image of the same person that the camera filter leaves."""
    if (query.identity < 0).any():
        raise UserError(
            f"{where}: {query.image_id[query.identity < 0].iloc[0]} is a distractor, not a query."
        )
    pairs = query.reset_index().merge(gallery, on="identity", suffixes=("", "_gallery"))
    matched = pairs["index"][pairs.camera != pairs.camera_gallery].unique()
    lost = query[~query.index.isin(matched)]
    if len(lost):
        raise UserError(f"{where}: query {lost.image_id.iloc[0]} has no match from another camera.")
