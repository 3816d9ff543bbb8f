"""`tryon doctor`: whether this machine, or this cluster, can do what the settings ask for.

    tryon doctor --config config.yaml

One line per finding, ok, warn or fail, with cause and fix. Exit code 1 where something would stop a run. Mistakes in
the settings and the data themselves are `tryon check`'s business.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tryon import config, slurm
from tryon.config import Config
from tryon.errors import UserError
from tryon.plan import most_checkpoints
from tryon.weights import download_path, resolve

PYTHON = (3, 11)
CONDAS = ("conda", "mamba", "micromamba")
PLUGIN = "snakemake_executor_plugin_slurm"
MIN_JOB_AGE_S = 60  # three first waits of the profile between status checks: less, and the plugin asks sacct instead

# Bytes per pixel of a packed photo: picture 3, labels, garments and regions 1 each (tryon.packed).
PACKED_BYTES = 6
# Per photo before packing, over all stages' items and tables, in packed bytes of its largest size: label maps and
# cut-outs are compressed, but of the photo's own size.
ITEM_SHARE = 1.0
# Of what segment-anything's encoder made of a photo: channels x rows x columns in float16.
EMBEDDING_BYTES = {"tryon_small": 64 * 32 * 32 * 2, **dict.fromkeys(("vit_b", "vit_l", "vit_h"), 256 * 64 * 64 * 2)}
PICTURE_BYTES = 3  # of a sampled picture and pixel; as PNG it is less
STATE_COPIES = 4  # of a checkpoint, in weights: the network, its average, and the optimizer's two moments


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: fail: a run would stop; warn: it would run, but look at this.
        what: the part that was looked at, one word.
        text: what was found; for warn and fail also why that matters.
        fix: what to do; empty for ok.
    """

    level: Literal["ok", "warn", "fail"]
    what: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:4}  {self.what:8}  {self.text}"
        return f"{line}\n{'':16}fix: {self.fix}" if self.fix else line


# ---- the machine


def check_python(cfg: Config) -> Iterator[Finding]:  # noqa: ARG001 (one signature for all)
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == PYTHON:
        yield Finding("ok", "python", f"{found}, {sys.executable}")
    else:
        wanted = ".".join(map(str, PYTHON))
        yield Finding(
            "fail",
            "python",
            f"{found}: the locked packages are built for {wanted}",
            f"install Python {wanted}; make setup",
        )


def check_gpu(cfg: Config) -> Iterator[Finding]:
    """GPUs of this machine, their driver, and whether torch can use them."""
    wanted = max(train.gpus for train in _trainings(cfg))
    listed = _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    if listed is None:
        if wanted == 0:
            yield Finding("ok", "gpu", "none here, and no training asks for one")
        elif shutil.which("sbatch"):
            yield Finding("ok", "gpu", f"none here; jobs get theirs from SLURM (up to {wanted} per machine)")
        else:
            yield Finding(
                "warn",
                "gpu",
                f"a training asks for {wanted}, and nvidia-smi finds none: trainings would run on the processor",
                "install NVIDIA's driver, run on a machine with GPUs, or set stages.*.train.gpus to 0",
            )
        return
    for line in listed.splitlines():
        name, driver, memory = (part.strip() for part in line.split(","))
        yield Finding("ok", "gpu", f"{name}, {memory}, driver {driver}")
    usable, num = _usable_gpus(), len(listed.splitlines())
    if usable < num:
        import torch

        yield Finding(
            "fail",
            "gpu",
            f"torch {torch.__version__} (CUDA {torch.version.cuda}) can use {usable} of {num} GPUs",
            "update the driver to one for that CUDA version; check CUDA_VISIBLE_DEVICES",
        )


def check_disk(cfg: Config) -> Iterator[Finding]:
    """Room for everything that the run will make."""
    try:
        parts = disk_plan(cfg)
    except UserError as error:
        yield Finding("fail", "disk", f"what the run will make cannot be estimated: {error}", "run tryon check")
        return
    folder = _existing(Path(cfg.results))
    needed, free = sum(parts.values()), shutil.disk_usage(folder).free
    shown = ", ".join(f"{name} {_size(size)}" for name, size in parts.items())
    text = f"{_size(free)} free at {folder.resolve()}, about {_size(needed)} needed ({shown})"
    if free < needed:
        yield Finding(
            "fail", "disk", text, "free some space, set results to another disk, or lower keep_checkpoints or sizes"
        )
    elif free < 2 * needed:
        yield Finding("warn", "disk", f"{text}: little is left for anything else", "free some space")
    else:
        yield Finding("ok", "disk", text)


