rule synthesize:
    input:
        graph.inputs("synthesize"),
    output:
        graph.outputs("synthesize"),
    log:
        "logs/synthesize/{item}.log",
    threads: 1
    shell:
        graph.repro("synthesize")


rule manifest:
    input:
        graph.inputs("manifest"),
    output:
        graph.outputs("manifest"),
    log:
        "logs/manifest/{item}.log",
    threads: 1
    shell:
        graph.repro("manifest")


rule member:
    input:
        graph.inputs("member"),
    output:
        graph.outputs("member"),
    log:
        "logs/member/{item}.log",
    threads: 1
    shell:
        graph.repro("member")


rule protocol:
    input:
        graph.inputs("protocol"),
    output:
        graph.outputs("protocol"),
    log:
        "logs/protocol/{item}.log",
    threads: 1
    shell:
        graph.repro("protocol")
