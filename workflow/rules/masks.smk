rule masks:
    # Annotations of one shard's photos to label maps.
    input:
        shard="<results>/pairs/shards/{key}.tsv",
    output:
        table="<results>/masks/{key}.parquet",
    log:
        "<results>/logs/masks/{key}.log",
    benchmark:
        "<results>/logs/masks/{key}.benchmark.tsv"
    params:
        cfg=wiring.settings("masks"),
        code=wiring.code("masks"),
        env=wiring.environment("masks"),
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: 1
    resources:
        **wiring.resources(mem_mb=2000, runtime=60),
    conda:
        "../../envs/data.yaml"
    shell:
        "{params.tryon} masks --config {params.config} --shard {input.shard}"
        " --data {params.data} --results {params.results}"
        " --out {output.table}"
        " 2>&1 | tee {log}"
