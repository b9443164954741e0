rule pretrain:
    input:
        graph.inputs("pretrain"),
    output:
        graph.outputs("pretrain"),
    log:
        "logs/pretrain/{item}.log",
    threads: 1
    shell:
        graph.repro("pretrain")


# One thread per run on a CPU: two runs side by side are as fast as one on two threads, and sums are
# bit-equal only for equal thread counts. On a GPU machine: `--set-threads train=8` feeds the loader.
rule train:
    input:
        graph.inputs("train"),
    output:
        graph.outputs("train"),
    log:
        "logs/train/{item}.log",
    threads: 1
    resources:
        gpu=gpus_per_job(),
    shell:
        graph.repro("train")


rule evaluate:
    input:
        graph.inputs("evaluate"),
    output:
        graph.outputs("evaluate"),
    log:
        "logs/evaluate/{item}.log",
    threads: 1
    resources:
        gpu=gpus_per_job(),
    shell:
        graph.repro("evaluate")
