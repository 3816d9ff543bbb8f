"""What the workflow's rules ask: settings and code digests, the shards of a run, and how a command starts.

Rules in workflow/rules hold wiring only; their logic is here, importable without running Snakemake. Every
process that Snakemake starts reads this module, so it imports nothing heavy.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shlex
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tryon import check, digests, environments, files, leash, runs, slurm, slurm_watch, variants
from tryon import config as configuration
from tryon.cli import STAGES
from tryon.dataset import formats
from tryon.dataset.fingerprint import folder_digest
from tryon.errors import UserError
from tryon.runs import STATE
from tryon.variants import Variants
from tryon.weights import weights_digest

ROOT = Path(__file__).resolve().parent.parent
NOTES = STATE / "stopped"
READ_THE_DATA = frozenset({"dataset", "pairs", "masks", "keypoints", "evaluate", "report", "ablation"})
"""Stages that read files of the data folder through the reader of its format."""


def read_config(workflow: Any, values: Mapping[str, Any]) -> configuration.Config:  # noqa: ANN401 (untyped library)
    """Validate what Snakemake merged, before any job is planned.

    Args:
        workflow: Snakemake's workflow object.
        values: the `config` of the Snakefile that asks.

    Raises:
        SystemExit: mistakes in the settings; all are listed on stderr first.
    """
    merged = dict(values)
    if not workflow.modifier.skip_configfile:
        # a module that was given no config starts empty, so the command line's settings are laid over here
        from snakemake.utils import update_config

        update_config(merged, workflow.config_settings.overwrite_config)
    source = ", ".join(map(str, workflow.configfiles or workflow.overwrite_configfiles))
    if not merged:
        _leave(
            UserError(f"no settings: {Path.cwd()} has no config.yaml; give one with --configfile, see config/presets/")
        )
    try:
        cfg = configuration.parse(merged, source=source or "--config")
        if workflow.is_main_process:
            for path in workflow.configfiles:
                configuration.read(path)  # Snakemake takes the later of two equal keys without a word
            _refuse_mistakes(cfg, source or "--config")
    except UserError as error:
        _leave(error)
    return cfg


def has_settings(path: str) -> bool:
    """Whether a configuration file is there.

    Raises:
        SystemExit: it is, but cannot be read; the reason is on stderr.
    """
    if not Path(path).exists():
        return False
    try:
        configuration.read(path)
    except UserError as error:
        _leave(error)
    return True


def _leave(error: UserError) -> NoReturn:
    """End as the commands do; an exception would be printed with the frames that it came through."""
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)


def _refuse_mistakes(cfg: configuration.Config, source: str) -> None:
    mistakes, _ = check.problems(cfg)
    if mistakes:
        lines = "\n".join(f"  {mistake}" for mistake in mistakes)
        raise UserError(
            f"{source}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''} would stop the run\n{lines}"
        )


def untracked(value: Any) -> Callable[..., Any]:  # noqa: ANN401 (any parameter)
    """A rule parameter that reaches the command line but reruns nothing when it changes.

    Snakemake does not track a parameter whose function asks for `input`: it counts as derived from it.
    """

    def derived(wildcards: Any, input: Any) -> Any:  # noqa: ANN401, A002, ARG001 (names that Snakemake passes)
        return value() if callable(value) else value

    return derived


class Wiring:
    """The answers for one configuration; the rules call nothing else."""

    def __init__(self, cfg: configuration.Config, workflow: Any) -> None:  # noqa: ANN401 (untyped library)
        self.cfg = cfg
        self.results = cfg.results
        self.folder = cfg.data if cfg.data is not None else f"{cfg.results}/data"
        self._workflow = workflow
        self._variants = Variants(cfg, cfg.ablation_rows)
        self._config_file = _write_config(cfg)
        if workflow.is_main_process:
            free_locks_of_killed_runs(Path(".snakemake"))
            slurm_watch.install(NOTES)
        # start of every command; the rest of the line is the rule's own
        self.tryon = untracked(self._start)
        self.data = untracked(self.folder)
        self.into = untracked(cfg.results)
        self.cache = untracked(f"{cfg.results}/cache")

    def config(self, wildcards: Any, input: Any) -> str:  # noqa: ANN401, A002, ARG002 (Snakemake's names)
        """File of the settings that a job works with; untracked, see `untracked`."""
        cfg = self._of_job(wildcards)
        return self._config_file if cfg is self.cfg else _write_config(cfg)

    # ---- what decides a rerun

    def code(self, stage: str) -> str:
        """Digest of the stage's module, the reader it uses, and of everything they import from this package."""
        readers = [formats.module(self.cfg.dataset)] if stage in READ_THE_DATA else []
        return digests.code_digest(STAGES[stage].module, *readers)

    def environment(self, stage: str) -> Callable[[Any], str]:
        """Digest of the pins of the stage's conda environment, which are the venv's too (docs/conda.md)."""

        def digest(wildcards: Any) -> str:  # noqa: ANN401 (Snakemake's wildcards)
            return environments.environment_digest(stage, self._kinds(wildcards))

        return digest

    def settings(self, stage: str) -> str:
        """Digest of the settings that shape the stage's result."""
        return digests.config_digest(*self._sections(stage, self.cfg))

    def settings_of_row(self, stage: str) -> Callable[[Any], str]:
        """As `settings`, of the row of an ablation that a job is for."""
        return lambda wildcards: digests.config_digest(*self._sections(stage, self._of_job(wildcards)))

    def stage_settings(self, wildcards: Any) -> str:  # noqa: ANN401 (Snakemake's wildcards)
        """Digest of one training stage's settings."""
        return digests.config_digest(self._of_job(wildcards).stages[wildcards.stage])

    def weights(self, *names: str) -> Callable[[Any], str]:
        """Digest of weight files named by settings such as ``"cutouts.checkpoint"``, read when a job asks."""

        def digest(wildcards: Any) -> str:  # noqa: ANN401 (Snakemake's wildcards)
            return _weights(tuple(_place_of(name, self._of_job(wildcards)) for name in names))

        return digest

    def metric_weights(self, wildcards: Any) -> str:  # noqa: ANN401, ARG002 (Snakemake's wildcards)
        """Digest of every file and folder that the metrics' settings name, read when a job asks."""
        cfg = self.cfg.evaluate
        found = [
            None if (where := getattr(cfg, name)) is None else weights_digest(where, sha256)
            for name, sha256 in cfg.weights_sha256.items()
        ]
        return digests.digest(found)

    def raw(self, wildcards: Any) -> str:  # noqa: ANN401, ARG002 (Snakemake's wildcards)
        """Digest of the content of the user's photos and annotations; a touch changes nothing."""
        if self.cfg.data is None:
            return "rendered"
        return _fingerprint(self.cfg.data, formats.reader(self.cfg.dataset).watched)

    # ---- input files

    def rendered(self, wildcards: Any) -> list[str]:  # noqa: ANN401, ARG002 (Snakemake's wildcards)
        """The studio's output where no data folder is given."""
        return [f"{self.folder}/studio.json"] if self.cfg.data is None else []

    def packs(self, checkpoints: Any, suffix: str) -> Callable[[Any], list[str]]:  # noqa: ANN401
        """One packed file, or its table, per shard; known once the checkpoint `pairs` has run.

        Args:
            checkpoints: Snakemake's checkpoints.
            suffix: ``"safetensors"``, or ``"parquet"`` for the tables.
        """

        def inputs(wildcards: Any) -> list[str]:  # noqa: ANN401 (Snakemake's wildcards)
            keys = Path(checkpoints.pairs.get().output.shards).read_text(encoding="utf-8").split()
            folder = self._variants.pack(self._of_job(wildcards))
            return [f"{self.results}/{folder}/{key}.{suffix}" for key in keys]

        return inputs

    def cutouts(self, wildcards: Any) -> str:  # noqa: ANN401 (Snakemake's wildcards)
        """Cut-outs of a shard that is packed."""
        return f"{self.results}/{self._variants.cutouts(self._of_job(wildcards))}/{wildcards.key}.parquet"

    @property
    def systems(self) -> list[str]:
        """What is sampled and judged."""
        return self.cfg.systems

    def trained(self, wildcards: Any) -> list[str]:  # noqa: ANN401 (Snakemake's wildcards)
        """Weights of the stages that a system chains."""
        cfg = self._of_job(wildcards)
        folders = [self._variants.train(cfg, stage) for stage in stages_of(cfg, wildcards.system)]
        return [f"{self.results}/{folder}/weights.safetensors" for folder in folders]

    # ---- ablations

    def into_row(self, wildcards: Any, input: Any) -> str:  # noqa: ANN401, A002, ARG002 (Snakemake's names)
        """Folder of a row's pictures and scores, laid out as a results folder; untracked."""
        return f"{self.results}/variants/rows/{wildcards.variant}"

    def pages_of_ablations(self, wildcards: Any) -> list[str]:  # noqa: ANN401, ARG002 (Snakemake's wildcards)
        """What the target `ablations` asks for.

        Raises:
            SystemExit: the settings name none; said on stderr.
        """
        if not self.cfg.ablations:
            _leave(UserError("no ablations in the settings; name what to compare, see docs/ablations.md"))
        return [f"{self.results}/ablation/{name}/index.html" for name in self.cfg.ablations]

    def of_rows(self, file: str) -> Callable[[Any], list[str]]:
        """A file of every row of an ablation, such as ``"evaluate/metrics.parquet"``."""

        def files(wildcards: Any) -> list[str]:  # noqa: ANN401 (Snakemake's wildcards)
            folders = [row["folder"] for row in self._ablation(wildcards.ablation)["rows"]]
            return [os.path.normpath(f"{self.results}/{folder}/{file}") for folder in folders]

        return files

    def trainings_of_rows(self, wildcards: Any) -> list[str]:  # noqa: ANN401 (Snakemake's wildcards)
        """What each training of an ablation's rows left, every one once."""
        rows = self._ablation(wildcards.ablation)["rows"]
        folders = dict.fromkeys(folder for row in rows for folder in row["train"].values())
        return [f"{self.results}/{folder}/summary.json" for folder in folders]

    def ablation(self, wildcards: Any) -> str:  # noqa: ANN401 (Snakemake's wildcards)
        """Digest of what an ablation's page says of its rows."""
        shown = (self.cfg.evaluate.num_bootstrap, self.cfg.evaluate.seed, self.cfg.report)
        return digests.config_digest(self._ablation(wildcards.ablation), *shown)

    def rows_file(self, wildcards: Any, input: Any) -> str:  # noqa: ANN401, A002, ARG002 (Snakemake's names)
        """File that tells `tryon ablation` which rows there are and where; untracked, see `ablation`."""
        return _write("ablation", self._ablation(wildcards.ablation))

    def _ablation(self, name: str) -> dict[str, Any]:
        """What `tryon.evaluation.ablation` reads: an ablation's rows in order, with their folders in RESULTS."""
        if name not in self.cfg.ablations:
            known = ", ".join(self.cfg.ablations) or "none"
            _leave(UserError(f"ablations.{name}: no such ablation (there are: {known})"))
        ablation, run = self.cfg.ablations[name], variants.row_digest(self.cfg, with_lists=False)
        changes = variants.rows_of(ablation)
        rows = [
            {
                "name": row_name,
                "changes": changes[row_name],
                "is_run": variants.row_digest(cfg, with_lists=False) == run,
                "folder": self._variants.row(cfg),
                "stage": cfg.cascade[-1],
                "train": {stage: self._variants.train(cfg, stage) for stage in cfg.cascade},
            }
            for row_name, cfg in self.cfg.ablation_rows[name].items()
        ]
        return {
            "name": name,
            "paths": list(ablation.vary),
            "is_grid": not ablation.rows,
            "metrics": list(ablation.metrics),
            "lists": list(ablation.lists or self.cfg.sample.lists),
            "num_pairs": ablation.num_pairs,
            "rows": rows,
        }

    # ---- how commands start

    def start_training(self, wildcards: Any, input: Any) -> str:  # noqa: ANN401, A002, ARG002 (Snakemake's names)
        """As `tryon`, for the rule that trains: with a launcher where it runs as several processes."""
        train = self._of_job(wildcards).stages[wildcards.stage].train
        if train.num_processes == 1:
            return self._start()
        options = f"--nodes {train.nodes} --gpus {train.gpus} --threads {train.threads}"
        return f"{self._start('tryon.launch')} {options} --"

    @property
    def start_sampling(self) -> Callable[..., str]:
        """As `tryon`, for the rule that samples: with a launcher where several GPUs share the pairs."""
        sample = self.cfg.sample
        if sample.gpus <= 1:
            return untracked(self._start)
        options = f"--gpus {sample.gpus} --threads {sample.threads}"
        return untracked(lambda: f"{self._start('tryon.launch')} {options} --")

    # ---- where jobs run

    def conda(self, stage: str) -> Callable[[Any], str]:
        """The environment file of `train` or `sample`, which depends on the kinds of the training stages."""

        def path(wildcards: Any) -> str:  # noqa: ANN401 (Snakemake's wildcards)
            return f"../../envs/{environments.family(stage, self._kinds(wildcards))}.yaml"

        return path

    # ---- resources

    def resources(self, *, mem_mb: int, runtime: int, gpu: int = 0) -> dict[str, Any]:
        """What a job asks of the scheduler, and where on a cluster it goes.

        Args:
            mem_mb: megabytes; each further attempt asks for as much more.
            runtime: minutes; likewise.
            gpu: number of GPUs.
        """
        return {
            "mem_mb": self._more_on_retry(mem_mb, self.cfg.cluster.max_mem_mb),
            "runtime": self._more_on_retry(runtime, self.cfg.cluster.max_runtime_min),
            "gpu": gpu,
            **{name: self._place(name, gpu) for name in ("slurm_partition", "slurm_account", "gpu_model")},
        }

    def gpus(self, stage: str) -> int:
        """GPUs that a shard job of a stage asks for: one where its settings insist on CUDA."""
        return int(getattr(self.cfg, stage).device.startswith("cuda"))

    def training_resources(self) -> dict[str, Any]:
        """As `resources`, for each training stage by its own settings."""

        def of_stage(name: str) -> Callable[..., Any]:
            def value(wildcards: Any, attempt: int) -> Any:  # noqa: ANN401 (Snakemake's wildcards)
                asked = self._ask_for_training(self._of_job(wildcards).stages[wildcards.stage].train)[name]
                return asked(wildcards, attempt) if callable(asked) else asked

            return value

        return {name: of_stage(name) for name in self._ask_for_training(configuration.TrainConfig())}

    def training_threads(self, wildcards: Any) -> int:  # noqa: ANN401 (Snakemake's wildcards)
        """CPUs of each machine of a training stage: those of its processes together."""
        train = self._of_job(wildcards).stages[wildcards.stage].train
        return train.threads * train.processes_per_node

    @property
    def sampling_threads(self) -> int:
        """CPUs of a sampling job: those of its processes together."""
        return self.cfg.sample.threads * max(1, self.cfg.sample.gpus)

    def _ask_for_training(self, train: configuration.TrainConfig) -> dict[str, Any]:
        together = train.nodes > 1
        return {
            **self.resources(mem_mb=train.mem_mb, runtime=train.runtime_min, gpu=train.gpus * train.nodes),
            # With `mpi` the plugin leaves it to the command to reach the machines, one task on each.
            "mpi": "srun" if together else None,
            "nodes": train.nodes if together else None,
            "tasks": train.nodes if together else None,
            "tasks_per_gpu": 0 if together else None,  # else it would ask for `tasks` tasks per GPU
            "slurm_extra": f"--gpus-per-node={train.gpus}" if together and train.gpus else None,
        }

    @staticmethod
    def _more_on_retry(asked: int, most: int | None) -> Callable[..., int]:
        def value(wildcards: Any, attempt: int) -> int:  # noqa: ANN401, ARG001 (Snakemake's wildcards)
            return asked * attempt if most is None else min(asked * attempt, most)

        return value

    def _place(self, resource: str, gpu: int) -> str | None:
        cluster = self.cfg.cluster
        return {
            "slurm_partition": (gpu and cluster.gpu_partition) or cluster.partition,
            "slurm_account": cluster.account,
            "gpu_model": cluster.gpu_model if gpu else None,
        }[resource]

    # ---- inner workings

    def _kinds(self, wildcards: Any) -> list[str]:  # noqa: ANN401 (Snakemake's wildcards)
        """Kinds of the training stages that a job works with; none where it is no training or sampling job."""
        cfg, given = self._of_job(wildcards), wildcards.keys()
        if "stage" in given:
            return [cfg.stages[wildcards.stage].kind]
        if "system" in given:
            return [cfg.stages[name].kind for name in stages_of(cfg, wildcards.system)]
        return []

    def _of_job(self, wildcards: Any) -> configuration.Config:  # noqa: ANN401 (Snakemake's wildcards)
        """The settings of the run, or of the ablation's row that a job is for."""
        return self._variants.of_job(dict(wildcards.items()))

    @staticmethod
    def _sections(stage: str, cfg: configuration.Config) -> list[Any]:
        if stage == "pack":
            return [cfg.pack, cfg.sizes]
        sections = [getattr(cfg, stage)]
        if stage == "evaluate" and cfg.evaluate.keypoint_consistency:  # its model looks at the results
            sections.append(cfg.keypoints)
        if stage in ("dataset", "inspect"):  # they refuse a larger share than this
            sections.append(cfg.max_quarantined)
        if stage == "inspect":
            sections.append(cfg.report)  # title and language
        return [*sections, cfg.dataset] if stage in READ_THE_DATA and stage != "dataset" else sections

    def _start(self, module: str = "tryon.cli") -> str:
        """How a command of this package starts: this very clone, in the job's own environment."""
        from snakemake.settings.types import DeploymentMethod

        conda = DeploymentMethod.CONDA in self._workflow.deployment_settings.deployment_method
        python = "python" if conda else shlex.quote(sys.executable)
        return (
            f"{leash.PARENT}={os.getpid()} {slurm.NOTES}={shlex.quote(str(NOTES.resolve()))}"
            f" PYTHONPATH={shlex.quote(str(ROOT))} PYTHONNOUSERSITE=1 PYTHONUNBUFFERED=1 {python} -m {module}"
        )


