rule dataset:
    # One row per photo; photos that cannot be used go to the quarantine table, and what was
    # mended in others to repairs.csv.
    input:
        wiring.rendered,
    output:
        manifest="<results>/dataset/manifest.parquet",
        quarantine="<results>/dataset/quarantine.csv",
        repairs="<results>/dataset/repairs.csv",
    log:
        "<results>/logs/dataset.log",
    benchmark:
        "<results>/logs/dataset.benchmark.tsv"
    params:
        cfg=wiring.settings("dataset"),
        code=wiring.code("dataset"),
        env=wiring.environment("dataset"),
        raw=wiring.raw,
        data=wiring.data,
        tryon=wiring.tryon,
        config=wiring.config,
    threads: 2
    resources:
        **wiring.resources(mem_mb=2000, runtime=60),
    conda:
        "../../envs/data.yaml"
    shell:
        "{params.tryon} dataset --config {params.config} --data {params.data} --jobs {threads}"
        " --out {output.manifest} --quarantine {output.quarantine}"
        " 2>&1 | tee {log}"
