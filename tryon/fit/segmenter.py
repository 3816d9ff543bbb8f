"""`tryon fit-segmenter`: train the reduced segment-anything model on annotated photos, or adapt it to your own.

    tryon fit-segmenter --data DIR --out DIR [--config F] [--init resources/segmenter/sam.pth] [--steps N]

Prompted training after Kirillov et al. 2023, "Segment Anything", §3 and appendix A: for each photo the encoder runs
once and the decoder answers several prompts (box, points, rough mask; points and mask are left out now and then),
under a pixel loss, a dice loss and a squared error of the predicted IoU. Differs from the paper: an edge-weighted
cross-entropy instead of the focal loss, because the prompts leave no doubt but about the edge; and the rough mask is
a roughened truth, not the model's previous answer, because that is what an annotation is.

Photos that the folder's list puts into `train` are learned (all, where no list names a `test`); `test` is scored at the
end, through the same code as the stage `cutouts`. Written: sam.pth (float16 tensors) and sam.json beside it.
"""

from __future__ import annotations

import argparse
import io
import shlex
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch.nn import functional

from tryon import config, files, provenance
from tryon.config import DatasetConfig
from tryon.dataset import formats
from tryon.errors import BadItem, UserError
from tryon.fit.segmenter_data import (
    EXACT_SHARE,
    OWN_FORMAT,
    Example,
    Rng,
    coarsen,
    list_photos,
    read_example,
    vary,
)
from tryon.geometry import Letterbox
from tryon.prepare import sam as models
from tryon.prepare.cutter import SamCutter
from tryon.prepare.prompts import NO_POINT, PERSON, mask_logits, part_mask, prompts_for
from tryon.prepare.quality import iou

CACHE_PX = 512  # longer side of photos in memory: twice what the model sees, for enlarged views
PROMPTS_PER_PHOTO = 2
NO_MASK_SHARE, NO_POINTS_SHARE = 0.2, 0.2  # of the prompts come without a rough mask, without points
KEYPOINT_ERROR = 0.01  # of the picture's longer side: a pose model's usual error
DICE_WEIGHT, IOU_WEIGHT = 1.0, 0.1  # beside a cross-entropy of weight 1
EDGE_WEIGHT = 4.0  # extra weight of pixels within EDGE_PX of the true outline, where masks are won or lost
EDGE_PX = 4
WARMUP_STEPS = 100


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to learn."""

    steps: int = 1700
    batch_size: int = 4
    lr: float = 8e-4
    weight_decay: float = 0.02
    grad_clip: float = 1.0
    seed: int = 0
    bf16: bool = False  # encoder and decoder in bfloat16; weights, loss and optimizer stay float32


@dataclass(frozen=True)
class Query:
    """One photo in the model's frame with several prompts (P) and their answers.

    Attributes:
        image_3HW: float32 in [0, 255].
        boxes_P4, points_PN2, point_labels_PN, masks_P1MM: prompts in the model's frame; masks may be None.
        targets_PHW: float32 {0, 1}, true masks at the size of image_3HW.
    """

    image_3HW: torch.Tensor
    boxes_P4: torch.Tensor
    points_PN2: torch.Tensor
    point_labels_PN: torch.Tensor
    masks_P1MM: torch.Tensor | None
    targets_PHW: torch.Tensor


def make_query(example: Example, model: Sam, rng: Rng, num_prompts: int = PROMPTS_PER_PHOTO) -> Query:
    """Prompts and answers for random parts of a photo that is already at the model's size."""
    image_px = model.image_encoder.img_size
    mask_px = model.prompt_encoder.mask_input_size[0]
    height, width = example.labels_HW.shape
    prompts, logits, targets = [], [], []
    for part in rng.choice(example.parts, num_prompts):
        true_HW = part_mask(example.labels_HW, str(part))
        rough_HW = true_HW if rng.random() < EXACT_SHARE else coarsen(true_HW, rng)
        keypoints_K3 = example.keypoints_K3.copy()
        keypoints_K3[:, :2] += rng.normal(0, KEYPOINT_ERROR * image_px, keypoints_K3[:, :2].shape)
        keypoints_K3[:, 2] *= rng.random() < 0.8
        prompts.append(prompts_for(rough_HW, keypoints_K3, str(part)))
        logits.append(mask_logits(rough_HW, (height, width), image_px, mask_px))
        targets.append(true_HW)
    labels_PN = np.stack([prompt.point_labels_N for prompt in prompts])
    labels_PN[rng.random(num_prompts) < NO_POINTS_SHARE] = NO_POINT
    return Query(
        torch.from_numpy(example.image_HWC.transpose(2, 0, 1).astype(np.float32)),
        torch.from_numpy(np.stack([prompt.box_xyxy for prompt in prompts])),
        torch.from_numpy(np.stack([prompt.points_N2 for prompt in prompts])),
        torch.from_numpy(labels_PN),
        None if rng.random() < NO_MASK_SHARE else torch.from_numpy(np.stack(logits)),
        torch.from_numpy(np.stack(targets).astype(np.float32)),
    )


