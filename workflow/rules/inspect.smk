rule inspect:
    # One page of the data; as a target it prepares a data folder without training anything.
    input:
        manifest="<results>/dataset/manifest.parquet",
        quarantine=[
            "<results>/dataset/quarantine.csv",
            "<results>/pairs/quarantine.csv",
        ],
        pairs="<results>/pairs/pairs.parquet",
        repairs="<results>/dataset/repairs.csv",
        leaks="<results>/pairs/leaks.csv",
        packs=wiring.packs(checkpoints, "safetensors"),
        tables=wiring.packs(checkpoints, "parquet"),
    output:
        page=report("<results>/inspect/data.html", caption="../report/inspect.rst", category="Data"),
    log:
        "<results>/logs/inspect.log",
    benchmark:
        "<results>/logs/inspect.benchmark.tsv"
    params:
        cfg=wiring.settings("inspect"),
        code=wiring.code("inspect"),
        env=wiring.environment("inspect"),
        tryon=wiring.tryon,
        config=wiring.config,
        data=wiring.data,
        results=wiring.into,
    threads: 1
    resources:
        **wiring.resources(mem_mb=4000, runtime=30),
    conda:
        "../../envs/evaluation.yaml"
    shell:
        "{params.tryon} inspect --config {params.config} --data {params.data} --results {params.results}"
        " --out {output.page}"
        " 2>&1 | tee {log}"
