"""Typed configuration: the only source of every default, of the JSON schema and of what a digest covers.

`load(path)` reads YAML or JSON, `parse(mapping)` validates what Snakemake merged; both list every mistake at
once with its file, the nearest valid key and the fix. Code receives its section, never the tree. A field made
with `Machine(...)` decides how fast or where work happens, not what comes out, so it stays out of digests.

    python -m tryon.config --schema > workflow/schemas/config.schema.json
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from tryon import variants
from tryon.errors import UserError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]
Size = tuple[Annotated[int, Field(ge=8, le=8192)], Annotated[int, Field(ge=8, le=8192)]]


def _sha256(value: str | None) -> str | None:
    if value is not None and (len(value) != 64 or set(value.lower()) - set("0123456789abcdef")):
        raise ValueError("a sha256 has 64 hex digits")
    return None if value is None else value.lower()


Sha256 = Annotated[str | None, AfterValidator(_sha256)]


def Machine(default: Any, **kwargs: Any) -> Any:  # noqa: N802, ANN401 (stands where pydantic's Field stands)
    """A field that changes speed or place but no result; it stays out of every digest."""
    return Field(default, json_schema_extra={"machine": True}, **kwargs)


class Section(BaseModel):
    """Frozen, and a key that is not declared is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class StudioConfig(Section):
    """The rendered photo studio, used when `data` is null."""

    seed: int = 1
    """Same seed, same bytes."""
    num_people: Annotated[int, Field(ge=3)] = 600
    """Identities."""
    photos_per_person: Annotated[int, Field(ge=1)] = 1
    """Photos of each identity, every one in another pose and in a garment of its own."""
    size_hw: Size = (1024, 768)
    """Height and width of every photo in pixels."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 92
    """JPEG quality of every photo."""
    top_share: Fraction = 0.8
    """Share of people photographed for an upper garment; the rest is shared by dresses and bottoms."""
    num_val: Annotated[int, Field(ge=1)] = 16
    """Identities held out to guide choices."""
    num_test: Annotated[int, Field(ge=1)] = 32
    """Identities held out for the reported numbers."""
    unpaired_per_person: Annotated[int, Field(ge=1)] = 1
    """True pictures in another garment rendered for each held-out person."""
    jobs: int = Machine(2, ge=1)
    """Rendering processes."""


AnnotatedLabel = Literal["person", "up", "down", "dress", "hair", "face", "left_arm", "right_arm", "__background__"]


class DatasetConfig(Section):
    """How the data folder is read."""

    format: Literal[
        "isat",
        "labelme",
        "coco",
        "deepfashion2",
        "viton_hd",
        "dresscode",
        "viton",
        "tryondiffusion_folders",
        "training_guide",
        "image_folder",
    ] = "isat"
    """Annotation format of `annotations/`, or the layout of a known dataset."""
    follow_links: bool = False
    """Whether photos may be links out of the data folder; such photos are quarantined otherwise."""
    labels: dict[str, AnnotatedLabel] = {}
    """Label names of the annotations that are called otherwise here, for example {上衣: up, trousers: down}."""
    category: Literal["up", "down", "dress"] = "up"
    """What the garment photos show, in layouts of known datasets whose files do not tell."""
    line_width_px: Annotated[int, Field(ge=1)] = 10
    """Width of LabelMe's lines in pixels of the photo (LabelMe draws them 10 wide)."""


class SplitConfig(Section):
    """Shares of identities; used where photos.csv names no split."""

    train: Fraction = 0.8
    """Share that is trained on."""
    val: Fraction = 0.1
    """Share that guides choices."""
    test: Fraction = 0.1
    """Share of the reported numbers."""

    @model_validator(mode="after")
    def _sum(self) -> SplitConfig:
        if abs(self.train + self.val + self.test - 1.0) > 1e-6:
            raise ValueError("split.train + split.val + split.test must be 1")
        return self


Strategy = Literal["all", "random", "same_garment", "self", "given"]


