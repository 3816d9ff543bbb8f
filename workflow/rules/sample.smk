rule sample:
    # The trained stages of one system chained into try-on pictures for every list.
    input:
        pairs="<results>/pairs/pairs.parquet",
        packs=wiring.packs(checkpoints, "safetensors"),
        tables=wiring.packs(checkpoints, "parquet"),
        weights=wiring.trained,
    output:
        index="<results>/sample/{system}/index.parquet",
    log:
        "<results>/logs/sample/{system}.log",
    benchmark:
        "<results>/logs/sample/{system}.benchmark.tsv"
    params:
        cfg=wiring.settings("sample"),
        code=wiring.code("sample"),
        env=wiring.environment("sample"),
        tryon=wiring.start_sampling,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: wiring.sampling_threads
    resources:
        **wiring.resources(mem_mb=16000, runtime=240, gpu=wiring.cfg.sample.gpus),
    conda:
        wiring.conda("sample")
    shell:
        "{params.tryon} sample --config {params.config} --system {wildcards.system} --data {params.data}"
        " --pairs {input.pairs} --packs {input.packs} --weights {input.weights}"
        " --results {params.results} --out {output.index}"
        " 2>&1 | tee {log}"