def _place_of(name: str, cfg: configuration.Config) -> tuple[str | None, str | None]:
    """Where weights lie that a setting such as ``"cutouts.checkpoint"`` names, and their sha256 where it is given."""
    section_name, _, field = name.partition(".")
    section = getattr(cfg, section_name)
    return getattr(section, field), getattr(section, "sha256", None) if field == "checkpoint" else None


@functools.cache
def _weights(places: tuple[tuple[str | None, str | None], ...]) -> str:
    return digests.digest([None if where is None else weights_digest(where, sha256) for where, sha256 in places])


@functools.cache
def _fingerprint(data: str, watched: tuple[str, ...]) -> str:
    return folder_digest(data, STATE / f"fingerprint-{digests.digest([data, watched])}.json", watched)


def stages_of(cfg: configuration.Config, system: str) -> list[str]:
    """Training stages of a system, coarse to fine."""
    by_name = {configuration.CASCADE: cfg.cascade, configuration.ORACLE: cfg.cascade[1:]}
    return by_name.get(system, [system])


def _write_config(cfg: configuration.Config) -> str:
    """The resolved settings as a file, for the commands of jobs."""
    return _write("config", cfg.of_jobs.model_dump(mode="json"))


def _write(kind: str, values: Mapping[str, Any]) -> str:
    """Values as a file named by its content."""
    path = STATE / f"{kind}-{digests.digest(values)}.json"
    if not path.is_file():
        files.write_json(path, values)
    return str(path)