class PairsConfig(Section):
    """Which person meets which garment, in which split."""

    seed: int = 0
    """Seed of everything random in this section."""
    train_strategy: Strategy = "same_garment"
    """same_garment: another photo of the garment worn; self: the person's own cut-out; given: pairs.txt."""
    unpaired_strategy: Literal["all", "random", "given", "given_else_random"] = "random"
    """all: every garment of the split; random: `unpaired_per_person` of them; given: pairs.txt; given_else_random:
    pairs.txt where there is one."""
    unpaired_per_person: Annotated[int, Field(ge=1)] = 1
    """Garments that each held-out person is asked to try on."""
    split: SplitConfig = SplitConfig()
    """Shares of identities per split."""
    num_shards: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Buckets of photos; a shard is one job per stage."""
    leaks: Literal["report", "refuse", "join"] = "report"
    """One picture in two splits: list it in the report; stop; or put all photos of the picture into one split."""
    leak_distance: Annotated[int, Field(ge=0, le=64)] = 8
    """Bits of 256 in which the perceptual hashes of one picture may differ; garments of one cut come within 12."""
    max_pairs: int = Machine(1_000_000, ge=1)
    """Refuse strategies that would make more pairs than this, before they are made."""


class MasksConfig(Section):
    """Annotations to label maps."""

    unknown_label: Literal["quarantine", "ignore"] = "quarantine"
    """What a category that is not in the ontology does to its photo."""


class KeypointsConfig(Section):
    """COCO-17 keypoints by mmpose."""

    source: Literal["mmpose", "given", "given_else_mmpose"] = "mmpose"
    """given: keypoints/{person,garment}/NAME.json of the data folder."""
    given_garments: Literal["joints", "outline"] = "joints"
    """What given points of a garment photo mark: the wearer's joints, or its own cuffs, hem and waistband corners."""
    config: str = "resources/pose/pose_config.py"
    """mmpose configuration file of the checkpoint."""
    checkpoint: str = "resources/pose/pose.pth"
    """Path or URL."""
    sha256: Sha256 = None
    """Of the checkpoint; needed for a URL."""
    min_score: Fraction = 0.3
    """A keypoint below this score counts as not visible."""
    min_visible: Annotated[int, Field(ge=0, le=17)] = 3
    """A person photo with fewer visible keypoints is quarantined: two points tell neither the place nor the turn of a
    body, and a model finds as many in a photo of nobody."""
    doubtful_score: Fraction = 0.5
    """A photo whose visible keypoints score less on average is marked as doubtful, and the report names it."""
    batch_size: int = Machine(16, ge=1)
    """Pictures per network call."""
    device: str = Machine("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto, cpu or cuda."""


class CutoutsConfig(Section):
    """Garment cut-outs and clothing-agnostic persons by segment-anything."""

    source: Literal["sam", "annotations"] = "sam"
    """annotations: trust the label maps and skip SAM."""
    model_type: Literal["vit_h", "vit_l", "vit_b", "tryon_small"] = "tryon_small"
    """Size of the SAM image encoder: Meta's, or the project's own small one."""
    checkpoint: str = "resources/segmenter/sam.pth"
    """Path or URL."""
    sha256: Sha256 = None
    """Of the checkpoint; needed for a URL."""
    agnostic: Literal["limbs", "viton_hd", "hr_viton", "ootd", "sam"] = "limbs"
    """Rule that says which region of the person is repainted (docs/agnostic.md)."""
    min_agreement: Fraction = 0.5
    """A cut-out whose IoU with the annotation is lower is quarantined."""
    parts: list[Literal["arms", "hands", "head", "background"]] = []
    """Body parts that are cut out too, each where its label is (parts.png, bits in tryon/ontology.py)."""
    doubtful_agreement: Fraction = 0.85
    """A cut-out whose IoU with the annotation is lower is marked for review."""
    doubtful_predicted_iou: Fraction = 0.88
    """Likewise for the IoU that the model itself expects."""
    doubtful_stability: Fraction = 0.82
    """Likewise for how little the mask depends on its threshold. The three defaults suit tryon_small; the edges of
    Meta's models are steeper, and segment-anything itself asks for a stability of 0.95 of them."""
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Arithmetic of the image encoder; fp16 needs a GPU."""
    batch_size: int = Machine(1, ge=1)
    """Photos per encoder pass; more than 1 only helps a GPU."""
    keep_embeddings: bool = Machine(True)
    """Keep what the encoder made of each photo, so that changed rules and thresholds need no encoder: 2.1 MB of disk
    per photo for Meta's models, 0.13 MB for tryon_small."""
    device: str = Machine("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto, cpu or cuda."""


class PackConfig(Section):
    """Pictures at the sizes that the training stages read."""

    fill: Annotated[int, Field(ge=0, le=255)] = 255
    """Grey level of the borders where a photo has another aspect ratio than the canvas."""


class NetworkConfig(Section):
    """Width and depth; meaning of each field in tryon/methods."""

    channels: list[Annotated[int, Field(ge=8)]] = [48, 96, 128]
    """Channels per level, finest first; each level halves height and width."""
    blocks: list[Annotated[int, Field(ge=1)]] = [2, 2, 2]
    """Residual blocks per level."""
    skips: Literal["level", "block"] = "level"
    """What a decoder gets of its encoder: the last map of each level, or the map of every residual block (paper)."""
    shortcut_conv: bool = False
    """1x1 convolution on the shortcut of every residual block (paper); false: only where channels change."""
    self_attention: list[bool] = [False, False, True]
    """Self-attention in the person branch, per level."""
    cross_attention: list[bool] = [False, True, True]
    """Attention from person to garment, per level."""
    head_channels: Annotated[int, Field(ge=4)] = 32
    """Channels per attention head."""
    stem_stride: Literal[1, 2, 4] = 2
    """Space-to-depth factor before the first level (1: none)."""
    embedding_channels: Annotated[int, Field(ge=16)] = 128
    """Width of the time and pose embedding."""
    prealigned: bool = True
    """Also give the person branch the garment warped to the pose (not in the paper)."""
    limb_planes: bool = True
    """Also give the person branch the person's limbs as planes, one per bone (not in the paper)."""
    garment_sees_time: bool = False
    """False: the garment branch is independent of the diffusion time, so it runs once per sample."""
    garment_blocks: list[Annotated[int, Field(ge=1)]] | None = None
    """Residual blocks per level of the garment branch; null: as blocks."""
    attention_positions: Literal["none", "canvas", "pose"] = "canvas"
    """Tell attention where each cell lies: on its canvas, or the garment's cells where their joints lie on the person
    (neither is in the paper)."""
    residual: bool = True
    """Predict the change to a first guess: the pasted garment, or the enlarged picture (target x0 only)."""

    @model_validator(mode="after")
    def _levels(self) -> NetworkConfig:
        levels = len(self.channels)
        for name in ("blocks", "self_attention", "cross_attention", "garment_blocks"):
            values = getattr(self, name)
            if values is not None and len(values) != levels:
                raise ValueError(f"{name} has {len(values)} entries, but channels has {levels}: one per level")
        return self

    def asks_of_a_parallel_unet(self) -> list[str]:
        """Settings that other networks do not read, where they say something else than the default, none or off."""
        others = {"channels", "blocks", "self_attention", "head_channels", "prealigned", "residual"}
        defaults = NetworkConfig().model_dump(exclude=others)
        chosen = {name: value for name, value in self.model_dump().items() if value != defaults.get(name, value)}
        is_on = {name: any(value) if isinstance(value, list) else value for name, value in chosen.items()}
        return [name for name in chosen if is_on[name] and is_on[name] != "none"]

    def uneven_widths(self) -> list[str]:
        """Widths that attention cannot split into heads, or codes of places into sines and cosines of two axes."""
        attends = zip(self.channels, self.self_attention, self.cross_attention, strict=True)
        widths = {f"channels[{level}]": width for level, (width, *asks) in enumerate(attends) if any(asks)}
        widths["embedding_channels"] = self.embedding_channels  # attention pools the pose
        heads = {key: max(1, width // self.head_channels) for key, width in widths.items()}
        return [f"{key} {width}" for key, width in widths.items() if width % heads[key] or width % 4]


class DiffusionConfig(Section):
    """Noise, target and loss."""

    target: Literal["x0", "eps", "v"] = "x0"
    """What the network predicts."""
    schedule: Literal["cosine", "linear"] = "cosine"
    """Noise schedule, made to reach zero signal at the last step."""
    shift: Annotated[float, Field(gt=0)] = 1.0
    """Divides the signal-to-noise ratio by shift²: > 1 means more noise at the same time."""
    num_timesteps: Annotated[int, Field(ge=2)] = 1000
    """Steps of the discrete noise schedule."""
    loss_weight: Literal["none", "min_snr"] = "none"
    """none: every noise level counts alike in the target's own units; min_snr: the error of x0 counts by the
    signal-to-noise ratio, but no more than `min_snr_gamma`, whatever the target (Hang et al. 2023)."""
    min_snr_gamma: Annotated[float, Field(gt=0)] = 5.0
    """Largest weight of min_snr."""
    outside_weight: Fraction = 0.1
    """Loss weight outside the region to repaint; 1 inside."""
    garment_weight: Annotated[float, Field(ge=0)] = 4.0
    """Added loss weight of the worn garment, in weights of the region around it; 0: as in the paper."""
    condition_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Chance that the garment, its warped copy and its pose are dropped together: guidance needs that branch."""
    independent_dropout: Fraction = 0.0
    """Chance, besides, of each by itself: garment with its warped copy, garment's pose, person's pose."""
    low_noise_max: Fraction = 0.4
    """Super-resolution: largest noise level added to the low-resolution picture in training."""
    low_noise_sample: Fraction = 0.1
    """Super-resolution: noise level added when sampling."""


class AugmentConfig(Section):
    """Aligned augmentation of a training pair."""

    flip: Fraction = 0.5
    """Chance of mirroring person and garment together."""
    colour: Fraction = 0.0
    """Strength of one colour change applied to the garment in both pictures."""
    shift: Fraction = 0.0
    """Largest aligned shift of the person as a share of the canvas."""


class TrainConfig(Section):
    """One training stage's optimisation."""

    seed: int = 0
    """Seed of everything random in this section."""
    num_steps: Annotated[int, Field(ge=1)] = 1000
    """Optimizer steps."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Pairs per optimizer step, over all processes and accumulation."""
    accumulation: int = Machine(1, ge=1)
    """Parts that a process splits its share of a batch into."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate after warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    """Steps of the linear rise of the learning rate."""
    decay_from: Fraction = 0.5
    """Share of num_steps after which the rate falls along a cosine to decay_to * lr."""
    decay_to: Fraction = 0.02
    """Final share of lr."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Of AdamW."""
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    """Of AdamW."""
    ema_decay: Fraction = 0.995
    """Of the running mean of the weights, which is what sampling uses."""
    grad_clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest gradient norm."""
    crop: Size | None = None
    """Train on random crops of this size (super-resolution only)."""
    augment: AugmentConfig = AugmentConfig()
    """Changes to a pair that keep it true."""
    precision: Literal["fp32", "bf16", "fp16"] = Machine("fp32")
    """Of the network's arithmetic; weights, loss and optimizer stay fp32. fp16 scales the loss, which GPUs older than
    Ampere need; elsewhere bf16 is as fast and has nothing to scale."""
    gradient_checkpointing: bool = Machine(False)
    """Keep only what goes into each block and compute the rest again in the backward pass: less memory, more time."""
    channels_last: bool = Machine(False)
    """Channels innermost in memory; faster on GPUs in bf16, and on CPUs. Results differ by rounding."""
    compile: bool = Machine(False)
    """Compile the network by torch.compile: minutes at each start for faster steps; worth it for long runs on a GPU."""
    strategy: Literal["auto", "ddp", "fsdp", "dp"] = Machine("auto")
    """auto: one process, or ddp where there are several. ddp: each process holds the whole network. fsdp: processes
    share weights, averages and optimizer out among them, for networks that fill a GPU. dp: one process drives all
    GPUs of one machine by DataParallel, slower than ddp. Checkpoints fit each of them."""
    val_every: int = Machine(250, ge=1)
    """Steps between validation losses and sample grids."""
    val_pairs: int = Machine(16, ge=1)
    """Pairs behind the validation loss."""
    checkpoint_every: int = Machine(250, ge=1)
    """Steps between checkpoints."""
    keep_checkpoints: int = Machine(2, ge=1)
    """Newest checkpoints kept, beside the one with the lowest validation loss."""
    milestone_every: int | None = Machine(None, ge=1)
    """Steps between checkpoints that are kept for ever; null: none."""
    log_every: int = Machine(10, ge=1)
    """Steps between lines of metrics.jsonl; a line is the mean over them."""
    trackers: list[Literal["mlflow", "wandb"]] = Machine([])
    """Where metrics go besides metrics.jsonl and TensorBoard, each into a folder of the run directory (offline). Their
    packages are not part of the environment: pip install them."""
    device: Literal["auto", "cpu"] = Machine("auto")
    """auto: a GPU where there is one."""
    workers: int = Machine(0, ge=0)
    """Processes that prepare batches ahead; 0: the trainer prepares them itself. Same batches either way."""
    threads: int = Machine(1, ge=1)
    """CPU threads of each process."""
    gpus: int = Machine(0, ge=0)
    """GPUs of each machine asked of the scheduler; one process runs on each, or one on all with strategy dp."""
    nodes: int = Machine(1, ge=1)
    """Machines; more than one needs SLURM."""
    mem_mb: int = Machine(16000, ge=1)
    """Megabytes of memory of each machine asked of the scheduler."""
    runtime_min: int = Machine(720, ge=1)
    """Minutes asked of the scheduler. A training that needs longer goes on in a new job."""
    margin_s: float = Machine(300.0, ge=0)
    """Save and leave with exit code 75 this many seconds before SLURM's time limit; a save must fit in."""
    budget_s: float | None = Machine(None, ge=0)
    """Save and leave with exit code 75 after this many seconds; the next start continues."""

    @property
    def processes_per_node(self) -> int:
        """Processes that train together on each machine."""
        return 1 if self.strategy == "dp" else max(1, self.gpus)

    @property
    def num_processes(self) -> int:
        """Processes that train together."""
        return self.nodes * self.processes_per_node

    def share_of_batch(self, num_processes: int) -> int:
        """Pairs per optimizer step of each of so many processes.

        Raises:
            ValueError: the batch cannot be shared out evenly, or a share has fewer pairs than parts.
        """
        share, rest = divmod(self.batch_size, num_processes)
        if rest or share < self.accumulation:
            many = "1 process" if num_processes == 1 else f"{num_processes} processes"
            parts = f" in {self.accumulation} parts each" if self.accumulation > 1 else ""
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared by {many}{parts}; choose a multiple of the processes, "
                f"at least {num_processes * self.accumulation}"
            )
        return share

    @model_validator(mode="after")
    def _batch(self) -> TrainConfig:
        self.share_of_batch(self.num_processes)
        return self

    @model_validator(mode="after")
    def _strategy(self) -> TrainConfig:
        """Refuses a way of training together that nodes, gpus and device leave no room for."""
        if self.strategy == "dp" and self.nodes > 1:
            raise ValueError(
                f"strategy dp works in one process, but nodes is {self.nodes}; set strategy to ddp or fsdp"
            )
        if self.strategy == "dp" and self.device == "cpu":
            raise ValueError(
                "strategy dp drives several GPUs, but device is cpu; set strategy to auto, or device to auto"
            )
        if self.strategy == "dp" and self.gpus < 2:
            raise ValueError(
                f"strategy dp shares a batch among the GPUs of a machine, but gpus is {self.gpus}; set gpus to 2 or "
                "more, or strategy to auto"
            )
        if self.strategy == "dp" and self.precision == "bf16":
            raise ValueError(
                "strategy dp cannot train in bf16: its threads compute in fp16 whatever they are told, and without a "
                "scaled loss; set precision to fp16 or fp32, or strategy to ddp"
            )
        if self.strategy == "dp" and self.compile:
            raise ValueError(
                "strategy dp cannot compile: code of the first GPU would run on all; set compile to false, or strategy "
                "to auto"
            )
        if self.strategy in ("ddp", "fsdp") and self.num_processes < 2:
            raise ValueError(
                f"strategy {self.strategy} needs several processes, but nodes {self.nodes} with gpus {self.gpus} start "
                "one; set gpus to 2 or more, or strategy to auto"
            )
        return self

    @model_validator(mode="after")
    def _margin(self) -> TrainConfig:
        if self.margin_s >= self.runtime_min * 60:
            raise ValueError(
                f"margin_s {self.margin_s:g} leaves no time to train within runtime_min {self.runtime_min} "
                f"({self.runtime_min * 60} s)"
            )
        return self


StageKind = Literal["parallel_unet", "parallel_unet_sr", "imagen_sr", "regression"]


class StageConfig(Section):
    """One trainable network."""

    kind: StageKind
    """Network and objective."""
    size: Size
    """Height and width of the pictures it makes."""
    low_size: Size | None = None
    """Super-resolution: height and width of the pictures it starts from."""
    garment_size: Size | None = None
    """Height and width of the garment photo that is warped to the person; null: size. A larger one keeps stripes and
    prints that the canvas is too small for until they lie where they are worn."""
    network: NetworkConfig = NetworkConfig()
    """Width and depth."""
    diffusion: DiffusionConfig = DiffusionConfig()
    """Noise, target and loss."""
    train: TrainConfig = TrainConfig()
    """Optimisation."""

    @model_validator(mode="after")
    def _low_size(self) -> StageConfig:
        upscales = self.kind in ("parallel_unet_sr", "imagen_sr")
        if upscales != (self.low_size is not None):
            raise ValueError(f"kind {self.kind} {'needs' if upscales else 'takes no'} low_size")
        if self.train.crop is not None and self.kind != "imagen_sr":
            raise ValueError(f"train.crop is for kind imagen_sr, not {self.kind}: other networks see whole pictures")
        return self

    @model_validator(mode="after")
    def _garment_size(self) -> StageConfig:
        large = self.garment_size
        if large is not None and any(side < own for side, own in zip(large, self.size, strict=True)):
            raise ValueError(
                f"garment_size {list(large)} is smaller than size {list(self.size)}; leave it out, or raise it"
            )
        starts_from_paste = self.network.residual and self.low_size is None
        if large is not None and not self.network.prealigned and not starts_from_paste:
            raise ValueError(
                f"garment_size {list(large)} is the size of the photo that is warped, and no warped garment is looked "
                "at here; leave it out, or set network.prealigned to true"
            )
        return self

    @model_validator(mode="after")
    def _target(self) -> StageConfig:
        target = self.diffusion.target
        if self.kind == "regression" and target != "x0":
            raise ValueError(
                f"kind regression answers with the picture itself: set diffusion.target to x0, not {target}"
            )
        if self.network.residual and target != "x0":
            raise ValueError(
                f"network.residual is true, which needs diffusion.target x0, not {target}; "
                "set network.residual to false"
            )
        return self

    @model_validator(mode="after")
    def _noise_of_low(self) -> StageConfig:
        diffusion = self.diffusion
        if self.low_size is not None and diffusion.low_noise_sample > diffusion.low_noise_max:
            raise ValueError(
                f"diffusion.low_noise_sample {diffusion.low_noise_sample:g} is a level that training with "
                f"low_noise_max {diffusion.low_noise_max:g} never sees; lower the one, or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _weighted_levels(self) -> StageConfig:
        if self.kind == "regression" and self.diffusion.loss_weight != "none":
            raise ValueError(
                f"diffusion.loss_weight {self.diffusion.loss_weight} weighs noise levels, and kind regression knows "
                "pure noise alone, whose weight is 0; set it to none"
            )
        return self

    @model_validator(mode="after")
    def _network_fits(self) -> StageConfig:
        """What the networks would refuse only when their job starts, hours after the settings were written."""
        network, width = self.network, self.network.channels
        if self.kind == "imagen_sr":
            stride = 2 ** len(width)
            if unread := network.asks_of_a_parallel_unet():
                raise ValueError(
                    f"kind imagen_sr does not read network.{', network.'.join(unread)}: leave out what is of the "
                    "Parallel-UNet"
                )
            if any(channels % width[0] for channels in width):
                example = [width[0] * 2**level for level in range(len(width))]
                raise ValueError(
                    f"network.channels {width}: an imagen U-Net needs multiples of the first, for example {example}"
                )
        else:
            stride = network.stem_stride * 2 ** (len(width) - 1)
            if uneven := network.uneven_widths():
                raise ValueError(
                    f"network.{', network.'.join(uneven)}: attention needs a multiple of 4 and of "
                    f"network.head_channels, {network.head_channels}"
                )
        for name, value in (("size", self.size), ("train.crop", self.train.crop)):
            if value is not None and any(side % stride for side in value):
                raise ValueError(
                    f"{name} {list(value)}: this network needs a height and a width that are multiples of {stride}; "
                    "choose such a size, or fewer levels in network.channels"
                )
        crop = self.train.crop
        if crop is not None and any(side > whole for side, whole in zip(crop, self.size, strict=True)):
            raise ValueError(f"train.crop {list(crop)} is larger than size {list(self.size)}")
        return self


class SamplingConfig(Section):
    """How a stage denoises."""

    sampler: Literal["ddim", "ddpm", "dpmpp", "unipc"] = "ddim"
    """Which of diffusers' samplers."""
    num_steps: Annotated[int, Field(ge=1)] = 20
    """Denoising steps of each stage."""
    guidance: Annotated[float, Field(ge=0)] = 1.0
    """Classifier-free guidance; 1 means none."""
    guidance_interval: tuple[Fraction, Fraction] = (0.0, 1.0)
    """Diffusion times that are guided, from and to; 0 is the picture, 1 pure noise. Other steps cost half."""
    clip: Literal["static", "dynamic"] = "static"
    """How what each step predicts gets into [-1, 1]: cut off, or first scaled down where guidance overshot (Imagen's
    dynamic thresholding)."""
    clip_percentile: Annotated[float, Field(gt=0, le=1)] = 0.995
    """dynamic: share of the repainted values that the scaling brings into [-1, 1]."""

    @model_validator(mode="after")
    def _interval(self) -> SamplingConfig:
        low, high = self.guidance_interval
        if low > high:
            raise ValueError(f"guidance_interval runs from a smaller to a larger time, not from {low:g} to {high:g}")
        return self


ListName = Literal["val_paired", "val_unpaired", "test_paired", "test_unpaired"]


class SampleConfig(SamplingConfig):
    """How trained stages are chained into pictures."""

    seed: int = 0
    """Seed of everything random in this section."""
    stages: dict[str, SamplingConfig] = {}
    """Settings of single stages, by name; what a stage leaves out is as above for all."""
    lists: Annotated[list[ListName], Field(min_length=1)] = ["test_paired", "test_unpaired"]
    """Pair lists to sample and score; val lists guide choices, test lists are reported."""
    batch_size: int = Machine(16, ge=1)
    """Pictures per network call."""
    threads: int = Machine(2, ge=1)
    """CPU threads of each process."""
    gpus: int = Machine(0, ge=0)
    """GPUs asked of the scheduler; several share the pairs, one process on each."""

    @field_validator("stages", mode="before")
    @classmethod
    def _inherit(cls, stages: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 (not validated yet)
        if not isinstance(stages, Mapping):
            return stages
        common = {name: info.data[name] for name in SamplingConfig.model_fields if name in info.data}
        return {name: {**common, **own} if isinstance(own, Mapping) else own for name, own in stages.items()}

    def of_stage(self, name: str) -> SamplingConfig:
        """What one stage is sampled with, and nothing else."""
        chosen = self.stages.get(name, self)
        return SamplingConfig(**{field: getattr(chosen, field) for field in SamplingConfig.model_fields})


ProtocolName = Literal["tryon", "catvton", "ladi", "hrviton", "dci", "tpd"]


class EvaluateConfig(Section):
    """What is measured, and how (docs/evaluation.md)."""

    protocols: Annotated[list[ProtocolName], Field(min_length=1)] = ["tryon"]
    """Named ways to score: tryon is our own, the others follow public code to the digit."""
    lpips_weights: str | None = None
    """AlexNet of torchvision (path, or URL with sha256), for LPIPS; null: not computed."""
    lpips_sha256: Sha256 = None
    """Expected digest of that file."""
    lpips_squeeze_weights: str | None = None
    """SqueezeNet of torchvision (path, or URL with sha256), for the LPIPS of catvton; null: not computed."""
    lpips_squeeze_sha256: Sha256 = None
    """Expected digest of that file."""
    inception_weights: str | None = None
    """Inception in TorchScript (path, or URL with sha256), for FID and KID by clean-fid; null: not computed."""
    inception_sha256: Sha256 = None
    """Expected digest of that file."""
    fid_inception_weights: str | None = None
    """Inception in PyTorch (path, or URL with sha256), for FID and KID of dci and tpd; null: not computed."""
    fid_inception_sha256: Sha256 = None
    """Expected digest of that file."""
    clip_model: str | None = None
    """Folder of a CLIP model as transformers saves it, for CLIP-I; null: not computed."""
    dino_model: str | None = None
    """Folder of a DINO model as transformers saves it, for DINO; null: not computed."""
    keypoint_consistency: bool = False
    """Whether the model of `keypoints` looks for the person in every result, too, and the two are compared (OKS)."""
    result_labels: str | None = None
    """Folder of label maps of the results, SYSTEM/STAGE/PAIR.png, by any parser; null: their IoU is not computed."""
    num_bootstrap: Annotated[int, Field(ge=100)] = 1000
    """Resamples behind each 95 % interval."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of everything random in this section."""
    jobs: int = Machine(2, ge=1)
    """Judging processes, each of one thread: as many as cores that the job shall have."""

    @property
    def weights_sha256(self) -> dict[str, str | None]:
        """Settings that name files or folders which numbers depend on, with the digest given for each."""
        files = ("lpips", "lpips_squeeze", "inception", "fid_inception")
        digests = {f"{name}_weights": getattr(self, f"{name}_sha256") for name in files}
        return {**digests, "clip_model": None, "dino_model": None, "result_labels": None}

    @model_validator(mode="after")
    def _protocols(self) -> EvaluateConfig:
        doubled = {name for name in self.protocols if self.protocols.count(name) > 1}
        if doubled:
            raise ValueError(f"protocols names {', '.join(sorted(doubled))} twice")
        return self


class InspectConfig(Section):
    """The page of the data alone, made before anything is trained; the report shows the same."""

    num_photos: Annotated[int, Field(ge=1)] = 48
    """Photos in the gallery of label maps and cut-outs; all, where there are fewer."""
    num_review: Annotated[int, Field(ge=0)] = 24
    """Cut-outs on the review sheet, doubtful ones first."""
    seed: int = 0
    """Seed of everything random in this section."""


class ReportConfig(Section):
    """What the page shows."""

    title: str = "Virtual try-on report"
    """Heading of the page."""
    language: Literal["en", "zh"] = "en"
    """Language in which the pages open: English or Chinese; the reader can switch."""
    num_pairs: Annotated[int, Field(ge=4)] = 120
    """Pairs in the gallery over all lists: all of them where they are no more, else of each list half from the worst,
    a quarter from the best, and the rest evenly from between."""


ComparedMetric = Literal[
    "psnr", "ssim", "gms", "lpips", "delta_e", "mean_delta_e", "gradient_ratio", "outside_error", "garment_delta_e",
    "drift_red", "drift_green", "drift_blue", "oks", "preserved_iou", "clip_i", "dino", "fid", "kid",
]  # fmt: skip


class AblationConfig(Section):
    """Rows of other settings laid side by side by `snakemake ablations` (docs/ablations.md)."""

    vary: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Values by path of a setting, such as {sample.guidance: [1, 2]}; every combination is a row. Paths lead into
    cutouts, stages, cascade and sample."""
    rows: dict[str, dict[str, Any]] = {}
    """Rows by name, after those of `vary`: values by path of a setting; {} is the run itself."""
    lists: Annotated[list[ListName], Field(min_length=1)] | None = None
    """Pair lists to sample and score; null: those of `sample`. val lists guide choices."""
    metrics: Annotated[list[ComparedMetric], Field(min_length=1)] = [
        "psnr",
        "ssim",
        "gms",
        "lpips",
        "delta_e",
        "fid",
        "kid",
    ]
    """Columns, those that are computed: inside the garment where a metric is told there."""
    num_pairs: Annotated[int, Field(ge=0)] = 6
    """Pairs whose pictures are shown side by side, spread evenly over the ranking of the row that others are compared
    with."""


class ClusterConfig(Section):
    """Where jobs go on a SLURM cluster, with `--profile workflow/profiles/slurm`."""

    partition: str | None = Machine(None)
    """Partition of jobs without GPUs; null: SLURM's default."""
    gpu_partition: str | None = Machine(None)
    """Partition of jobs with GPUs; null: `partition`."""
    account: str | None = Machine(None)
    """Account that the jobs are charged to; null: SLURM's default."""
    gpu_model: str | None = Machine(None)
    """Kind of GPU as `sinfo -o %G` names it, such as a100; null: any."""
    max_runtime_min: int | None = Machine(None, ge=1)
    """No job asks for more minutes (the partition's limit), one that failed and wants more time included."""
    max_mem_mb: int | None = Machine(None, ge=1)
    """No job asks for more megabytes (a machine's memory), one that failed and wants more included."""


CASCADE, ORACLE = "cascade", "oracle"
"""Names of systems that are no stage: all stages chained; later stages each fed with the truth."""


class Config(Section):
    """The whole configuration."""

    data: str | None = None
    """Folder of photos and annotations; null: the studio renders one into RESULTS/data."""
    results: str = "results"
    """Folder for everything that is made."""
    max_quarantined: Fraction = 0.1
    """A stage fails when more than this share of its photos cannot be used."""
    studio: StudioConfig = StudioConfig()
    """Rendered data."""
    dataset: DatasetConfig = DatasetConfig()
    """Reading photos."""
    pairs: PairsConfig = PairsConfig()
    """Pairing and splits."""
    masks: MasksConfig = MasksConfig()
    """Label maps."""
    keypoints: KeypointsConfig = KeypointsConfig()
    """Pose."""
    cutouts: CutoutsConfig = CutoutsConfig()
    """Garment cut-outs and clothing-agnostic persons."""
    pack: PackConfig = PackConfig()
    """Packed training data."""
    inspect: InspectConfig = InspectConfig()
    """The page of the data."""
    stages: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], StageConfig]
    """Training stages by name."""
    cascade: Annotated[list[str], Field(min_length=1)]
    """Stages chained when sampling, coarse to fine."""
    references: list[str] = []
    """Stages trained and judged beside the cascade."""
    sample: SampleConfig = SampleConfig()
    """Sampling."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """Scores."""
    report: ReportConfig = ReportConfig()
    """The page."""
    ablations: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], AblationConfig] = {}
    """Comparisons of other settings, by name; made by the target `ablations`."""
    cluster: ClusterConfig = ClusterConfig()
    """SLURM."""

    _rows: dict[str, variants.Rows] = PrivateAttr(default_factory=dict)

    @property
    def ablation_rows(self) -> dict[str, variants.Rows]:
        """The configuration of every row, by ablation and by name."""
        return self._rows

    @property
    def of_jobs(self) -> Config:
        """What the jobs of this run, or of a row, are told."""
        return self.model_copy(update={"ablations": {}})

    @property
    def used_stages(self) -> list[str]:
        """Names of the stages that are trained: the cascade, then the references."""
        return [*self.cascade, *self.references]

    @property
    def systems(self) -> list[str]:
        """What is sampled and judged: the cascade, each reference, and the cascade's later stages on true input."""
        return [CASCADE, *self.references, *([ORACLE] if len(self.cascade) > 1 else [])]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Every size that a used stage reads, small to large."""
        stages = [self.stages[name] for name in self.used_stages]
        sizes = {size for stage in stages for size in (stage.size, stage.low_size, stage.garment_size)}
        return sorted(size for size in sizes if size is not None)

    def garment_size_at(self, size: Size) -> Size:
        """Size of the garment photo that pictures of a size are made from: the largest of the used stages'."""
        stages = [self.stages[name] for name in self.used_stages]
        return max((stage.garment_size or size for stage in stages if stage.size == size), default=size)

    @field_validator("results")
    @classmethod
    def _folder(cls, results: str) -> str:
        if not results or set(results) & set("{}"):
            raise ValueError("needs the name of a folder, without { and }, which Snakemake reads as wildcards")
        return results

    @model_validator(mode="after")
    def _stages(self) -> Config:
        known = sorted(self.stages)
        for list_name, names in (("cascade", self.cascade), ("references", self.references)):
            for name in names:
                if name not in self.stages:
                    raise ValueError(f"{list_name} names {name!r}, which is not in stages{nearest(name, known)}")
        reserved = sorted({CASCADE, ORACLE} & set(self.stages))
        if reserved:
            raise ValueError(f"no stage can be called {' or '.join(reserved)}: results go by these names; rename it")
        for name in self.references:
            if self.stages[name].low_size is not None:
                raise ValueError(f"references names {name}, which enlarges pictures: a reference starts from nothing")
        doubled = {name for name in self.used_stages if self.used_stages.count(name) > 1}
        if doubled:
            raise ValueError(f"{', '.join(sorted(doubled))}: a stage stands once in cascade and references together")
        size: tuple[int, int] | None = None
        for name in self.cascade:
            stage = self.stages[name]
            if stage.low_size != size:
                raise ValueError(
                    f"stages.{name}.low_size is {_shown(stage.low_size)}, but the stage before it in cascade "
                    f"makes {_shown(size)}"
                )
            size = stage.size
        ratios = {height * self.sizes[0][1] == width * self.sizes[0][0] for height, width in self.sizes}
        if ratios != {True}:
            raise ValueError(f"all sizes need one aspect ratio: {', '.join(map(_shown, self.sizes))}")
        return self

    @model_validator(mode="after")
    def _sampling(self) -> Config:
        for name in self.sample.stages:
            if name not in self.stages:
                raise ValueError(f"sample.stages names {name!r}, not in stages{nearest(name, sorted(self.stages))}")
        for name in self.used_stages:
            stage, sampling = self.stages[name], self.sample.of_stage(name)
            if stage.kind == "regression":
                continue
            place, diffusion = f"sample.stages.{name}" if name in self.sample.stages else "sample", stage.diffusion
            if sampling.num_steps > diffusion.num_timesteps:
                raise ValueError(
                    f"{place}.num_steps {sampling.num_steps} is more than stages.{name}.diffusion.num_timesteps "
                    f"{diffusion.num_timesteps}"
                )
            if sampling.guidance != 1 and diffusion.condition_dropout == diffusion.independent_dropout == 0:
                raise ValueError(
                    f"{place}.guidance {sampling.guidance:g} needs pictures without a garment, which stage {name} "
                    f"never learns: raise stages.{name}.diffusion.condition_dropout, or set the guidance to 1"
                )
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _expand(cls, values: Any, handler: ModelWrapValidatorHandler[Config]) -> Config:  # noqa: ANN401
        """Validates every row of the ablations, laid over what the user wrote: defaults that follow others still do.

        The last of the validators, so that a mistake of the run itself is not told as one of a row.
        """
        cfg = handler(values)
        if cfg.ablations and isinstance(values, Mapping):  # else it is validated already
            try:
                cfg._rows = variants.expand(values, cfg, _parse_row)
            except ValueError as error:
                raise ValidationError.from_exception_data("Config", _as_errors(str(error))) from None
        return cfg


def _parse_row(values: Mapping[str, Any]) -> Config:
    """The settings of an ablation's row; a ValueError has one mistake per line."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        mistakes = [_explain(details).removeprefix("(whole file): ") for details in error.errors()]
        raise ValueError("\n".join(mistakes)) from None


def _as_errors(lines: str) -> list[InitErrorDetails]:
    """Mistakes of ablations, "PLACE: MESSAGE" a line each, as the validator tells its own."""
    found: list[InitErrorDetails] = []
    for line in lines.splitlines():
        place, _, message = line.partition(": ")
        kind = PydanticCustomError("ablation", "{message}", {"message": message})
        found.append({"type": kind, "loc": tuple(place.split(".")), "input": {}})
    return found


def _shown(size: tuple[int, int] | None) -> str:
    return "nothing" if size is None else f"{size[0]}x{size[1]}"


def nearest(name: str, known: list[str]) -> str:
    """`" (did you mean 'x'?)"` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(known)})" if known else ""


def load(path: Path | str) -> Config:
    """Read and validate a configuration file (YAML or JSON).

    Raises:
        UserError: the file is missing, unreadable or has mistakes; all of them are listed.
    """
    return parse(read(path), source=str(path))


def read(path: Path | str) -> dict[str, Any]:
    """Read a configuration file (YAML or JSON) without validating its settings.

    Raises:
        UserError: the file is missing or unreadable.
    """
    import yaml

    path = Path(path)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _loader())  # noqa: S506 (a safe one)
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a configuration file ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of settings, found {type(values).__name__}")
    return values