def disk_plan(cfg: Config) -> dict[str, int]:
    """Estimated bytes of what a run makes, by part.

    Raises:
        UserError: the data folder cannot be listed.
    """
    photos = _num_photos(cfg)
    pixels = [height * width for height, width in cfg.sizes]
    packed = photos * PACKED_BYTES * sum(pixels)
    weights = {name: 4 * _num_params(cfg, name) for name in cfg.used_stages}
    keeps_embeddings = cfg.cutouts.source == "sam" and cfg.cutouts.keep_embeddings
    return {
        "photos": photos * PICTURE_BYTES * cfg.studio.size_hw[0] * cfg.studio.size_hw[1] if cfg.data is None else 0,
        "preparation": round(photos * PACKED_BYTES * max(pixels) * ITEM_SHARE),
        "embeddings": photos * EMBEDDING_BYTES[cfg.cutouts.model_type] if keeps_embeddings else 0,
        "packed photos": packed,
        # one more than are kept, while the next is being written
        "checkpoints": sum(
            STATE_COPIES * size * (most_checkpoints(cfg.stages[name].train) + 1) for name, size in weights.items()
        ),
        "weights": sum(weights.values()),
        "samples": photos * len(cfg.sample.lists) * PICTURE_BYTES * sum(pixels),
    }


def check_conda(cfg: Config) -> Iterator[Finding]:  # noqa: ARG001
    """The programs that --use-conda needs."""
    found = [name for name in CONDAS if shutil.which(name)]
    if found:
        version = _output(found[0], "--version") or "does not start"
        yield Finding("ok", "conda", f"{', '.join(found)} ({version.strip()})")
    else:
        yield Finding("ok", "conda", f"none of {', '.join(CONDAS)} found; only --use-conda needs one")


# ---- the shared folder


def check_folder(cfg: Config) -> Iterator[Finding]:
    """Whether the results' folder and the working directory can be written, and locks hold there."""
    for name, folder in (("results", _existing(Path(cfg.results))), ("working directory", Path.cwd())):
        shown = f"{name} {folder.resolve()}"
        try:
            with tempfile.TemporaryDirectory(prefix=".tryon-doctor-", dir=folder) as trial:
                problem = _lock_problem(Path(trial))
        except OSError as error:
            yield Finding(
                "fail",
                "folder",
                f"{shown} cannot be written: {error.strerror}",
                "get write permission, or work in and set results to another folder",
            )
            continue
        if problem:
            yield Finding(
                "fail",
                "folder",
                f"{shown}: {problem}, so two runs could write the same files",
                "use a file system with locks (NFS: mount without nolock; Lustre: mount with flock)",
            )
        else:
            yield Finding("ok", "folder", f"{shown}: writable, locks hold")


def _lock_problem(folder: Path) -> str | None:
    """What is wrong with both kinds of locks that runs take, tried between two processes."""
    for name, lock in (("flock", fcntl.flock), ("lockf", fcntl.lockf)):
        path = folder / name
        with path.open("w") as held:
            try:
                lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                return f"{name} fails ({error.strerror})"
            code = (
                "import fcntl, sys\n"
                "try:\n"
                f"    fcntl.{name}(open({str(path)!r}, 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                "except OSError:\n"
                "    sys.exit(3)\n"
            )
            if subprocess.run([sys.executable, "-S", "-c", code], stdin=subprocess.DEVNULL).returncode != 3:
                return f"{name} does not keep a second process out"
    return None


# ---- weights


def check_weights(cfg: Config) -> Iterator[Finding]:
    """Weights of the models that the run uses: there, and the ones that were meant."""
    wanted: list[tuple[str, str, str | None]] = []
    if cfg.keypoints.source != "given":
        wanted.append(("keypoints.checkpoint", cfg.keypoints.checkpoint, cfg.keypoints.sha256))
    if cfg.cutouts.source == "sam":
        wanted.append(("cutouts.checkpoint", cfg.cutouts.checkpoint, cfg.cutouts.sha256))
    for name, digest in cfg.evaluate.weights_sha256.items():
        where = getattr(cfg.evaluate, name)
        if where is not None and name.endswith("_weights"):
            wanted.append((f"evaluate.{name}", where, digest))
    for setting, where, sha256 in wanted:
        yield _check_file(setting, where, sha256)


