"""Rows of ablations: what is named becomes configurations, mistakes are told, and nothing common is doubled."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
import yaml

from tryon import config
from tryon.errors import UserError
from tryon.evaluation.metrics import METRICS
from tryon.variants import MAX_ROWS, Variants

STAGES: dict[str, Any] = {
    "base": {"kind": "parallel_unet", "size": [64, 48]},
    "up": {"kind": "parallel_unet_sr", "size": [128, 96], "low_size": [64, 48]},
    "rival": {"kind": "parallel_unet", "size": [64, 48], "diffusion": {"schedule": "linear"}},
    "direct": {"kind": "regression", "size": [64, 48]},
}
BASE: dict[str, Any] = {
    "stages": STAGES,
    "cascade": ["base", "up"],
    "references": ["direct"],
    "sample": {"guidance": 1},
}
GRID = {"vary": {"sample.guidance": [1, 1.5, 2], "sample.sampler": ["ddim", "dpmpp"]}}


def parsed(**ablations: Any) -> config.Config:
    return config.parse({**copy.deepcopy(BASE), "ablations": ablations}, source="my.yaml")


def mistakes(**ablation: Any) -> str:
    with pytest.raises(UserError) as caught:
        parsed(mine=ablation)
    return str(caught.value)


def test_every_combination_is_a_row_named_by_what_it_sets() -> None:
    rows = parsed(guidance=GRID).ablation_rows["guidance"]
    assert list(rows) == [
        "guidance 1, sampler ddim", "guidance 1, sampler dpmpp", "guidance 1.5, sampler ddim",
        "guidance 1.5, sampler dpmpp", "guidance 2, sampler ddim", "guidance 2, sampler dpmpp",
    ]  # fmt: skip
    last = rows["guidance 2, sampler dpmpp"]
    assert (last.sample.guidance, last.sample.sampler) == (2, "dpmpp")
    assert (last.references, last.ablations) == ([], {})


def test_paths_of_one_last_word_are_told_apart_in_the_names() -> None:
    vary = {"stages.base.train.lr": [0.1], "stages.up.train.lr": [0.2], "sample.guidance_interval": [[0, 0.5]]}
    (name,) = parsed(mine={"vary": vary}).ablation_rows["mine"]
    assert name == "base.train.lr 0.1, up.train.lr 0.2, guidance_interval 0–0.5"


def test_named_rows_follow_and_an_empty_one_is_the_run_itself() -> None:
    rows = {"as it is": {}, "the other": {"cascade": ["rival", "up"]}}
    cfg = parsed(mine={"vary": {"sample.num_steps": [7]}, "rows": rows})
    assert list(cfg.ablation_rows["mine"]) == ["num_steps 7", "as it is", "the other"]
    assert Variants(cfg, cfg.ablation_rows).row(cfg.ablation_rows["mine"]["as it is"]) == "."


def test_a_rows_setting_for_all_stages_reaches_those_with_settings_of_their_own() -> None:
    """A stage's sampling settings inherit from those for all, also from a row's."""
    values = {**BASE, "sample": {"guidance": 1, "stages": {"up": {"num_steps": 3}}}}
    cfg = config.parse({**values, "ablations": {"mine": {"vary": {"sample.guidance": [2]}}}})
    sampled = cfg.ablation_rows["mine"]["guidance 2"].sample.of_stage("up")
    assert (sampled.guidance, sampled.num_steps) == (2, 3)


def test_a_row_changes_the_stage_that_it_names_and_none_that_shares_its_yaml_anchor() -> None:
    text = """
      stages:
        base: {kind: parallel_unet, size: [64, 48], train: &train {lr: 0.1}}
        rival: {kind: parallel_unet, size: [64, 48], train: *train}
      cascade: [base]
      ablations: {mine: {rows: {fast: {stages.base.train.lr: 0.5}}}}
    """
    row = config.parse(yaml.safe_load(text)).ablation_rows["mine"]["fast"]
    assert (row.stages["base"].train.lr, row.stages["rival"].train.lr) == (0.5, 0.1)


def test_sampling_settings_share_all_weights_and_a_training_setting_changes_its_stage_alone() -> None:
    rows = {"sampler": {"sample.sampler": "dpmpp"}, "shift": {"stages.base.diffusion.shift": 3}}
    cfg = parsed(mine={"rows": rows})
    variants = Variants(cfg, cfg.ablation_rows)
    sampler, shifted = cfg.ablation_rows["mine"].values()
    assert [variants.train(sampler, stage) for stage in sampler.cascade] == ["train/base", "train/up"]
    assert variants.train(shifted, "up") == "train/up"
    assert variants.train(shifted, "base").startswith("variants/train/base-")
    assert {variants.pack(row) for row in (sampler, shifted)} == {"pack"}
    assert {variants.cutouts(row) for row in (sampler, shifted)} == {"cutouts"}


def test_another_agnostic_rule_is_cut_packed_and_trained_anew_and_its_rows_share_that() -> None:
    vary = {"cutouts.agnostic": ["limbs", "ootd"], "sample.guidance": [1, 2]}
    cfg = parsed(mine={"vary": vary})
    variants, rows = Variants(cfg, cfg.ablation_rows), list(cfg.ablation_rows["mine"].values())
    of_rule = [{variants.train(row, stage) for row in rows[2:]} for stage in ("base", "up")]
    assert [len(folders) for folders in of_rule] == [1, 1]
    assert all(path.startswith("variants/train/") for folders in of_rule for path in folders)
    assert len({variants.pack(row) for row in rows[2:]} | {variants.cutouts(row) for row in rows[2:]}) == 2
    assert len({variants.row(row) for row in rows}) == 4
    for row in rows:  # a job finds the settings that its folder is named by
        name = variants.row(row).rpartition("/")[2]
        assert variants.of_job({} if name == "." else {"variant": name}).sample == row.sample


def test_a_machine_setting_leaves_a_row_where_it_is() -> None:
    rows = {"threads": {"sample.threads": 5, "stages.base.train.workers": 3}}
    cfg = parsed(mine={"rows": rows})
    assert Variants(cfg, cfg.ablation_rows).row(cfg.ablation_rows["mine"]["threads"]) == "."


def test_other_lists_are_sampled_apart() -> None:
    cfg = parsed(mine={"rows": {"run": {}}, "lists": ["val_unpaired"]})
    row = cfg.ablation_rows["mine"]["run"]
    assert row.sample.lists == ["val_unpaired"]
    assert Variants(cfg, cfg.ablation_rows).row(row).startswith("variants/rows/")


@pytest.mark.parametrize(
    ("ablation", "said"),
    [
        ({"vary": {"sample.gidance": [1, 2]}}, "mine: sample.gidance: no such setting (did you mean 'guidance'"),
        ({"vary": {"sample.guidance": []}}, "ablations.mine.vary.sample.guidance: List should have at least 1 item"),
        ({"vary": {"sample.guidance": [1, -1]}}, "ablations.mine: row 'guidance -1': sample.guidance: Input should be"),
        ({"vary": {"sample.num_steps": [5, 5000]}}, "row 'num_steps 5000': sample.num_steps 5000 is more than"),
        ({"vary": {"sample.guidance": [1, 1.0]}}, "ablations.mine: two rows are called 'guidance 1'"),
        ({"rows": {"a": {"sample.guidance": 3}, "b": {"sample.guidance": 3.0}}}, "rows 'a' and 'b' make the same"),
        ({"vary": {"sample.batch_size": [1, 2]}}, "they differ in no setting that shapes a result"),
        ({}, "ablations.mine: neither vary nor rows names anything to compare"),
        ({"vary": {"pairs.seed": [1, 2]}}, "ablations.mine: pairs.seed: rows are judged on the same photos"),
        ({"rows": {"a": {"sample.lists": ["val_paired"]}}}, "sample.lists: rows are judged"),
        ({"rows": {"a": {"stages.bass.train.lr": 1}}}, "stages.bass.train.lr: no such stage (known: base"),
        ({"rows": {"a": {"sample.guidance.x": 1}}}, "sample.guidance.x: sample.guidance is a value, no section"),
        ({"rows": {"a": {"sample": {"lists": ["val_paired"]}}}}, "sample: a whole section; name the settings that"),
        ({"rows": {"a": {"cascade": ["base"]}}}, "row 'a' makes pictures of 64x48, the run of 128x96"),
        ({"vary": {"sample.num_steps": list(range(MAX_ROWS + 2))}}, f"vary makes {MAX_ROWS + 2} rows, more than"),
        ({"rows": {"a": {}}, "metric": ["psnr"]}, "ablations.mine.metric: no such setting (did you mean 'metrics'?)"),
        ({"rows": {"a": {}}, "metrics": ["pnsr"]}, "ablations.mine.metrics.0: Input should be"),
        ({"rows": {"a": {}}, "lists": []}, "ablations.mine.lists: List should have at least 1 item"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(ablation: dict[str, Any], said: str) -> None:
    text = mistakes(**ablation)
    assert said in text
    assert "my.yaml: 1 mistake\n" in text


def test_mistakes_of_all_ablations_are_told_at_once() -> None:
    with pytest.raises(UserError, match="2 mistakes") as caught:
        parsed(one={}, two={"vary": {"sample.gidance": [1]}})
    assert "ablations.one: " in str(caught.value)
    assert "ablations.two: " in str(caught.value)


def test_every_metric_can_be_asked_for() -> None:
    assert set(get_args(config.ComparedMetric)) == {*(metric.name for metric in METRICS), "fid", "kid"}


def test_jobs_are_told_nothing_of_ablations() -> None:
    """So another row renames no file of settings, and a job validates no rows."""
    assert parsed(guidance=GRID).of_jobs.model_dump() == parsed().model_dump()
