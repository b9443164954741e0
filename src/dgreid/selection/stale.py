"""Find the items that are out of date: settings, code, inputs or outputs are not those in dvc.lock."""

from typing import Any

from dgreid.selection import guard


def changed() -> tuple[set[str], set[str]]:
    """List the items (STAGE@ITEM) whose content differs from the record, and those that depend on them.

    Stage `code` is not among them: data/code counts as it is.
    """
    guard.guard()
    import networkx
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph.copy()  # from each stage to those whose outputs it reads
        graph.remove_nodes_from([stage for stage in graph if stage.addressing == "code"])
        differs = {stage for stage in graph if _differs(stage)}
        later = set().union(*(networkx.ancestors(graph, stage) for stage in differs)) - differs
        return {stage.addressing for stage in differs}, {stage.addressing for stage in later}


def _differs(stage: Any) -> bool:
    return stage.changed_stage() or any(part.status() for part in (*stage.deps, *stage.outs))
