rule keypoints:
    # COCO keypoints of one shard's photos by mmpose.
    input:
        shard="<results>/pairs/shards/{key}.tsv",
        masks="<results>/masks/{key}.parquet",
    output:
        table="<results>/keypoints/{key}.parquet",
    log:
        "<results>/logs/keypoints/{key}.log",
    benchmark:
        "<results>/logs/keypoints/{key}.benchmark.tsv"
    params:
        cfg=wiring.settings("keypoints"),
        code=wiring.code("keypoints"),
        env=wiring.environment("keypoints"),
        weights=wiring.weights("keypoints.config", "keypoints.checkpoint"),
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: 1
    resources:
        **wiring.resources(mem_mb=4000, runtime=60, gpu=wiring.gpus("keypoints")),
    conda:
        "../../envs/pose.yaml"
    shell:
        "{params.tryon} keypoints --config {params.config} --shard {input.shard}"
        " --data {params.data} --results {params.results}"
        " --masks {input.masks} --out {output.table}"
        " 2>&1 | tee {log}"
