"""The one training loop: any stage, any number of processes, stopped and continued without a trace.

`Trainer` holds what changes (weights, optimizer, average) and takes one optimizer step; `fit` decides when
to log, validate, save and leave. Everything random is a function of (seed, step, sample), so the state of a
run is its tensors and its step, and N steps + N steps are bit for bit 2N steps on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from tryon import slurm
from tryon.config import TrainConfig
from tryon.errors import TryAgain, UserError
from tryon.methods.interface import Stage
from tryon.methods.seeds import seed_of
from tryon.training.checkpoints import Checkpoints, Snapshot
from tryon.training.ema import Ema
from tryon.training.feed import Batch, TrainFeed
from tryon.training.journal import Journal, Meter
from tryon.training.schedules import lr_at
from tryon.training.stopping import StopRequest
from tryon.training.validation import Validation

GROUPS = frozenset({"weights", "average", "optimizer"})


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
    """

    def __init__(self, stage: Stage, accelerator: Accelerator) -> None:
        self.stage, self.cfg, self.accelerator = stage, stage.cfg.train, accelerator
        torch.manual_seed(seed_of(self.cfg.seed, "network"))
        self.network = stage.build().to(accelerator.device).train()
        self.ema = Ema(self.network, self.cfg)
        self.optimizer = make_optimizer(self.network, self.cfg)
        self._wrapped: nn.Module = accelerator.prepare_model(self.network)

    def step(self, step: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Take optimizer step `step` (0-based) on this rank's micro-batches.

        Returns:
            Mean loss of the whole batch and the gradient norm before clipping.

        Raises:
            NotFinite: nothing has been changed but the gradients.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr_at(step, self.cfg)
        # for layers that draw from torch's own generator (nn.Dropout): they too are a function of the step
        torch.manual_seed(seed_of(self.cfg.seed, "step", step, self.accelerator.process_index))
        losses = [self._accumulate(batch, is_last=batch is batches[-1]) for batch in batches]
        losses_B = self.accelerator.gather(torch.cat(losses))
        grad_norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.cfg.grad_clip))
        if not (torch.isfinite(losses_B).all() and grad_norm < float("inf")):
            raise NotFinite(losses_B.cpu(), grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.network, step)
        return float(losses_B.double().mean()), grad_norm

    def _accumulate(self, batch: Batch, *, is_last: bool) -> torch.Tensor:
        """Add a micro-batch's share of the gradient of the mean loss over the whole batch; its losses [B]."""
        device = self.accelerator.device
        # processes exchange gradients once per step, with the last micro-batch
        with nullcontext() if is_last else self.accelerator.no_sync(self._wrapped):
            loss_B = self.stage.loss_B(
                self._wrapped,
                batch.target_B3HW.to(device, non_blocking=True),
                batch.conditions.to(device),
                batch.seeds_B,
                condition_dropout=True,
            )
            # DDP averages over the processes, hence their number in the numerator
            share = self.accelerator.num_processes / self.cfg.batch_size
            self.accelerator.backward(loss_B.sum() * share)
        return loss_B.detach()

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Everything that a step changes, by group and name."""
        return {
            "weights": self.network.state_dict(),
            "average": self.ema.network.state_dict(),
            "optimizer": {
                f"{name}|{key}": value
                for name, parameter in self.network.named_parameters()
                for key, value in self.optimizer.state.get(parameter, {}).items()
            },
        }

    def restore(self, tensors: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Take over the tensors of a checkpoint; nothing missing, nothing left over."""
        if tensors.keys() != GROUPS:
            raise UserError(f"the checkpoint holds {sorted(tensors)}, not {sorted(GROUPS)}; delete it and start again")
        self.network.load_state_dict(dict(tensors["weights"]), strict=True)
        self.ema.network.load_state_dict(dict(tensors["average"]), strict=True)
        parameters = dict(self.network.named_parameters())
        for full_name, value in tensors["optimizer"].items():
            name, key = full_name.split("|")
            # copied: a loaded tensor is a window on the file, and the fused kernel wants step counts beside weights
            self.optimizer.state[parameters[name]][key] = value.to(parameters[name].device, copy=True)


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


def fit(run: Run, first_step: int, scalars: Mapping[str, Any]) -> None:
    """Train from first_step (= steps done) to the end, or until asked to stop.

    Raises:
        TryAgain: asked to stop; everything done is saved.
        UserError: a loss or gradient is not finite.
    """
    cfg, accelerator = run.cfg, run.trainer.accelerator
    meter = Meter(cfg.batch_size, window=[list(pair) for pair in scalars.get("window", [])])
    with StopRequest(cfg.budget_s, time_to_train_s(run)) as stop:
        meter.start()
        for step, batches in run.feed.steps(first_step, cfg.num_steps):
            _take_step(run, step, batches, meter)
            done = step + 1
            _log(run, done, meter)
            if _is_due(done, cfg.val_every, cfg):
                validate(run, done)
            reason = stop.reason(accelerator)
            if reason or _is_due(done, cfg.checkpoint_every, cfg):
                _save(run, done, meter)
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


def validate(run: Run, done: int) -> None:
    """Validation loss and pictures of the averaged network, on the first process."""
    trainer = run.trainer
    if run.validation is None or not trainer.accelerator.is_main_process:
        return
    loss = run.validation.loss(trainer.ema.network, trainer.accelerator.device)
    grid_HWC = run.validation.grid_HWC(trainer.ema.network, trainer.accelerator.device)
    run.journal.metrics("val", done, loss=loss)
    run.journal.picture("samples", done, grid_HWC)


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
        run.journal.metrics("train", done, lr=lr_at(done - 1, run.cfg), **means)
        meter.reset()


def _save(run: Run, done: int, meter: Meter) -> None:
    if run.trainer.accelerator.is_main_process:
        run.checkpoints.save(Snapshot(done, run.trainer.tensors(), {"window": meter.window}))
    # a process that left meanwhile would have its launcher end the one that is saving
    run.trainer.accelerator.wait_for_everyone()


def _is_due(done: int, every: int, cfg: TrainConfig) -> bool:
    return done % every == 0 or done == cfg.num_steps
