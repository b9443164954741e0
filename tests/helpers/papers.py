"""The cells of a paper's table, as they are with these metrics."""

from dgreid.papers import tables as papers


def cells_of(known, name, metrics):
    return papers.cells(papers.describe(name), known, metrics)