def _check_file(setting: str, where: str, sha256: str | None) -> Finding:
    if where.startswith(("http://", "https://")) and sha256 is not None and not download_path(where, sha256).is_file():
        return Finding(
            "warn",
            "weights",
            f"{setting}: {where} is fetched by the first job that needs it; machines of a cluster often cannot",
            f"fetch it here into {download_path(where, sha256)}",
        )
    try:
        path = resolve(where, sha256, setting=setting)
    except UserError as error:
        return Finding("fail", "weights", str(error), "see the message")
    checked = "sha256 as given" if sha256 else "no sha256 given to compare with"
    return Finding("ok", "weights", f"{setting}: {path}, {_size(path.stat().st_size)}, {checked}")


# ---- SLURM


@dataclass(frozen=True)
class Partition:
    """A partition as sinfo shows it, one kind of node.

    Attributes:
        name: without the star of the default.
        is_default: whether jobs go there that name none.
        limit_s: longest job in seconds; None: no limit.
        mem_mb: memory of a node in megabytes.
        gpus: generic resources such as ``gpu:a100:4``; empty without GPUs.
    """

    name: str
    is_default: bool
    limit_s: float | None
    nodes: int
    cpus: int
    mem_mb: int
    gpus: str


def check_slurm(cfg: Config) -> Iterator[Finding]:
    """Partitions, kinds of GPU, and whether the plan's jobs fit."""
    if shutil.which("sbatch") is None:
        yield Finding("ok", "slurm", "not on this machine; only --profile workflow/profiles/slurm needs it")
        return
    if importlib.util.find_spec(PLUGIN) is None:
        yield Finding(
            "fail", "slurm", f"{PLUGIN} is not installed in {sys.prefix}", "make setup, and use .venv/bin/snakemake"
        )
    try:
        partitions = read_partitions(slurm.ask("sinfo", "--noheader", "--format=%P|%l|%D|%c|%m|%G"))
        settings = slurm.ask("scontrol", "show", "config")
    except slurm.NoAnswer as error:
        # programs without a cluster are no fault where no setting wants one
        level: Literal["warn", "fail"] = "fail" if cfg.cluster.partition or cfg.cluster.gpu_partition else "warn"
        yield Finding(
            level,
            "slurm",
            f"its programs are here, but no cluster answers ({error})",
            "ask again later, or the cluster's administrators; only --profile workflow/profiles/slurm needs one",
        )
        return
    for one in partitions:
        limit = "no time limit" if one.limit_s is None else f"at most {one.limit_s / 60:g} min"
        yield Finding(
            "ok",
            "slurm",
            f"partition {one.name}{' (default)' if one.is_default else ''}: {one.nodes} x {one.cpus} processors, "
            f"{one.mem_mb} MB, {one.gpus or 'no GPU'}; {limit}",
        )
    yield from _check_job_age(settings)
    yield from _check_cluster(cfg, partitions)


def read_partitions(text: str) -> list[Partition]:
    """Partitions from sinfo's lines ``name|limit|nodes|cpus|memory|gres``."""
    found = []
    for line in text.splitlines():
        name, limit, nodes, cpus, memory, gres = (part.strip() for part in line.split("|"))
        found.append(
            Partition(
                name=name.rstrip("*"),
                is_default=name.endswith("*"),
                limit_s=None if limit in ("infinite", "UNLIMITED") else slurm.parse_time(limit),
                nodes=int(nodes),
                cpus=int(cpus.rstrip("+")),
                mem_mb=int(memory.rstrip("+")),
                gpus="" if gres == "(null)" or "gpu" not in gres else gres,
            )
        )
    return found


def _check_job_age(settings: str) -> Iterator[Finding]:
    """Whether squeue remembers finished jobs for long enough."""
    for line in settings.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MinJobAge":
            age_s = int(value.split()[0])
            if age_s < MIN_JOB_AGE_S:
                yield Finding(
                    "fail",
                    "slurm",
                    f"finished jobs leave squeue after {age_s} s (MinJobAge): sacct would be asked, whose answer for "
                    "a cancelled job Snakemake does not understand",
                    f"ask for MinJobAge of {MIN_JOB_AGE_S} s or more, or add "
                    f"--slurm-init-seconds-before-status-checks {max(1, age_s // 3)}",
                )


