# What rows of ablations do not share with the run: its own rules, for other settings and into other folders. Which files
# a row shares says tryon/variants.py. As deep as rules/, because inherited paths of environments start here.
use rule cutouts as variant_cutouts with:
    output:
        table="<results>/variants/cutouts/{cutting}/{key}.parquet",
    log:
        "<results>/logs/variants/cutouts/{cutting}/{key}.log",
    benchmark:
        "<results>/logs/variants/cutouts/{cutting}/{key}.benchmark.tsv"
    params:
        cfg=wiring.settings_of_row("cutouts"),


use rule pack as variant_pack with:
    output:
        pack="<results>/variants/pack/{packing}/{key}.safetensors",
        table="<results>/variants/pack/{packing}/{key}.parquet",
    log:
        "<results>/logs/variants/pack/{packing}/{key}.log",
    benchmark:
        "<results>/logs/variants/pack/{packing}/{key}.benchmark.tsv"
    params:
        cfg=wiring.settings_of_row("pack"),


use rule train as variant_train with:
    output:
        weights="<results>/variants/train/{stage}-{training}/weights.safetensors",
        summary="<results>/variants/train/{stage}-{training}/summary.json",
    log:
        "<results>/logs/variants/train/{stage}-{training}.log",
    benchmark:
        "<results>/logs/variants/train/{stage}-{training}.benchmark.tsv"


use rule sample as variant_sample with:
    output:
        index="<results>/variants/rows/{variant}/sample/{system}/index.parquet",
    log:
        "<results>/logs/variants/sample/{variant}/{system}.log",
    benchmark:
        "<results>/logs/variants/sample/{variant}/{system}.benchmark.tsv"
    params:
        cfg=wiring.settings_of_row("sample"),
        results=wiring.into_row,


use rule evaluate as variant_evaluate with:
    input:
        pairs="<results>/pairs/pairs.parquet",
        packs=wiring.packs(checkpoints, "safetensors"),
        samples="<results>/variants/rows/{variant}/sample/cascade/index.parquet",
    output:
        metrics="<results>/variants/rows/{variant}/evaluate/metrics.parquet",
        protocols="<results>/variants/rows/{variant}/evaluate/protocols.parquet",
        summary="<results>/variants/rows/{variant}/evaluate/summary.json",
    log:
        "<results>/logs/variants/evaluate/{variant}.log",
    benchmark:
        "<results>/logs/variants/evaluate/{variant}.benchmark.tsv"
    params:
        results=wiring.into_row,
