rule studio:
    # Renders people, garments, annotations and true try-on pictures where `data` is null.
    output:
        marker="<results>/data/studio.json",
    log:
        "<results>/logs/studio.log",
    benchmark:
        "<results>/logs/studio.benchmark.tsv"
    params:
        cfg=wiring.settings("studio"),
        code=wiring.code("studio"),
        env=wiring.environment("studio"),
        data=wiring.data,
        tryon=wiring.tryon,
        config=wiring.config,
    threads: wiring.cfg.studio.jobs
    resources:
        **wiring.resources(mem_mb=4000, runtime=120),
    conda:
        "../../envs/data.yaml"
    shell:
        "{params.tryon} studio --config {params.config} --out {params.data}" " 2>&1 | tee {log}"
