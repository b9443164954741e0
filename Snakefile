# Targets and includes only. dvc.yaml owns the graph; see workflow/rules and src/dgreid/graph.py.
from snakemake.utils import min_version

from dgreid.graph import Graph

min_version("9.1")

graph = Graph("dvc.yaml")


wildcard_constraints:
    item=graph.constraint(),


rule all:
    input:
        graph.targets("report"),


include: "workflow/rules/data.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/report.smk"


onstart:
    # any other trigger redoes what `dvc repro` has done
    if {str(trigger) for trigger in workflow.rerun_triggers} != {"mtime"}:
        raise WorkflowError("start snakemake in the project root: profiles/default is needed.")
