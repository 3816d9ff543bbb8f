rule report:
    # One self-contained page of all of it.
    input:
        manifest="<results>/dataset/manifest.parquet",
        quarantine=[
            "<results>/dataset/quarantine.csv",
            "<results>/pairs/quarantine.csv",
        ],
        repairs="<results>/dataset/repairs.csv",
        pairs="<results>/pairs/pairs.parquet",
        leaks="<results>/pairs/leaks.csv",
        tables=wiring.packs(checkpoints, "parquet"),
        summaries=expand("<results>/train/{stage}/summary.json", stage=wiring.cfg.used_stages),
        metrics="<results>/evaluate/metrics.parquet",
        summary="<results>/evaluate/summary.json",
    output:
        page=report("<results>/report/index.html", caption="../report/report.rst", category="Results"),
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/logs/report.benchmark.tsv"
    params:
        cfg=wiring.settings("report"),
        code=wiring.code("report"),
        env=wiring.environment("report"),
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: 1
    resources:
        **wiring.resources(mem_mb=4000, runtime=30),
    conda:
        "../../envs/evaluation.yaml"
    shell:
        "{params.tryon} report --config {params.config} --data {params.data} --results {params.results}"
        " --out {output.page}"
        " 2>&1 | tee {log}"
