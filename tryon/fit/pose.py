"""Command `fit-pose`: train an mmpose keypoint model on a data folder, through mmpose's own Runner.

The folder has the layout of `tryon studio` and of a user's photos: pictures, ISAT annotations (for the box) and
keypoints of persons and garments. The model, its augmentations and its schedule are the mmpose configuration that
`keypoints.config` names; `--start` continues from a checkpoint, which adapts a model to own annotations.

    tryon fit-pose --config config.yaml --data DIR --out DIR [--start resources/pose/pose.pth] [--epochs N]

writes pose_config.py, pose.pth (weights only), pose.json (sha256, command, scores on held-out photos) and a folder
`work` (crops and mmpose's log; can be deleted) into OUT.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tryon import config, files, weights
from tryon.config import DatasetConfig
from tryon.dataset import formats
from tryon.errors import UserError
from tryon.fit.crops import is_held_out, labelled_photos, write_crops
from tryon.fit.pose_score import score
from tryon.prepare.pose_model import PoseModel, load_weights, read_checkpoint, read_config
from tryon.shims import import_mmpose
from tryon.weights import find_config

import_mmpose()

from mmengine.runner import Runner  # noqa: E402 (mmengine comes with mmpose, which needs the shims)

WARMUP_SHARE = 0.1  # of all steps, at most: the configuration's warm-up is meant for long runs


def plan(config_file: Path, crops: Path, work: Path, *, counts: dict[str, int], epochs: int | None, seed: int) -> Any:  # noqa: ANN401 (mmengine's Config is untyped)
    """The mmpose configuration with this run's photos, length and seed in place.

    Args:
        config_file: mmpose configuration of a top-down model with pipelines and a schedule.
        crops: folder of train.json, val.json and the crops.
        work: folder for mmpose's log.
        counts: number of photos in train and val.
        epochs: length of the run; None: the configuration's.
        seed: of weights, order and augmentation.

    Raises:
        UserError: the configuration has no training part.
    """
    settings = read_config(config_file)
    try:
        planned_epochs = settings.train_cfg.max_epochs
        for split, loader in (("train", settings.train_dataloader), ("val", settings.val_dataloader)):
            loader.dataset = {
                "type": "CocoDataset",
                "data_root": str(crops.resolve()),
                "ann_file": f"{split}.json",
                "data_prefix": {"img": ""},
                "data_mode": "topdown",
                "test_mode": split == "val",
                "pipeline": loader.dataset.pipeline,
            }
        batch_size = settings.train_dataloader.batch_size
        schedulers = settings.param_scheduler
    except AttributeError as error:
        raise UserError(f"{config_file}: nothing to train with ({error}); see resources/pose/pose_config.py") from None
    num_epochs = epochs or planned_epochs
    settings.train_cfg.max_epochs = num_epochs
    settings.val_evaluator = {"type": "PCKAccuracy", "thr": 0.05, "norm_item": "bbox", "prefix": "pose"}
    settings.test_dataloader = settings.test_evaluator = settings.test_cfg = None
    _fit_schedule(schedulers, num_epochs / planned_epochs, num_epochs * math.ceil(counts["train"] / batch_size))
    settings.work_dir = str(work)
    settings.randomness = {"seed": seed}
    # mmengine's checkpoints are pickles of its own objects; the one file that is kept is written at the end
    settings.default_hooks = {"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 20}}
    return settings


def _fit_schedule(schedulers: list[dict[str, Any]], stretch: float, num_steps: int) -> None:
    for scheduler in schedulers:
        if scheduler.get("by_epoch", True):
            for key in ("begin", "end", "T_max"):
                if key in scheduler:
                    scheduler[key] = max(round(scheduler[key] * stretch), 1 if key != "begin" else 0)
        else:
            scheduler["end"] = min(scheduler["end"], max(1, int(WARMUP_SHARE * num_steps)))


def train(settings: Any, start: Path | None) -> torch.nn.Module:  # noqa: ANN401 (mmengine's Config is untyped)
    """Run mmengine's Runner to the end.

    Args:
        settings: what `plan` made.
        start: checkpoint to start from; None: random weights.

    Returns:
        The trained network on its device.

    Raises:
        UserError: the checkpoint does not fit the configuration.
    """
    plain = Path(settings.work_dir) / "start.pth"
    if start is not None:
        settings.load_from = str(plain)
    runner = Runner.from_cfg(settings)
    if start is not None:
        content = read_checkpoint(start)
        content["state_dict"] = {**content["state_dict"], **_constants(runner.model)}
        load_weights(runner.model, content, checkpoint=start, config=Path(str(settings.filename)))
        files.write_atomic(plain, lambda path: torch.save({"state_dict": content["state_dict"]}, path))
    runner.model.to(memory_format=torch.channels_last)  # about 1.3 times faster on the CPU
    network: torch.nn.Module = runner.train()
    return network


def _constants(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What training leaves alone: the heatmap's coordinates, which follow the size of the input and not the weights."""
    return {name: value.data for name, value in network.named_parameters() if not value.requires_grad}