def loss_of(model: Sam, queries: list[Query]) -> torch.Tensor:
    """Mean loss over photos and prompts; the encoder runs on the whole batch at once."""
    images_B3SS = torch.stack([model.preprocess(query.image_3HW) for query in queries])
    features_BCGG = model.image_encoder(images_B3SS)
    return torch.stack([_loss_of_photo(model, features_BCGG[b : b + 1], q) for b, q in enumerate(queries)]).mean()


def _loss_of_photo(model: Sam, features_1CGG: torch.Tensor, query: Query) -> torch.Tensor:
    sparse, dense = model.prompt_encoder(
        points=(query.points_PN2, query.point_labels_PN), boxes=query.boxes_P4, masks=query.masks_P1MM
    )
    low_P1MM, iou_P1 = model.mask_decoder(
        image_embeddings=features_1CGG,
        image_pe=model.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    target_PHW = query.targets_PHW
    size_hw = (target_PHW.shape[1], target_PHW.shape[2])
    logits_PHW = model.postprocess_masks(low_P1MM.float(), size_hw, size_hw)[:, 0]
    return mask_loss(logits_PHW, target_PHW, iou_P1[:, 0].float())


def mask_loss(logits_PHW: torch.Tensor, target_PHW: torch.Tensor, iou_P: torch.Tensor) -> torch.Tensor:
    """Edge-weighted cross-entropy + dice + squared error of the predicted IoU, mean over prompts.

    Args:
        logits_PHW: float32.
        target_PHW: float32 {0, 1}.
        iou_P: the model's own estimate of the IoU of (logits > 0) with the target.
    """
    size = 2 * EDGE_PX + 1
    nearby_PHW = functional.avg_pool2d(target_PHW[:, None], size, 1, EDGE_PX, count_include_pad=False)[:, 0]
    weight_PHW = 1.0 + EDGE_WEIGHT * ((nearby_PHW > 0) & (nearby_PHW < 1))
    entropy_PHW = functional.binary_cross_entropy_with_logits(logits_PHW, target_PHW, reduction="none")
    entropy = (weight_PHW * entropy_PHW).mean()
    share_PHW = logits_PHW.sigmoid()
    overlap_P, sizes_P = (share_PHW * target_PHW).sum((1, 2)), (share_PHW + target_PHW).sum((1, 2))
    dice = (1.0 - (2.0 * overlap_P + 1.0) / (sizes_P + 1.0)).mean()
    answer_PHW = logits_PHW.detach() > 0
    true_PHW = target_PHW > 0
    union_P = (answer_PHW | true_PHW).sum((1, 2)).clamp(min=1)
    error = (iou_P - (answer_PHW & true_PHW).sum((1, 2)) / union_P).square().mean()
    return entropy + DICE_WEIGHT * dice + IOU_WEIGHT * error


def fit(model: Sam, examples: list[Example], settings: FitSettings) -> list[float]:
    """Train a model in place.

    Everything random is a function of (seed, step, place in the batch).

    Returns:
        The loss of every step.
    """
    model.train()
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98))
    losses: list[float] = []
    started = reported = time.monotonic()
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, settings)
        queries = [_query(model, examples, settings, step, place) for place in range(settings.batch_size)]
        with torch.autocast("cpu", torch.bfloat16) if settings.bf16 else nullcontext():
            loss = loss_of(model, queries)
        if not torch.isfinite(loss):
            raise UserError(f"the loss is {loss.item()} at step {step}; lower --lr (now {settings.lr})")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
        optimizer.step()
        losses.append(loss.item())
        if time.monotonic() - reported > 10 or step + 1 == settings.steps:
            reported = time.monotonic()
            left_s = (reported - started) / (step + 1) * (settings.steps - step - 1)
            recent = float(np.mean(losses[-50:]))
            print(
                f"step {step + 1}/{settings.steps}: loss {recent:.4f}, {left_s:.0f} s left", file=sys.stderr, flush=True
            )
    model.eval()
    return losses


