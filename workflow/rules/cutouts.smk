rule cutouts:
    # Garment cut-outs and clothing-agnostic persons of one shard by segment-anything.
    input:
        shard="<results>/pairs/shards/{key}.tsv",
        masks="<results>/masks/{key}.parquet",
        keypoints="<results>/keypoints/{key}.parquet",
    output:
        table="<results>/cutouts/{key}.parquet",
    log:
        "<results>/logs/cutouts/{key}.log",
    benchmark:
        "<results>/logs/cutouts/{key}.benchmark.tsv"
    params:
        cfg=wiring.settings("cutouts"),
        code=wiring.code("cutouts"),
        env=wiring.environment("cutouts"),
        weights=wiring.weights("cutouts.checkpoint"),
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: 1
    resources:
        **wiring.resources(mem_mb=8000, runtime=60, gpu=wiring.gpus("cutouts")),
    conda:
        "../../envs/segmentation.yaml"
    shell:
        "{params.tryon} cutouts --config {params.config} --shard {input.shard}"
        " --data {params.data} --results {params.results}"
        " --masks {input.masks} --keypoints {input.keypoints} --out {output.table}"
        " 2>&1 | tee {log}"
