rule evaluate:
    # Scores of every system and of the baselines, all computed the same way.
    input:
        pairs="<results>/pairs/pairs.parquet",
        packs=wiring.packs(checkpoints, "safetensors"),
        samples=expand("<results>/sample/{system}/index.parquet", system=wiring.systems),
    output:
        metrics="<results>/evaluate/metrics.parquet",
        protocols="<results>/evaluate/protocols.parquet",
        summary=report("<results>/evaluate/summary.json", caption="../report/summary.rst", category="Results"),
    log:
        "<results>/logs/evaluate.log",
    benchmark:
        "<results>/logs/evaluate.benchmark.tsv"
    params:
        cfg=wiring.settings("evaluate"),
        code=wiring.code("evaluate"),
        env=wiring.environment("evaluate"),
        weights=wiring.metric_weights,
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
        cache=wiring.cache,
    threads: wiring.cfg.evaluate.jobs
    resources:
        **wiring.resources(mem_mb=8000, runtime=120),
    conda:
        "../../envs/evaluation.yaml"
    shell:
        "{params.tryon} evaluate --config {params.config} --data {params.data} --results {params.results}"
        " --pairs {input.pairs} --packs {input.packs} --samples {input.samples}"
        " --out {output.metrics} --protocols {output.protocols} --summary {output.summary}"
        " 2>&1 | tee {log}"