def _query(model: Sam, examples: list[Example], settings: FitSettings, step: int, place: int) -> Query:
    order = np.random.default_rng((settings.seed, 0)).permutation(len(examples))
    rng = np.random.default_rng((settings.seed, 1, step, place))
    example = examples[order[(step * settings.batch_size + place) % len(examples)]]
    for _ in range(8):  # a view may show too little of every part; another one of the same photo is tried
        view = vary(example, model.image_encoder.img_size, examples, rng)
        if view.parts:
            return make_query(view, model, rng)
    return make_query(_unvaried(example, model.image_encoder.img_size), model, rng)


def _unvaried(example: Example, image_px: int) -> Example:
    """The photo as it is, at the model's size."""
    height, width = example.labels_HW.shape
    scale = image_px / max(height, width)
    box = Letterbox((height, width), (round(height * scale), round(width * scale)))
    keypoints_K3 = np.column_stack([box.points(example.keypoints_K3[:, :2]), example.keypoints_K3[:, 2]])
    return Example(example.id, box.image(example.image_HWC), box.mask(example.labels_HW), keypoints_K3)


def _rate(step: int, settings: FitSettings) -> float:
    """Linear warm-up, then a cosine to zero."""
    warmup = min(WARMUP_STEPS, max(1, settings.steps // 10))
    progress = (step - warmup) / max(1, settings.steps - warmup)
    return settings.lr * ((step + 1) / warmup if step < warmup else 0.5 * (1.0 + float(np.cos(np.pi * progress))))


def score(
    cutter: SamCutter,
    data: Path,
    splits: tuple[str, ...] | None,
    *,
    dataset: DatasetConfig = OWN_FORMAT,
    seed: int = 0,
) -> dict[str, float | int]:
    """IoU of cut-outs with the true masks of a data folder, prompted by roughened annotations.

    Args:
        cutter: the model.
        data: folder whose annotations are true.
        splits: photos that photos.csv puts into these; None: all.
        dataset: how the folder is read.
        seed: of the roughening.

    Returns:
        garment_iou_mean and person_iou_mean of the model's masks at the photos' size, prompt_garment_iou_mean and
        prompt_person_iou_mean of the rough masks it was given, num_photos, num_garments, num_persons.
    """
    answers: dict[str, list[float]] = {"garment": [], PERSON: []}
    given: dict[str, list[float]] = {"garment": [], PERSON: []}
    photos = list_photos(data, splits, dataset)
    for index, photo in enumerate(photos):
        example = read_example(data, photo, dataset=dataset)
        rng = np.random.default_rng((seed, index))
        true = {part: part_mask(example.labels_HW, part) for part in example.parts}
        rough = {part: coarsen(mask_HW, rng) for part, mask_HW in true.items()}
        for part, cut in cutter.cut(example.image_HWC, rough, example.keypoints_K3).items():
            kind = PERSON if part == PERSON else "garment"
            answers[kind].append(iou(cut.mask_HW, true[part]))
            given[kind].append(iou(rough[part], true[part]))
    return {
        **{f"{kind}_iou_mean": round(float(np.mean(values)), 4) for kind, values in answers.items() if values},
        **{f"prompt_{kind}_iou_mean": round(float(np.mean(values)), 4) for kind, values in given.items() if values},
        "num_photos": len(photos),
        "num_garments": len(answers["garment"]),
        "num_persons": len(answers[PERSON]),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    defaults = FitSettings()
    parser.add_argument("--config", help="configuration file, of which `dataset` says how the folder is read")
    parser.add_argument("--data", type=Path, required=True, help="data folder with annotations")
    parser.add_argument("--out", type=Path, required=True, help="folder for sam.pth and sam.json")
    parser.add_argument("--init", type=Path, help="weights to start from, such as resources/segmenter/sam.pth")
    parser.add_argument("--steps", type=int, default=defaults.steps, help=f"default {defaults.steps}")
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size, help=f"default {defaults.batch_size}")
    parser.add_argument("--lr", type=float, default=defaults.lr, help=f"default {defaults.lr}; a tenth to adapt")
    parser.add_argument("--seed", type=int, default=defaults.seed, help=f"default {defaults.seed}")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; default 1")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16: faster where the CPU has it")


def run(args: argparse.Namespace) -> None:
    """Train, write the weights, score them on held-out photos."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    settings = FitSettings(steps=args.steps, batch_size=args.batch_size, lr=args.lr, seed=args.seed, bf16=args.bf16)
    model = models.load(models.SMALL, args.init) if args.init else models.build_small()
    dataset = config.load(args.config).dataset if args.config else OWN_FORMAT
    has_splits = _names_splits(args.data, dataset)
    examples = read_examples(args.data, ("train",) if has_splits else None, dataset)
    started = time.monotonic()
    losses = fit(model, examples, settings)
    seconds = time.monotonic() - started
    weights = args.out / "sam.pth"
    files.write_bytes(weights, _packed(model))
    cutter = SamCutter(models.load(models.SMALL, weights))
    scores = score(cutter, args.data, ("test",), dataset=dataset) if has_splits else None
    files.write_json(args.out / "sam.json", _card(args, weights, settings, examples, losses, seconds, scores))
    print(f"{weights}: {scores or 'not scored: no list of the folder puts photos into `test`'}")


def _names_splits(data: Path, dataset: DatasetConfig) -> bool:
    """Whether the folder says which photos are held out."""
    reader = formats.reader(dataset)
    facts = reader.facts(data, reader.scan(data)) or {}
    return any(fact.split == "test" for fact in facts.values())


def read_examples(data: Path, splits: tuple[str, ...] | None, dataset: DatasetConfig = OWN_FORMAT) -> list[Example]:
    """All usable photos of a folder, scaled down; unusable ones are named on stderr."""
    examples = []
    for photo in list_photos(data, splits, dataset):
        try:
            example = read_example(data, photo, CACHE_PX, dataset)
        except BadItem as problem:
            print(f"left out {photo.id}: {problem}", file=sys.stderr)
            continue
        if example.parts:
            examples.append(example)
        else:
            print(f"left out {photo.id}: nothing of up, down, dress or a person is annotated", file=sys.stderr)
    if not examples:
        raise UserError(f"{data}: none of its photos can be used for training; see the reasons above")
    return examples


def _packed(model: Sam) -> bytes:
    """The state dict as float16 tensors, in bytes that depend on the weights alone."""
    stream = io.BytesIO()  # a path would put its own name into the archive
    torch.save({key: value.half() for key, value in model.state_dict().items()}, stream)
    return stream.getvalue()


def _origin(weights: Path) -> dict[str, Any]:
    """Where training went on from: the file's sha256, and its own card where one lies beside it."""
    card = weights.with_suffix(".json")
    return {"sha256": files.sha256_file(weights), "card": files.read_json(card) if card.is_file() else None}


def _card(
    args: argparse.Namespace,
    weights: Path,
    settings: FitSettings,
    examples: list[Example],
    losses: list[float],
    seconds: float,
    scores: dict[str, float | int] | None,
) -> dict[str, Any]:
    """What a reader of the weights wants to know."""
    return {
        "sha256": files.sha256_file(weights),
        "bytes": weights.stat().st_size,
        "model_type": models.SMALL,
        "architecture": asdict(models.Architecture()),
        "command": shlex.join(["tryon", *sys.argv[1:]]),
        "settings": asdict(settings),
        "num_photos": len(examples),
        "studio": files.read_json(rendered) if (rendered := args.data / "studio.json").is_file() else None,
        "loss_first": round(float(np.mean(losses[:20])), 4),
        "loss_last": round(float(np.mean(losses[-100:])), 4),
        "train_s": round(seconds),
        "threads": args.threads,
        "held_out": scores,
        "init": _origin(args.init) if args.init else None,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
