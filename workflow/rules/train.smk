rule train:
    # One training stage; stages learn from real pictures, so none waits for another. What it needs to resume is
    # in a run folder that Snakemake does not own, because declared outputs are deleted before a retry.
    input:
        pairs="<results>/pairs/pairs.parquet",
        packs=wiring.packs(checkpoints, "safetensors"),
        tables=wiring.packs(checkpoints, "parquet"),
    output:
        weights="<results>/train/{stage}/weights.safetensors",
        summary="<results>/train/{stage}/summary.json",
    log:
        "<results>/logs/train/{stage}.log",
    benchmark:
        "<results>/logs/train/{stage}.benchmark.tsv"
    params:
        cfg=wiring.stage_settings,
        code=wiring.code("train"),
        env=wiring.environment("train"),
        tryon=wiring.start_training,
        config=wiring.config,
        results=wiring.into,
    threads: wiring.training_threads
    resources:
        **wiring.training_resources(),
    conda:
        wiring.conda("train")
    shell:
        "{params.tryon} train --config {params.config} --stage {wildcards.stage}"
        " --pairs {input.pairs} --pack {input.packs} --results {params.results}"
        " --weights {output.weights} --summary {output.summary}"
        # a scheduler's or a terminal's signal goes to tee too, whose end would stop the trainer before it has saved
        " 2>&1 | (trap '' INT TERM USR1; exec tee {log})"
