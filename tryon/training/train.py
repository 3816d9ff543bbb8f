r"""Train one stage of a method; run the same command again to go on where it stopped.

    tryon train --config config.yaml --stage base --pairs results/pairs/pairs.parquet \
        --pack results/pack/*.safetensors --results results \
        --weights results/train/base/weights.safetensors --summary results/train/base/summary.json
    torchrun --nproc-per-node 8 -m tryon.cli train …    (or accelerate launch): the same run on 8 processes

Everything that changes during training lives in a run directory, RESULTS/runs/STAGE-DIGEST, which Snakemake
does not own (it deletes declared outputs before a retry). DIGEST covers the stage's settings, the training data,
the agnostic rule that made its regions, the set of its keypoints and the code, so a change of any of them starts
afresh and a change back finds its old run. The declared outputs are the averaged weights, float32, and a summary
that holds no times.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from safetensors.torch import save_file

from tryon import config as configuration
from tryon import files
from tryon.config import Config
from tryon.digests import code_digest, config_digest, digest
from tryon.environments import environment_digest
from tryon.errors import UserError
from tryon.keypoints import CONVENTION
from tryon.leash import PATIENCE
from tryon.methods import make_stage
from tryon.methods.interface import Stage, num_params
from tryon.packed import PackedPhotos, check_quarantined, tables_beside
from tryon.provenance import write_provenance
from tryon.training import trackers
from tryon.training.checkpoints import Checkpoints, RunLock, full_disk_is_an_os_error
from tryon.training.feed import CanvasPhotos, Pair, TrainFeed, data_digest, read_pairs
from tryon.training.journal import Journal
from tryon.training.loop import Run, Trainer, fit
from tryon.training.parallel import check_strategy
from tryon.training.validation import Validation

MODULE = "tryon.training.train"


@dataclass(frozen=True)
class Data:
    """What one stage learns from and is validated on."""

    train: list[Pair]
    val: list[Pair]
    skipped: list[str]
    photos: CanvasPhotos
    agnostic: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tryon train`."""
    parser.add_argument("--config", type=Path, required=True, help="YAML or JSON configuration")
    parser.add_argument("--stage", required=True, help="name of the stage, a key of `stages`")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs.parquet")
    parser.add_argument("--pack", type=Path, nargs="+", required=True, help="packed photos, pack/*.safetensors")
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--run-dir", type=Path, help="training state (default: RESULTS/runs/STAGE-DIGEST)")
    parser.add_argument("--weights", type=Path, required=True, help="where the trained weights go")
    parser.add_argument("--summary", type=Path, required=True, help="where the summary (JSON) goes")


def run(args: argparse.Namespace) -> None:
    """Train to the end and write weights and summary.

    Raises:
        UserError: settings or data that cannot be trained on.
        TryAgain: stopped by a signal or the time budget, and saved.
    """
    started = time.monotonic()
    config = configuration.load(args.config)
    if args.stage not in config.stages:
        known = configuration.nearest(args.stage, sorted(config.stages))
        raise UserError(f"{args.config}: no stage {args.stage!r} in stages{known}")
    check_quarantined(tables_beside(args.pack), config.max_quarantined)
    stage = make_stage(args.stage, config)
    accelerator = make_accelerator(stage)
    packed = PackedPhotos(args.pack)
    packed.refuse_other_rule(config.cutouts.agnostic)
    data = read_data(stage, args.pairs, packed)
    identity = {
        "settings": config_digest(stage.name, stage.cfg),
        "data": data_digest(data.train, data.photos),
        "cutouts.agnostic": data.agnostic,
        "keypoints": CONVENTION,
        "code": code_digest(MODULE),
        "environment": environment_digest("train", [stage.cfg.kind]),
    }
    run_dir = args.run_dir or args.results / "runs" / f"{stage.name}-{digest(identity)[:12]}"
    try:
        with RunLock(run_dir) if accelerator.is_main_process else nullcontext():
            validation = make_validation(config, stage, data)
            trainer = train(stage, data, validation, run_dir, identity, accelerator)
            try:
                write_results(args, trainer, data, validation, run_dir, identity)
            except OSError as error:
                if error.errno not in files.FULL:
                    raise
                raise UserError(
                    f"no space left for {args.weights} and {args.summary}; the run in {run_dir} is finished and whole: "
                    "free some space and start again"
                ) from error
            if accelerator.is_main_process:
                write_provenance(
                    args.weights,
                    stage="train",
                    config=identity["settings"],
                    code=identity["code"],
                    inputs={"data": identity["data"]},
                    seconds=time.monotonic() - started,
                )
    finally:
        accelerator.end_training()


