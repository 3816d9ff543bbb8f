"""`tryon plan`: a table before the run, and a refusal that names the settings to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tryon import cli, config, plan
from tryon.gpus import GPUS

NETWORK = {
    "channels": [16, 32],
    "blocks": [1, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "head_channels": 16,
    "embedding_channels": 32,
}
HUGE = {**NETWORK, "channels": [2048, 16384], "head_channels": 64}


def settings(folder: Path, network: dict[str, Any] = NETWORK, **train: Any) -> Path:
    stages = {"base": {"kind": "parallel_unet", "size": [64, 48], "network": network, "train": train}}
    path = folder / "config.json"
    path.write_text(json.dumps({"stages": stages, "cascade": ["base"]}))
    return path


def planned(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert cli.main(["plan", "--config", str(path), "--json", *options]) in (0, 2)
    return json.loads(capsys.readouterr().out)


def test_the_sums_of_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = settings(tmp_path, batch_size=16, num_steps=1000, gpus=2, accumulation=2, keep_checkpoints=3)
    whole = planned(path, capsys, "--gpu", "a100", "--mfu", "0.5")
    (stage,) = whole["stages"]
    assert (stage["processes"], stage["micro_batch"], stage["fits"]) == (2, 4, True)
    weights = 4 * stage["num_params"]
    assert (stage["weights_bytes"], stage["optimizer_bytes"], stage["average_bytes"]) == (weights, 2 * weights, weights)
    parts = ("weights", "gradients", "optimizer", "average", "exchange", "activations")
    assert stage["total_bytes"] == sum(stage[f"{part}_bytes"] for part in parts)
    assert stage["checkpoint_bytes"] == 4 * weights
    kept = ("three newest", "the best", "one that is being written")
    assert stage["disk_bytes"] == (2 + len(kept)) * stage["checkpoint_bytes"] + weights
    peak = GPUS["a100"].single_tflops * 1e12
    assert stage["gpu_hours"] == pytest.approx(1000 * stage["flops_per_step"] / (0.5 * peak) / 3600)
    assert whole["total"]["gpu_hours"] == stage["gpu_hours"]


def test_a_stage_that_does_not_fit_is_refused_with_the_settings_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings(tmp_path, batch_size=40_000)
    assert cli.main(["plan", "--config", str(path), "--gpu", "a10"]) == 2
    said = capsys.readouterr()
    assert "NO" in said.out
    assert "stages.base needs" in said.err
    assert "train.gradient_checkpointing: true" in said.err
    (parts,) = [int(word) for word in said.err.partition("train.accumulation ")[2].split()[:1]]
    path = settings(tmp_path, batch_size=40_000, accumulation=parts)
    assert cli.main(["plan", "--config", str(path), "--gpu", "a10"]) == 0, "the advice is followed"


def test_weights_that_do_not_fit_ask_for_another_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--config", str(settings(tmp_path, HUGE)), "--gpu", "a10"]) == 2
    assert "weights and optimizer alone do not fit" in capsys.readouterr().err


def test_under_fsdp_processes_share_what_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ddp,) = planned(settings(tmp_path, batch_size=16, gpus=4), capsys)["stages"]
    (fsdp,) = planned(settings(tmp_path, batch_size=16, gpus=4, strategy="fsdp"), capsys)["stages"]
    for part in ("weights", "gradients", "optimizer", "average"):
        assert ddp[f"{part}_bytes"] == 4 * fsdp[f"{part}_bytes"], part
    assert fsdp["exchange_bytes"] == 2 * ddp["weights_bytes"], "no block is so large that it is gathered by itself"
    assert fsdp["activations_bytes"] >= ddp["activations_bytes"]
    assert fsdp["gpu_hours"] == ddp["gpu_hours"]


def test_under_dp_one_process_shares_each_part_of_a_batch_among_its_gpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings(tmp_path, batch_size=18, gpus=4, accumulation=2, strategy="dp")
    (stage,) = planned(path, capsys)["stages"]
    assert (stage["num_gpus"], stage["processes"], stage["micro_batch"]) == (4, 1, 3)
    assert stage["exchange_bytes"] == stage["weights_bytes"] == 4 * stage["num_params"]


def test_weights_that_do_not_fit_on_each_of_several_gpus_ask_for_fsdp(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plan", "--config", str(settings(tmp_path, HUGE, gpus=4)), "--gpu", "a10"]) == 2
    assert "train.strategy: fsdp (the GPUs share" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("train", "most"),
    [
        ({"num_steps": 1000, "checkpoint_every": 100, "keep_checkpoints": 2}, 3),
        ({"num_steps": 100, "checkpoint_every": 100, "keep_checkpoints": 5}, 2),
        ({"num_steps": 1000, "checkpoint_every": 100, "keep_checkpoints": 2, "milestone_every": 300}, 5),
        ({"num_steps": 1000, "checkpoint_every": 100, "keep_checkpoints": 2, "milestone_every": 500}, 4),
        ({"num_steps": 1000, "checkpoint_every": 400, "val_every": 300, "milestone_every": 300}, 6),
    ],
)
def test_the_disk_holds_the_newest_the_best_and_milestones(train: dict[str, int], most: int) -> None:
    assert plan.most_checkpoints(config.TrainConfig(**train)) == most


def test_half_precision_is_faster_and_smaller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (single,) = planned(settings(tmp_path), capsys)["stages"]
    (half,) = planned(settings(tmp_path, precision="bf16"), capsys)["stages"]
    ratio = GPUS["h200"].half_tflops / GPUS["h200"].single_tflops
    assert single["gpu_hours"] == pytest.approx(ratio * half["gpu_hours"])
    assert half["activations_bytes"] < single["activations_bytes"]
    (scaled,) = planned(settings(tmp_path, precision="fp16"), capsys)["stages"]
    assert scaled == half


def test_the_order_of_pictures_changes_no_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan counts on a CPU, whose own products for channels last are no GPU's."""
    assert planned(settings(tmp_path, channels_last=True), capsys) == planned(settings(tmp_path), capsys)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--gpu", "h20"], "no such GPU (did you mean 'h200'?)"),
        (["--mfu", "35"], "--mfu 35: a share of the peak rate"),
        (["--stage", "bas"], "no stage 'bas' in stages (did you mean 'base'?)"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    assert cli.main(["plan", "--config", str(settings(tmp_path)), *options]) == 2
    assert told in capsys.readouterr().err


def test_a_batch_that_cannot_be_shared_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--config", str(settings(tmp_path, batch_size=6, gpus=4))]) == 2
    assert "batch_size 6 cannot be shared by 4 processes" in capsys.readouterr().err


def test_bf16_on_a_gpu_without_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--config", str(settings(tmp_path, precision="bf16")), "--gpu", "v100"]) == 2
    assert "bf16, which this GPU has not; set fp16" in capsys.readouterr().err
    assert cli.main(["plan", "--config", str(settings(tmp_path, precision="fp16")), "--gpu", "v100"]) == 0


def test_the_gpu_of_the_cluster_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = settings(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cluster": {"gpu_model": "A100"}}))
    assert planned(path, capsys)["gpu"] == "a100"


def test_the_preset_for_one_h200_costs_what_it_and_the_manual_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Its base stage alone: all three take most of a minute."""
    preset = Path(__file__).resolve().parents[1] / "config" / "presets" / "h200.yaml"
    (base,) = planned(preset, capsys, "--gpu", "h200", "--stage", "base")["stages"]
    assert base["fits"]
    head = preset.read_text().replace("\n# ", " ")
    assert f"says (2026-11-21): {base['total_bytes'] / plan.GIB:.0f}, " in head
    assert f"{base['gpu_hours']:.0f} + 28 + 12" in head
    assert f"{base['gpu_hours']:.0f} + 28 + 12" in (preset.parents[2] / "docs" / "training.md").read_text()


def test_a_plan_reads_every_attribute_from_the_settings(tmp_path: Path) -> None:
    cfg = config.load(settings(tmp_path, num_steps=7, batch_size=2))
    made = plan.plan_stage(cfg, "base", GPUS["h200"], 0.35)
    assert made.steps == 7
    assert made.micro_batch == 2
    assert made.flops_per_step == made.executed_flops_per_step > 2 * made.forward_flops_per_sample
