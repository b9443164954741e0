# Targets and includes only. dvc.yaml owns the graph; see workflow/rules and src/dgreid/selection/graph.py.
from snakemake.utils import min_version

from dgreid.selection.graph import Graph, gpus_per_job

min_version("9.1")

graph = Graph("dvc.yaml", workflow)


wildcard_constraints:
    item=graph.constraint(),


rule all:
    input:
        graph.targets("report"),


include: "workflow/rules/data.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/report.smk"


onstart:
    # any other trigger or a checksum of its own makes snakemake redo, or miss, what `dvc repro` has done;
    # and a failed job must not cost the results that an earlier one has made
    triggers = {str(trigger) for trigger in workflow.rerun_triggers}
    checksums = workflow.dag_settings.max_checksum_file_size
    kept = workflow.execution_settings.keep_incomplete
    if triggers != {"mtime"} or checksums or not kept:
        raise WorkflowError(
            "start snakemake in the project root: profiles/default is needed."
        )
    graph.start()


onerror:
    print(
        "Not everything is done; all results so far are kept. A failed job explains itself in logs/STAGE/ITEM.log; "
        "the same command goes on from here."
    )
