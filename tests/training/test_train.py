"""The stage `train` from its command line, with the real networks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import rig
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from test_checkpoints import Bomb

from tryon import config as configuration
from tryon.errors import UserError
from tryon.evaluation.trained import read_trained
from tryon.files import read_json, sha256_file
from tryon.methods import make_stage
from tryon.training import train
from tryon.training.journal import read_metrics
from tryon.training.train import save_weights

ROOT = Path(__file__).resolve().parents[2]
NETWORK = {
    "channels": [8, 16],
    "blocks": [1, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "head_channels": 4,
    "stem_stride": 1,
    "embedding_channels": 16,
}
PLAIN = {**NETWORK, "cross_attention": [False, False], "stem_stride": 2, "embedding_channels": 128}  # defaults: unread
LOW = [size // 2 for size in rig.SIZE_HW]
KINDS: dict[str, dict[str, Any]] = {
    "parallel_unet": {},
    "regression": {},
    "parallel_unet_sr": {"low_size": LOW},
    "imagen_sr": {"low_size": LOW},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rig.write_data(folder)
    return folder


def real(data: Path, results: Path, kind: str, **train: Any) -> Namespace:
    """Arguments for a real network, small."""
    args = rig.arguments(data, results, **train)
    values = rig.settings(**train)
    values["stages"]["base"].update(kind=kind, network=PLAIN if kind == "imagen_sr" else NETWORK, **KINDS[kind])
    values["cascade"] = []
    if "low_size" in KINDS[kind]:  # a cascade starts with a first stage
        values["stages"]["first"] = {"kind": "parallel_unet", "size": LOW, "network": NETWORK}
        values["cascade"] = ["first"]
    values["cascade"] += ["base"]
    values["sample"] = {"num_steps": 2}
    args.config.write_text(json.dumps(values))
    return args


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_trains_stops_and_goes_on(kind: str, data: Path, tmp_path: Path) -> None:
    """Three steps, and the same three with a stop after each."""
    straight = real(data, tmp_path / "straight", kind, num_steps=3, val_every=3)
    rig.train_here(straight, make_stage)
    cut = real(data, tmp_path / "cut", kind, num_steps=3, val_every=3, budget_s=0.0)
    for _ in range(2):
        with pytest.raises(Exception, match="time budget used up"):
            rig.train_here(cut, make_stage)
    rig.train_here(cut, make_stage)
    assert cut.weights.read_bytes() == straight.weights.read_bytes()
    fresh = make_stage("base", configuration.load(straight.config)).build().state_dict()
    assert load_file(straight.weights).keys() == fresh.keys()
    assert (straight.results / "run/samples/step-00000003.png").exists()


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_parameter_gets_a_gradient(kind: str, data: Path, tmp_path: Path) -> None:
    """DistributedDataParallel waits for ever for a parameter that takes no part in the loss."""
    from tryon.packed import PackedPhotos
    from tryon.training.feed import TrainFeed
    from tryon.training.train import read_data

    args = real(data, tmp_path, kind)
    stage = make_stage("base", configuration.load(args.config))
    found = read_data(stage, args.pairs, PackedPhotos(args.pack))
    (_, (batch,)) = next(iter(TrainFeed(found.train, found.photos, stage.cfg.train).steps(0, 1)))
    network = stage.build()
    loss_B = stage.loss_B(network, batch.target_B3HW, batch.conditions, batch.seeds_B, condition_dropout=True)
    loss_B.sum().backward()
    assert [
        name for name, parameter in network.named_parameters() if parameter.requires_grad and parameter.grad is None
    ] == []


def test_results_say_what_they_are(data: Path, tmp_path: Path) -> None:
    args = real(data, tmp_path, "regression", num_steps=2)
    args.run_dir = None
    rig.train_here(args, make_stage)
    summary = read_json(args.summary)
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert summary["run_dir"] == f"runs/{run_dir.name}"
    assert run_dir.name.startswith("base-")
    assert summary["weights_sha256"] == sha256_file(args.weights)
    assert (summary["num_train_pairs"], summary["num_val_pairs"], summary["step"]) == (7, 3, 2)
    assert summary["val_loss"] == read_metrics(run_dir, "val")[-1]["loss"]
    weights = load_file(args.weights)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    average = load_file(run_dir / "checkpoints/step-00000002/average.safetensors")
    assert all(torch.equal(weights[name], average[name]) for name in average)
    with safe_open(args.weights, framework="pt") as file:
        metadata = file.metadata()
    assert (metadata["stage"], metadata["kind"], metadata["agnostic"]) == ("base", "regression", "limbs")
    assert int(metadata["num_params"]) == sum(tensor.numel() for tensor in weights.values())
    provenance = read_json(f"{args.weights}.provenance.json")
    assert provenance["inputs"] == {"data": summary["data_digest"]}


def test_sampling_accepts_the_weights_and_refuses_them_under_other_settings(data: Path, tmp_path: Path) -> None:
    args = real(data, tmp_path, "parallel_unet", num_steps=1)
    rig.train_here(args, make_stage)
    config = configuration.load(args.config)
    (trained,) = read_trained(config, ["base"], [args.weights], "limbs")
    assert not trained.network(torch.device("cpu")).training
    values = json.loads(args.config.read_text())
    values["stages"]["base"]["diffusion"] = {"shift": 2.0}
    with pytest.raises(UserError, match="trained with other settings"):
        read_trained(configuration.parse(values), ["base"], [args.weights], "limbs")


def test_photos_packed_by_another_agnostic_rule_are_refused(tmp_path: Path) -> None:
    rig.write_data(tmp_path, agnostic="hr_viton")
    args = rig.arguments(tmp_path, tmp_path, num_steps=1)
    with pytest.raises(UserError, match="regions of the rule 'hr_viton', but cutouts.agnostic is 'limbs'; run the"):
        rig.train_here(args)
    assert not (tmp_path / "run").exists()


def test_weights_remember_their_agnostic_rule_and_serve_no_other(tmp_path: Path) -> None:
    rig.write_data(tmp_path, agnostic="hr_viton")
    args = rig.arguments(tmp_path, tmp_path, num_steps=1)
    args.config.write_text(json.dumps({**json.loads(args.config.read_text()), "cutouts": {"agnostic": "hr_viton"}}))
    rig.train_here(args)
    config = configuration.load(args.config)
    assert read_json(args.summary)["agnostic"] == "hr_viton"
    assert read_trained(config, ["base"], [args.weights], "hr_viton")
    with pytest.raises(
        UserError, match="trained for regions of rule 'hr_viton', but these photos are packed with 'sam'"
    ):
        read_trained(config, ["base"], [args.weights], "sam")


def test_weights_remember_their_keypoints_and_serve_no_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CONVENTION", "openpose_18")  # an earlier version of the project, say
    args = rig.arguments(data, tmp_path, num_steps=1)
    rig.train_here(args)
    assert read_json(args.summary)["keypoints"] == "openpose_18"
    with pytest.raises(UserError, match=r"trained on keypoints of the set 'openpose_18', but photos .* 'coco_17'"):
        read_trained(configuration.load(args.config), ["base"], [args.weights], "limbs")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.ckpt"])
def test_a_pickle_given_as_weights_is_not_opened(name: str, data: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path)
    mark = tmp_path / "the code in the pickle ran"
    torch.save({"w": Bomb(mark)}, tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: not a safetensors file, and nothing else is opened"):
        read_trained(configuration.load(args.config), ["base"], [tmp_path / name], "limbs")
    assert not mark.exists()


def test_a_disk_that_is_full_at_the_end_leaves_a_finished_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = rig.arguments(data, tmp_path, num_steps=2)

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patched:
        patched.setattr(train, "save_file", full)
        with pytest.raises(UserError, match=r"no space left for .*weights.safetensors .* is finished and whole: free"):
            rig.train_here(args)
    rig.train_here(args)
    assert args.weights.exists()
    events = [json.loads(line)["event"] for line in (args.run_dir / "events.jsonl").read_text().splitlines()]
    assert events.count("finished") == 1


def test_run_directories_follow_science_and_not_the_machine(data: Path, tmp_path: Path) -> None:
    def run_dirs() -> int:
        return len(list((tmp_path / "runs").iterdir()))

    def train_with(**train: Any) -> None:
        args = rig.arguments(data, tmp_path, num_steps=1, **train)
        args.run_dir = None
        rig.train_here(args)

    train_with()
    train_with(checkpoint_every=7, log_every=3, keep_checkpoints=5, val_pairs=2, workers=1)
    assert run_dirs() == 1
    train_with(lr=2e-2)
    assert run_dirs() == 2
    rig.write_data(tmp_path / "other", white_person=0)
    args = rig.arguments(tmp_path / "other", tmp_path, num_steps=1)
    args.run_dir = None
    rig.train_here(args)
    assert run_dirs() == 3


def command(args: Namespace) -> list[str]:
    flags = ["config", "stage", "pairs", "results", "run_dir", "weights", "summary"]
    pairs = [text for flag in flags for text in (f"--{flag.replace('_', '-')}", str(getattr(args, flag)))]
    return [sys.executable, "-m", "tryon.cli", "train", *pairs, "--pack", *map(str, args.pack)]


def start(args: Namespace) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command(args), cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_the_command_survives_a_kill(data: Path, tmp_path: Path) -> None:
    """`tryon train`, killed by -9 while it trains, then the same command: the weights of an undisturbed run."""
    args = real(data, tmp_path / "killed", "regression", num_steps=30, checkpoint_every=2, val_every=1000)
    killed = start(args)
    while killed.poll() is None and len(read_metrics(tmp_path / "killed/run", "train")) < 5:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    _, shown = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, shown
    again = start(args)
    _, shown = again.communicate(timeout=120)
    assert again.returncode == 0, shown
    assert "base: resumed: step" in shown
    undisturbed = real(data, tmp_path / "straight", "regression", num_steps=30, checkpoint_every=7, val_every=1000)
    rig.train_here(undisturbed, make_stage)
    assert args.weights.read_bytes() == undisturbed.weights.read_bytes()


def test_mistakes_are_answered_in_a_sentence(data: Path, tmp_path: Path) -> None:
    args = rig.arguments(data, tmp_path)
    args.stage = "bass"
    with pytest.raises(UserError, match=r"no stage 'bass' in stages \(did you mean 'base'\?\)"):
        rig.train_here(args)
    args = rig.arguments(data, tmp_path, batch_size=3, accumulation=4)
    with pytest.raises(UserError, match=r"batch_size 3 cannot be shared"):
        rig.train_here(args)


def test_too_much_quarantine_stops_before_the_first_step_with_every_reason(data: Path, tmp_path: Path) -> None:
    import pandas as pd

    args = rig.arguments(data, tmp_path)
    args.pack = [Path(shutil.copy(path, tmp_path)) for path in args.pack]
    for pack in args.pack:
        table = pd.read_parquet(data / "pack" / pack.with_suffix(".parquet").name).astype(object)
        table.iloc[-3:, 1:] = ["quarantined", "keypoints", "nobody found"]
        table.to_parquet(pack.with_suffix(".parquet"))
    with pytest.raises(UserError, match=r"6 of \d+ photos cannot be used") as refused:
        rig.train_here(args)
    assert str(refused.value).count(": keypoints: nobody found") == 6
    assert not args.run_dir.exists()


def test_no_usable_pair_is_an_error_that_counts_them(data: Path, tmp_path: Path) -> None:
    import pandas as pd

    pairs = pd.read_parquet(data / "pairs.parquet")
    args = rig.arguments(data, tmp_path)
    args.pairs = tmp_path / "pairs.parquet"
    pairs.assign(garment="garment/quarantined").to_parquet(args.pairs)
    with pytest.raises(UserError, match=r"no train_paired pair has both photos .*\(7 pairs, all with a quarantined"):
        rig.train_here(args)


def test_skipped_pairs_and_missing_validation_are_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    pairs = pd.read_parquet(data / "pairs.parquet")
    pairs.loc[pairs["pair_id"] == "p2__p2", "person"] = "person/quarantined"
    args = rig.arguments(data, tmp_path, num_steps=1)
    args.pairs = tmp_path / "pairs.parquet"
    pairs[pairs["split"] == "train"].to_parquet(args.pairs)
    rig.train_here(args)
    shown = capsys.readouterr().err
    assert "base: skipped pairs: num 1, why a photo is quarantined" in shown
    assert "base: no validation: why the list val_paired is empty" in shown
    summary = read_json(args.summary)
    assert summary["skipped_pairs"] == ["p2__p2"]
    assert summary["val_loss"] is None


def test_weights_files_have_one_form(tmp_path: Path) -> None:
    """safetensors writes metadata in the random order of a hash table; ours must not."""
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, 2)}
    metadata = {f"key {i} ä": str(i) for i in range(12)}
    contents = set()
    for i in range(6):
        save_weights(tmp_path / f"{i}.safetensors", tensors, metadata)
        contents.add((tmp_path / f"{i}.safetensors").read_bytes())
    assert len(contents) == 1
    with safe_open(tmp_path / "0.safetensors", framework="pt") as file:
        assert file.metadata() == metadata
    assert all(torch.equal(load_file(tmp_path / "0.safetensors")[name], tensors[name]) for name in tensors)