_held: list[int] = []


def free_locks_of_killed_runs(folder: Path) -> None:
    """Remove the locks that a killed Snakemake left behind, so that the same command simply continues.

    Every run holds a shared kernel lock for as long as its process lives. Who gets the exclusive one knows that
    no other run of this working directory is alive on this machine; then Snakemake's own lock files are stale.
    Locks that a run on another machine may have left are not touched.

    Args:
        folder: Snakemake's state folder.
    """
    holder = folder / "tryon" / runs.LOCK
    holder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(holder, os.O_RDWR | os.O_CREAT, 0o666)
    _held.append(descriptor)  # kept open: the kernel drops the lock with the process, however it dies
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # another run is alive here: its locks stand
    except OSError as error:
        print(
            f"note: {holder} cannot be locked ({error.strerror}); after a kill, run snakemake --unlock", file=sys.stderr
        )
        return
    else:
        last_host = os.read(descriptor, 256).decode()
        if last_host in ("", socket.gethostname()):
            for lock in (folder / "locks").glob("*.lock"):
                lock.unlink(missing_ok=True)
        os.pwrite(descriptor, socket.gethostname().encode(), 0)
        os.ftruncate(descriptor, len(socket.gethostname().encode()))
    fcntl.flock(descriptor, fcntl.LOCK_SH)
