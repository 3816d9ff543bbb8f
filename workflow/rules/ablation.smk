rule ablation:
    # Rows of other settings side by side: a table, a plot and a page that holds both.
    input:
        metrics=wiring.of_rows("evaluate/metrics.parquet"),
        summaries=wiring.of_rows("evaluate/summary.json"),
        samples=wiring.of_rows("sample/cascade/index.parquet"),
        trainings=wiring.trainings_of_rows,
        pairs="<results>/pairs/pairs.parquet",
        packs=wiring.packs(checkpoints, "safetensors"),
    output:
        page=report("<results>/ablation/{ablation}/index.html", caption="../report/ablation.rst", category="Ablations"),
        table="<results>/ablation/{ablation}/table.csv",
        plot="<results>/ablation/{ablation}/plot.svg",
    log:
        "<results>/logs/ablation/{ablation}.log",
    benchmark:
        "<results>/logs/ablation/{ablation}.benchmark.tsv"
    params:
        cfg=wiring.ablation,
        code=wiring.code("ablation"),
        env=wiring.environment("ablation"),
        rows=wiring.rows_file,
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
        "{params.tryon} ablation --config {params.config} --rows {params.rows} --data {params.data}"
        " --results {params.results} --pairs {input.pairs} --packs {input.packs}"
        " --out {output.page} --table {output.table} --plot {output.plot}"
        " 2>&1 | tee {log}"