@cache
def _loader() -> type[Any]:
    """YAML's safe loader, but a key that stands twice in a mapping is a mistake; others take the later one."""
    import yaml

    class Loader(yaml.SafeLoader):
        # as written: once constructed, a mapping also holds what `<<` merged into it
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 (the library's)
            node = super().compose_mapping_node(anchor)
            lines: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
                    problem = f"{key.value!r} stands in line {lines[key.value]} already; leave one of them out"
                    raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            return node

    return Loader


def parse(values: Mapping[str, Any], source: str = "configuration") -> Config:
    """Validate a mapping of settings.

    Args:
        values: what a YAML file or Snakemake's merged `config` holds.
        source: named in the error message.

    Raises:
        UserError: listing every mistake, with the nearest valid key for a typo.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        lines = "\n".join(f"  {_explain(details)}" for details in error.errors())
        count = error.error_count()
        raise UserError(f"{source}: {count} mistake{'s' if count > 1 else ''}\n{lines}") from None


def _explain(details: ErrorDetails) -> str:
    place = ".".join(str(part) for part in details["loc"]) or "(whole file)"
    if details["type"] == "extra_forbidden":
        section = _section_at(details["loc"][:-1])
        return f"{place}: no such setting{nearest(str(details['loc'][-1]), sorted(section.model_fields))}"
    if details["type"] == "missing":
        return f"{place}: this setting is needed"
    message = details["msg"].removeprefix("Value error, ")
    given = details.get("input")
    shown = "" if isinstance(given, (dict, BaseModel)) else f" (found {given!r})"
    return f"{place}: {message}{shown}"


def _section_at(location: tuple[int | str, ...]) -> type[Section]:
    """The section class at a place such as ("stages", "base", "train")."""
    section: type[Section] = Config
    entries: type[Section] | None = None  # of a mapping of names to sections
    for part in location:
        if entries is not None:
            section, entries = entries, None
        elif part in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            if isinstance(annotation, type) and issubclass(annotation, Section):
                section = annotation
            elif get_origin(annotation) is dict and issubclass(get_args(annotation)[1], Section):
                entries = get_args(annotation)[1]
    return section


def json_schema() -> dict[str, Any]:
    """The JSON schema, with references written out (the workflow catalog follows `properties` only)."""
    schema = Config.model_json_schema()
    definitions = schema.pop("$defs", {})

    def expand(node: Any) -> Any:  # noqa: ANN401 (JSON is any)
        if isinstance(node, dict):
            if "$ref" in node:
                name = node["$ref"].rsplit("/", 1)[-1]
                rest = {key: value for key, value in node.items() if key != "$ref"}
                return {**expand(definitions[name]), **expand(rest)}
            return {key: expand(value) for key, value in node.items()}
        if isinstance(node, list):
            return [expand(item) for item in node]
        return node

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **expand(schema)}


if __name__ == "__main__":
    if sys.argv[1:] != ["--schema"]:
        sys.exit("usage: python -m tryon.config --schema")
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
