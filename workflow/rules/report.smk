rule report:
    input:
        graph.inputs("report"),
    output:
        graph.flagged("report"),
    log:
        "logs/report.log",
    threads: 1
    shell:
        graph.repro("report")
