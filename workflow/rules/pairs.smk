checkpoint pairs:
    # Pairs, splits and content-named shards: a checkpoint, because their names are not known before.
    input:
        manifest="<results>/dataset/manifest.parquet",
    output:
        pairs="<results>/pairs/pairs.parquet",
        quarantine="<results>/pairs/quarantine.csv",
        leaks="<results>/pairs/leaks.csv",
        shards="<results>/pairs/shards.txt",
        folder=directory("<results>/pairs/shards"),
    log:
        "<results>/logs/pairs.log",
    benchmark:
        "<results>/logs/pairs.benchmark.tsv"
    params:
        cfg=wiring.settings("pairs"),
        code=wiring.code("pairs"),
        env=wiring.environment("pairs"),
        raw=wiring.raw,
        data=wiring.data,
        results=wiring.into,
        tryon=wiring.tryon,
        config=wiring.config,
    threads: 1
    resources:
        **wiring.resources(mem_mb=2000, runtime=30),
    conda:
        "../../envs/data.yaml"
    shell:
        "{params.tryon} pairs --config {params.config} --manifest {input.manifest} --data {params.data}"
        " --out-dir {params.results}/pairs"
        " 2>&1 | tee {log}"