def save_weights(path: Path, network: torch.nn.Module, meta: dict[str, Any]) -> None:
    """Write weights and plain values only, so that the file loads with `weights_only=True`.

    Matrices and kernels are stored as float16 (half the size; PCK is the same to four digits), biases and batch
    statistics as float32.
    """
    constants = _constants(network)
    state = {
        name: (value.half() if value.ndim > 1 and name not in constants else value).cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    files.write_atomic(path, lambda temporary: torch.save({"meta": meta, "state_dict": state}, temporary))


def data_digest(data: Path, dataset: DatasetConfig) -> str:
    """Digest of ids and contents of a data folder's keypoints: which photos a model learned from."""
    reader = formats.reader(dataset)
    total = hashlib.sha256()
    for photo in reader.scan(data).photos:
        if photo.keypoints is not None:
            path = data / photo.keypoints
            own = {photo.keypoints: files.sha256_file(path)} if path.is_file() else {}
            total.update(f"{photo.id}\0{reader.annotation_sha256(data, photo.keypoints, own)}\0".encode())
    return total.hexdigest()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file; keypoints.config is the model to train")
    parser.add_argument("--data", type=Path, required=True, help="folder with photos, annotations and keypoints")
    parser.add_argument("--out", type=Path, required=True, help="folder for pose.pth, pose.json, pose_config.py")
    parser.add_argument("--start", type=Path, help="checkpoint to start from (default: random weights)")
    parser.add_argument("--epochs", type=int, help="default: train_cfg.max_epochs of the mmpose configuration")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: 0)")
    parser.add_argument("--held-out", type=float, default=0.05, help="share of photos to score on (default: 0.05)")


def run(args: argparse.Namespace) -> None:
    """Train, store and score a model."""
    whole = config.load(args.config)
    cfg = whole.keypoints
    config_file = find_config(cfg.config)
    start_sha256 = None
    if args.start is not None:
        start_sha256 = files.sha256_file(weights.resolve(str(args.start), None, setting="--start"))
    settings = read_config(config_file)
    input_wh = settings.codec.input_size if "codec" in settings else settings.model.head.decoder.input_size
    work = args.out / "work"
    started = time.monotonic()
    counts = write_crops(args.data, work / "crops", tuple(input_wh), args.held_out, whole.dataset)
    print(f"fit-pose: {counts['train']} photos to train on, {counts['val']} held out", file=sys.stderr, flush=True)
    settings = plan(config_file, work / "crops", work, counts=counts, epochs=args.epochs, seed=args.seed)
    network = train(settings, args.start)
    own_config = args.out / "pose_config.py"
    if own_config.resolve() != config_file.resolve():
        # dumping also writes out what the configuration inherits from files of the mmpose package
        text = config_file.read_text(encoding="utf-8")
        files.write_text(own_config, read_config(config_file).pretty_text if "_base_" in text else text)
    checkpoint = args.out / "pose.pth"
    facts = {
        "command": shlex.join(["tryon", *sys.argv[1:]]),
        "data_sha256": data_digest(args.data, whole.dataset),
        "num_train": counts["train"],
        "epochs": settings.train_cfg.max_epochs,
        "seed": args.seed,
        "start_sha256": start_sha256,
    }
    save_weights(checkpoint, network, facts)
    seconds = round(time.monotonic() - started)
    model = PoseModel(own_config, checkpoint, device=cfg.device)
    held_out = (pair for pair in labelled_photos(args.data, whole.dataset) if is_held_out(pair[0].id, args.held_out))
    scores = score(model, held_out, min_score=cfg.min_score)
    report = {
        "sha256": files.sha256_file(checkpoint),
        "config": own_config.name,
        "num_params": sum(value.numel() for value in network.parameters()),
        "train_s": seconds,
        "torch": torch.__version__,
        "held_out": scores,
        **facts,
    }
    files.write_json(args.out / "pose.json", report)
    print(f"fit-pose: {checkpoint}, held-out photos: {scores}", file=sys.stderr)
