rule pack:
    # Everything that a trainer reads of one shard's photos, at every training size.
    input:
        shard="<results>/pairs/shards/{key}.tsv",
        masks="<results>/masks/{key}.parquet",
        keypoints="<results>/keypoints/{key}.parquet",
        cutouts=wiring.cutouts,
    output:
        pack="<results>/pack/{key}.safetensors",
        table="<results>/pack/{key}.parquet",
    log:
        "<results>/logs/pack/{key}.log",
    benchmark:
        "<results>/logs/pack/{key}.benchmark.tsv"
    params:
        cfg=wiring.settings("pack"),
        code=wiring.code("pack"),
        env=wiring.environment("pack"),
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: 1
    resources:
        **wiring.resources(mem_mb=4000, runtime=60),
    conda:
        "../../envs/data.yaml"
    shell:
        "{params.tryon} pack --config {params.config} --shard {input.shard}"
        " --data {params.data} --results {params.results}"
        " --masks {input.masks} --keypoints {input.keypoints} --cutouts {input.cutouts}"
        " --out {output.pack} --table {output.table}"
        " 2>&1 | tee {log}"