def make_accelerator(stage: Stage) -> Accelerator:
    """Device and processes as the settings and the launcher say.

    Raises:
        UserError: the strategy cannot work with them, or a tracker is not installed.
    """
    cfg = stage.cfg.train
    on_cpu = cfg.device == "cpu" or not torch.cuda.is_available()
    accelerator = Accelerator(
        mixed_precision="no",
        cpu=on_cpu,
        log_with=trackers.wanted(cfg.trackers) or None,
        # the others wait for the first one's saves and checks, which NCCL's ten minutes may be too short for
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    num_gpus = 0 if on_cpu else torch.cuda.device_count()
    check_strategy(cfg, num_processes=accelerator.num_processes, num_gpus=num_gpus)
    torch.set_num_threads(cfg.threads)
    return accelerator


def read_data(stage: Stage, pairs: Path, packed: PackedPhotos) -> Data:
    """Training and validation pairs of a stage, joined with their photos by id."""
    train, skipped = read_pairs(pairs, "train_paired", packed)
    val, skipped_val = read_pairs(pairs, "val_paired", packed)
    if not train:
        raise UserError(
            f"{pairs}: no train_paired pair has both photos in the packed files ({len(skipped)} pairs, all "
            "with a quarantined photo); look at the quarantine tables, or at pairs.split and "
            "pairs.train_strategy"
        )
    val = val[: stage.cfg.train.val_pairs]
    photos = CanvasPhotos(packed, stage.size_hw, stage.garment_hw)
    return Data(train, val, [*skipped, *skipped_val], photos, packed.agnostic)


def make_validation(config: Config, stage: Stage, data: Data) -> Validation | None:
    """Validation on the stage's validation pairs, if there are any."""
    if not data.val:
        return None
    cfg = stage.cfg.train
    batch_size = min(cfg.batch_size, len(data.val))
    return Validation(
        stage, data.val, data.photos, config.sample.of_stage(stage.name), seed=cfg.seed, batch_size=batch_size
    )


def train(
    stage: Stage,
    data: Data,
    validation: Validation | None,
    run_dir: Path,
    identity: dict[str, str],
    accelerator: Accelerator,
) -> Trainer:
    """Bring the run directory's state to its last step; returns at once where it is there already."""
    cfg = stage.cfg.train
    journal = Journal(
        run_dir,
        num_steps=cfg.num_steps,
        stage=stage.name,
        active=accelerator.is_main_process,
        track=lambda values, step: accelerator.log(values, step=step),
    )
    trainer = Trainer(stage, accelerator)
    checkpoints = Checkpoints(
        run_dir,
        identity={**identity, "network": network_digest(trainer)},
        keep_last=cfg.keep_checkpoints,
        milestone_every=cfg.milestone_every,
        say=journal.say,
    )
    first_step, scalars = resume(trainer, checkpoints)
    if first_step == cfg.num_steps:
        return trainer
    announce(journal, data, trainer, first_step)
    feed = TrainFeed(data.train, data.photos, cfg, rank=accelerator.process_index, num_ranks=accelerator.num_processes)
    journal.open_curves(first_step)
    trackers.start(accelerator, run_dir, stage.cfg.model_dump(mode="json"))
    try:
        fit(Run(trainer, feed, checkpoints, journal, validation), first_step, scalars)
        journal.say("finished", step=cfg.num_steps)
    finally:
        journal.close()
    return trainer


def resume(trainer: Trainer, checkpoints: Checkpoints) -> tuple[int, dict[str, Any]]:
    """Load the newest verified checkpoint into the trainer; its steps done (0 without one) and scalars."""
    accelerator = trainer.accelerator
    newest = checkpoints.newest() if accelerator.is_main_process else None
    if accelerator.num_processes > 1:
        shared = torch.tensor([-1 if newest is None else newest], device=accelerator.device)
        step = int(accelerator.gather(shared)[0])  # what the first process found is what all of them load
        newest = None if step < 0 else step
    if newest is None:
        return 0, {}
    snapshot = checkpoints.load(newest)
    trainer.restore(snapshot.tensors, snapshot.scalars)
    return snapshot.step, snapshot.scalars


def network_digest(trainer: Trainer) -> str:
    """Digest of the network's shape: names, sizes and types of its tensors."""
    return digest(
        [[name, list(tensor.shape), str(tensor.dtype)] for name, tensor in trainer.network.state_dict().items()]
    )


def announce(journal: Journal, data: Data, trainer: Trainer, first_step: int) -> None:
    """Say what starts, and what is left out."""
    if data.skipped:
        journal.say("skipped_pairs", num=len(data.skipped), why="a photo is quarantined", pair_ids=data.skipped)
    if not data.val:
        journal.say("no_validation", why="the list val_paired is empty")
    journal.say(
        "resumed" if first_step else "started",
        step=first_step,
        num_params=num_params(trainer.network),
        num_train_pairs=len(data.train),
        num_val_pairs=len(data.val),
        device=str(trainer.accelerator.device),
        num_processes=trainer.accelerator.num_processes,
        strategy=trainer.strategy,
        precision=trainer.cfg.precision,
    )


def write_results(
    args: argparse.Namespace,
    trainer: Trainer,
    data: Data,
    validation: Validation | None,
    run_dir: Path,
    identity: dict[str, str],
) -> None:
    """The declared outputs: averaged weights and a summary, the same bytes for the same run. Call on all processes."""
    with trainer.averaged() as network:
        if network is None:
            return
        val_loss = validation.loss(network, trainer.accelerator.device) if validation else None
        average = {
            name: (tensor.float() if tensor.is_floating_point() else tensor).cpu().contiguous()
            for name, tensor in network.state_dict().items()
        }
    stage = trainer.stage
    facts: dict[str, Any] = {
        "stage": stage.name,
        "kind": stage.cfg.kind,
        "agnostic": data.agnostic,
        "keypoints": identity["keypoints"],
        "step": stage.cfg.train.num_steps,
        "num_params": num_params(trainer.network),
        "settings_digest": identity["settings"],
        "data_digest": identity["data"],
        "code_digest": identity["code"],
    }
    metadata = {name: str(value) for name, value in facts.items()}
    files.write_atomic(args.weights, lambda path: save_weights(path, average, metadata))
    try:
        shown_run_dir = str(run_dir.resolve().relative_to(args.results.resolve()))
    except ValueError:
        shown_run_dir = str(run_dir)
    files.write_json(
        args.summary,
        {
            **facts,
            "size_hw": list(stage.size_hw),
            "num_train_pairs": len(data.train),
            "num_val_pairs": len(data.val),
            "skipped_pairs": data.skipped,
            "val_loss": val_loss,
            "run_dir": shown_run_dir,
            "weights_sha256": files.sha256_file(args.weights),
        },
    )


def save_weights(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whose bytes depend on its content alone.

    The library writes its metadata in the order of a hash table that is seeded anew in each process; here it
    is sorted in place. The rest of the header keeps its length and order.
    """
    with full_disk_is_an_os_error(path):
        save_file(tensors, path, metadata=metadata)
    with path.open("r+b") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        if len(text) > length:
            raise ValueError(f"the header of {path} grew from {length} to {len(text)} bytes by sorting")
        stream.seek(8)
        stream.write(text.ljust(length))
