"""The cells of a paper's table, as they are with these metrics."""

from dgreid.papers import tables as papers
from dgreid.papers.reference import PLACE


def cells_of(known, name, metrics):
    return papers.cells(papers.describe(name), known, metrics)


def places(frame, *more):
    return set(frame[[*PLACE, *more]].itertuples(index=False, name=None))