def _check_cluster(cfg: Config, partitions: list[Partition]) -> Iterator[Finding]:
    """Whether the partitions of the settings exist and take the trainings."""
    known = sorted({one.name for one in partitions})
    for name, value in (("partition", cfg.cluster.partition), ("gpu_partition", cfg.cluster.gpu_partition)):
        if value is not None and value not in known:
            yield Finding(
                "fail", "slurm", f"cluster.{name}: no partition {value}{config.nearest(value, known)}", "correct it"
            )
    for stage in cfg.used_stages:
        train = cfg.stages[stage].train
        wanted = (train.gpus and cfg.cluster.gpu_partition) or cfg.cluster.partition
        places = [one for one in partitions if (one.name == wanted if wanted else one.is_default)]
        if places:
            yield from _check_training(cfg, stage, places)


def _check_training(cfg: Config, stage: str, places: list[Partition]) -> Iterator[Finding]:
    train, cluster, name = cfg.stages[stage].train, cfg.cluster, places[0].name
    minutes = min(train.runtime_min, cluster.max_runtime_min or train.runtime_min)
    limits = [one.limit_s for one in places if one.limit_s is not None]
    if len(limits) == len(places) and minutes * 60 > max(limits):
        yield Finding(
            "fail",
            "slurm",
            f"stage {stage} asks for {minutes} min, partition {name} allows {max(limits) / 60:g}",
            f"set cluster.max_runtime_min to {max(limits) / 60:g}: training saves before and goes on in a new job",
        )
    memory, most = min(train.mem_mb, cluster.max_mem_mb or train.mem_mb), max(one.mem_mb for one in places)
    if memory > most:
        yield Finding(
            "fail",
            "slurm",
            f"stage {stage} asks for {memory} MB, machines of partition {name} have {most}",
            "lower train.mem_mb, or choose another partition",
        )
    kinds = {one.gpus for one in places if one.gpus}
    if train.gpus and not kinds:
        yield Finding(
            "fail",
            "slurm",
            f"stage {stage} asks for {train.gpus} GPUs per machine, partition {name} has none",
            "set cluster.gpu_partition to one that has",
        )
    elif train.gpus and cluster.gpu_model and not any(f"gpu:{cluster.gpu_model}:" in kind for kind in kinds):
        yield Finding(
            "fail",
            "slurm",
            f"cluster.gpu_model {cluster.gpu_model} is not in partition {name} ({', '.join(sorted(kinds))})",
            "correct it, or null for any",
        )
    if train.nodes > sum(one.nodes for one in places):
        yield Finding(
            "fail",
            "slurm",
            f"stage {stage} asks for {train.nodes} machines, partition {name} has {sum(one.nodes for one in places)}",
            "lower train.nodes",
        )


# ---- inner workings


def _trainings(cfg: Config) -> list[config.TrainConfig]:
    return [cfg.stages[name].train for name in cfg.used_stages]


def _num_photos(cfg: Config) -> int:
    if cfg.data is None:
        return 2 * cfg.studio.num_people  # each person and the shop photo of the garment worn
    from tryon.dataset import formats

    return len(formats.reader(cfg.dataset).scan(Path(cfg.data)).photos)


def _num_params(cfg: Config, name: str) -> int:
    """Parameters of a stage's network, which is laid out without memory for it."""
    import torch

    from tryon.methods import make_stage
    from tryon.methods.interface import num_params

    # a library greets on standard output
    with torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
        return num_params(make_stage(name, cfg).build())


def _usable_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _output(*command: str) -> str | None:
    """What a program prints; None where it is absent or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 and done.stdout.strip() else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _size(num_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    *(check_python, check_gpu, check_disk, check_conda),
    *(check_slurm, check_folder, check_weights),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's options."""
    parser.add_argument("--config", required=True, help="configuration file (YAML or JSON)")
    parser.add_argument("--data", help="data folder, instead of the one that the configuration names")
    parser.add_argument("--results", help="folder of the results, instead of the one that the configuration names")


def run(args: argparse.Namespace) -> int:
    """Print every finding.

    Returns:
        1 where something would stop a run, else 0.
    """
    cfg = config.load(args.config)
    given = {name: value for name in ("data", "results") if (value := getattr(args, name)) is not None}
    cfg = cfg.model_copy(update=given)
    levels = []
    for check in CHECKS:
        for finding in check(cfg):
            print(finding)
            levels.append(finding.level)
    print(f"{levels.count('fail')} to mend, {levels.count('warn')} to look at")
    return int("fail" in levels)
