"""The one training loop: any stage, any number of processes, stopped and continued without a trace.

`Trainer` holds what changes (weights, optimizer, average) and takes one optimizer step; `fit` decides when
to log, validate, save and leave. Everything random is a function of (seed, step, sample), so the state of a
run is its tensors and its step, and N steps + N steps are bit for bit 2N steps on a CPU.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.tensor import DTensor

from tryon import slurm
from tryon.config import TrainConfig
from tryon.errors import TryAgain, UserError
from tryon.methods.interface import Stage
from tryon.methods.seeds import seed_of
from tryon.training import parallel
from tryon.training.checkpoints import Checkpoints, Snapshot
from tryon.training.ema import Ema
from tryon.training.feed import Batch, TrainFeed
from tryon.training.journal import Journal, Meter
from tryon.training.schedules import lr_at
from tryon.training.stopping import StopRequest
from tryon.training.validation import Validation

GROUPS = frozenset({"weights", "average", "optimizer"})
SCALE_GROWS_AFTER = 2000  # steps without overflow, until fp16's loss is scaled by twice as much (torch's default)


class NotFinite(Exception):
    """A step whose loss or gradient is not finite; raised before the weights could take it in."""

    def __init__(self, losses_B: torch.Tensor, grad_norm: float) -> None:
        super().__init__()
        self.losses_B, self.grad_norm = losses_B, grad_norm


class Trainer:
    """Network, optimizer and average of one stage.

    Args:
        stage: builds the network and says what its loss is.
        accelerator: device and processes. Precision is the stage's own, so that it is the same in sampling.

    Attributes:
        network: the bare network; its parameters are the ones that train.
        ema: the average of its weights.
        strategy: how processes or GPUs work together: "single", "ddp", "fsdp" or "dp".
        is_sharded: whether processes share weights, average and optimizer out among them (fsdp).
    """

    def __init__(self, stage: Stage, accelerator: Accelerator) -> None:
        self.stage, self.cfg, self.accelerator = stage, stage.cfg.train, accelerator
        alone = "ddp" if accelerator.num_processes > 1 else "single"
        self.strategy = alone if self.cfg.strategy == "auto" else self.cfg.strategy
        self.is_sharded = self.strategy == "fsdp"
        torch.manual_seed(seed_of(self.cfg.seed, "network"))
        self.network = stage.build().train()
        self.ema = Ema(self.network, self.cfg)
        self._whole: nn.Module | None = None
        if self.is_sharded:
            if accelerator.is_main_process:  # what a validation needs: a network that no call has to gather
                self._whole = copy.deepcopy(self.ema.network)
            parallel.shard(self.ema.network, accelerator.device)
        self._wrapped: nn.Module = parallel.wrap(self.network, self.cfg, accelerator)
        self.ema.network.to(accelerator.device)
        if self.cfg.compile:
            self.ema.network.compile()
        self.optimizer = make_optimizer(self.network, self.cfg)
        self.scaler = torch.amp.GradScaler(
            accelerator.device.type, growth_interval=SCALE_GROWS_AFTER, enabled=self.cfg.precision == "fp16"
        )

    def step(self, step: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Take optimizer step `step` (0-based) on this rank's micro-batches.

        With fp16, gradients that overflow are computed again from a loss scaled by half as much, down to no scaling
        at all. Other trainers skip such a step; here N steps are N updates, and a pair whose gradient is at fault
        itself is found at once.

        Returns:
            Mean loss of the whole batch and the gradient norm before clipping.

        Raises:
            NotFinite: nothing has been changed but the gradients and the scale.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr_at(step, self.cfg)
        losses_B, grad_norm = self._gradients(step, batches)
        while not grad_norm < float("inf") and bool(losses_B.isfinite().all()) and self._lower_scale():
            losses_B, grad_norm = self._gradients(step, batches)
        if not (torch.isfinite(losses_B).all() and grad_norm < float("inf")):
            raise NotFinite(losses_B.cpu(), grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.network, step)
        return float(losses_B.double().mean()), grad_norm

    def _gradients(self, step: int, batches: Sequence[Batch]) -> tuple[torch.Tensor, float]:
        """Clipped gradients of a step; its losses [B] over all processes, and their norm before clipping."""
        # for layers that draw from torch's own generator (nn.Dropout): they too are a function of the step
        torch.manual_seed(seed_of(self.cfg.seed, "step", step, self.accelerator.process_index))
        losses = [self._accumulate(batch, is_last=batch is batches[-1]) for batch in batches]
        losses_B = self.accelerator.gather(torch.cat(losses))
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.cfg.grad_clip)
        return losses_B, float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def _lower_scale(self) -> bool:
        """Whether the loss was scaled, and is by half as much from now on; forgets the gradients."""
        scale = self.scaler.get_scale()
        if not self.scaler.is_enabled() or scale <= 1.0:
            return False
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        # unchanged where single gradients are finite and only their norm is not, which no scale mends
        return self.scaler.get_scale() < scale

    def _accumulate(self, batch: Batch, *, is_last: bool) -> torch.Tensor:
        """Add a micro-batch's share of the gradient of the mean loss over the whole batch; its losses [B]."""
        device = self.accelerator.device
        # processes exchange gradients once per step, with the last micro-batch; under fsdp with each, since whole
        # gradients are what a process has no room for
        with nullcontext() if is_last or self.is_sharded else self.accelerator.no_sync(self._wrapped):
            loss_B = self.stage.loss_B(
                self._wrapped,
                batch.target_B3HW.to(device, non_blocking=True),
                batch.conditions.to(device),
                batch.seeds_B,
                condition_dropout=True,
                worn_B1HW=batch.worn_B1HW.to(device),
            )
            # gradients are averaged over the processes, hence their number in the numerator
            share = self.accelerator.num_processes / self.cfg.batch_size
            self.scaler.scale(loss_B.sum() * share).backward()
        return loss_B.detach()

    @contextmanager
    def averaged(self) -> Iterator[nn.Module | None]:
        """The averaged network, whole and in eval mode; None on all but the first process. Call it on every one."""
        is_main = self.accelerator.is_main_process
        if not self.is_sharded:
            yield self.ema.network if is_main else None
            return
        weights = parallel.whole(self.ema.network.state_dict(), keep=is_main)
        if self._whole is None:
            yield None
            return
        self._whole.load_state_dict(weights)
        yield self._whole.to(self.accelerator.device)
        self._whole.cpu()

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Everything that a step changes, by group and name, whole; complete on the first process.

        Under fsdp it takes all processes; otherwise it is a view, and free.
        """
        optimizer = {
            f"{name}|{key}": value
            for name, parameter in self.network.named_parameters()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        groups = {
            "weights": self.network.state_dict(),
            "average": self.ema.network.state_dict(),
            "optimizer": optimizer,
        }
        is_main = self.accelerator.is_main_process
        return {group: parallel.whole(tensors, keep=is_main) for group, tensors in groups.items()}

    def scalars(self) -> dict[str, Any]:
        """What a step changes besides tensors, as JSON: the state of fp16's loss scale."""
        return {"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}

    def restore(self, tensors: Mapping[str, Mapping[str, torch.Tensor]], scalars: Mapping[str, Any]) -> None:
        """Take over what a checkpoint holds; nothing missing, nothing left over.

        Raises:
            UserError: it is that of another network.
        """
        if tensors.keys() != GROUPS:
            raise UserError(f"the checkpoint holds {sorted(tensors)}, not {sorted(GROUPS)}; delete it and start again")
        try:
            _load(self.network, tensors["weights"])
            _load(self.ema.network, tensors["average"])
            parameters = dict(self.network.named_parameters())
            _refuse_other_moments(parameters, tensors["optimizer"])
            for full_name, value in tensors["optimizer"].items():
                name, key = full_name.split("|")
                # copied: a loaded tensor is a window on the file, and the fused kernel wants steps beside weights
                self.optimizer.state[parameters[name]][key] = parallel.like(value, parameters[name])
        except (RuntimeError, KeyError, ValueError) as error:
            problem = str(error).splitlines()[-1].strip()
            raise UserError(
                f"the checkpoint does not fit this network ({problem}); delete it and start again"
            ) from None
        if self.scaler.is_enabled() and "scaler" in scalars:
            self.scaler.load_state_dict(scalars["scaler"])


def _refuse_other_moments(parameters: Mapping[str, nn.Parameter], moments: Mapping[str, torch.Tensor]) -> None:
    """Raises ValueError unless there are AdamW's three tensors of each trained parameter, in its shape, and no more."""
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    shapes = {f"{name}|{key}": trained[name].shape for name in trained for key in ("exp_avg", "exp_avg_sq")}
    shapes |= {f"{name}|step": torch.Size() for name in trained}
    for name in sorted(shapes.keys() | moments.keys()):
        found = moments[name].shape if name in moments else None
        if found != shapes.get(name):
            wanted = list(shapes[name]) if name in shapes else "nothing"
            raise ValueError(f"optimizer: {name} is {list(found) if found is not None else 'absent'}, not {wanted}")


def _load(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy whole tensors into a network, which may be shared out."""
    places = network.state_dict()
    network.load_state_dict(
        {name: parallel.like(value, places.get(name, value)) for name, value in tensors.items()}, strict=True
    )


def make_optimizer(network: nn.Module, cfg: TrainConfig) -> torch.optim.AdamW:
    """AdamW, fused (one kernel instead of one per tensor); gains and biases are not decayed towards zero."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": cfg.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=cfg.lr, betas=cfg.betas, fused=True)


@dataclass(frozen=True)
class Run:
    """The parts of a run that `fit` works with."""

    trainer: Trainer
    feed: TrainFeed
    checkpoints: Checkpoints
    journal: Journal
    validation: Validation | None

    @property
    def cfg(self) -> TrainConfig:
        """Settings of the stage's training."""
        return self.trainer.cfg


@dataclass
class Best:
    """The lowest validation loss so far.

    Attributes:
        step: optimizer steps done then; None before the first validation.
        loss: it.
    """

    step: int | None = None
    loss: float = float("inf")


def fit(run: Run, first_step: int, scalars: Mapping[str, Any]) -> None:
    """Train from first_step (= steps done) to the end, or until asked to stop.

    Raises:
        TryAgain: asked to stop; everything done is saved.
        UserError: a loss or gradient is not finite.
    """
    cfg, accelerator = run.cfg, run.trainer.accelerator
    meter = Meter(cfg.batch_size, window=[list(pair) for pair in scalars.get("window", [])])
    best = Best(**scalars.get("best", {}))
    with StopRequest(cfg.budget_s, time_to_train_s(run)) as stop:
        meter.start()
        for step, batches in run.feed.steps(first_step, cfg.num_steps):
            _take_step(run, step, batches, meter)
            done = step + 1
            _log(run, done, meter)
            is_best = _is_due(done, cfg.val_every, cfg) and validate(run, done, best)
            reason = stop.reason(accelerator)
            if reason or is_best or _is_due(done, cfg.checkpoint_every, cfg):
                _save(run, done, meter, best)
            if reason and done < cfg.num_steps:
                run.journal.say("stopped", step=done, reason=reason)
                raise TryAgain(f"{reason}; saved at step {done} of {cfg.num_steps}; the same command continues")
            meter.start()


def time_to_train_s(run: Run) -> float | None:
    """Seconds until SLURM's time limit less the margin; None without a limit. The first process asks for all."""
    if not run.trainer.accelerator.is_main_process:
        return None
    try:
        left_s = slurm.seconds_left()
    except slurm.NoAnswer as error:
        run.journal.say("unknown_time_limit", why=str(error), instead="the signal at the limit asks for the save")
        return None
    return None if left_s is None else left_s - run.cfg.margin_s


def validate(run: Run, done: int, best: Best) -> bool:
    """Validation loss and pictures of the averaged network, on the first process.

    Returns:
        Whether the loss is the lowest so far (which `best` notes), agreed on by all processes.
    """
    trainer = run.trainer
    if run.validation is None:
        return False
    is_best = False
    with trainer.averaged() as network:
        if network is not None:
            loss = run.validation.loss(network, trainer.accelerator.device)
            grid_HWC = run.validation.grid_HWC(network, trainer.accelerator.device)
            run.journal.metrics("val", done, loss=loss)
            run.journal.picture("samples", done, grid_HWC)
            is_best = loss < best.loss
            if is_best:
                best.step, best.loss = done, loss
    if trainer.accelerator.num_processes > 1:
        found = trainer.accelerator.gather(torch.tensor([is_best], device=trainer.accelerator.device))
        is_best = bool(found.any())
    return is_best


def _take_step(run: Run, step: int, batches: Sequence[Batch], meter: Meter) -> None:
    try:
        loss, grad_norm = run.trainer.step(step, batches)
    except NotFinite as fault:
        pair_ids = [pair.pair_id for pair, _ in run.feed.samples(step)]
        bad = [id_ for id_, loss in zip(pair_ids, fault.losses_B.tolist(), strict=True) if not abs(loss) < float("inf")]
        what = "loss" if bad else "gradient"
        run.journal.say("not_finite", step=step, what=what, pair_ids=bad or pair_ids, batch=pair_ids)
        raise UserError(
            f"the {what} of step {step} is not finite (pairs {', '.join(bad or pair_ids)}); "
            f"no weight has taken it in. "
            f"Look at these pairs, or lower train.lr {run.cfg.lr:g} or raise train.warmup_steps "
            f"{run.cfg.warmup_steps}; the step is recorded in {run.journal.run_dir}/events.jsonl"
        ) from None
    meter.add(loss, grad_norm)


def _log(run: Run, done: int, meter: Meter) -> None:
    means = meter.means()
    run.journal.progress(done, means["loss"], means["images_per_s"], meter.seconds / meter.num_timed)
    if _is_due(done, run.cfg.log_every, run.cfg):
        run.journal.metrics("train", done, lr=lr_at(done - 1, run.cfg), **means, **_machine_facts(run.trainer))
        meter.reset()


def _machine_facts(trainer: Trainer) -> dict[str, float]:
    """The scale of fp16's loss, and the most memory that this process held on its GPU so far, in GB."""
    facts = {}
    if trainer.scaler.is_enabled():
        facts["loss_scale"] = trainer.scaler.get_scale()
    if trainer.accelerator.device.type == "cuda":
        facts["max_memory_gb"] = torch.cuda.max_memory_allocated(trainer.accelerator.device) / 1e9
    return facts


def _save(run: Run, done: int, meter: Meter, best: Best) -> None:
    trainer = run.trainer
    if trainer.is_sharded or trainer.accelerator.is_main_process:
        tensors = trainer.tensors()
    if trainer.accelerator.is_main_process:
        scalars = {"window": meter.window, **trainer.scalars()}
        if best.step is not None:
            scalars["best"] = dataclasses.asdict(best)
        run.checkpoints.save(Snapshot(done, tensors, scalars), best_step=best.step)
    # a process that left meanwhile would have its launcher end the one that is saving
    trainer.accelerator.wait_for_everyone()


def _is_due(done: int, every: int, cfg: TrainConfig) -> bool:
    return done % every == 0 or done == cfg.num_steps
