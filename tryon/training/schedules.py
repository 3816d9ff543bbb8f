"""What changes over a run, as pure functions of the step: learning rate and the EMA's decay.

A step is 0-based and counts optimizer steps (never micro-batches), so restarting changes nothing.
"""

from __future__ import annotations

import math

from tryon.config import TrainConfig


def lr_at(step: int, cfg: TrainConfig) -> float:
    """Learning rate of one optimizer step: linear warm-up, flat, then half a cosine.

    Warm-up and decay multiply where they overlap.

    Args:
        step: 0-based; the first step already learns, at lr / warmup_steps.
        cfg: lr, warmup_steps, decay_from, decay_to, num_steps.
    """
    warmup = min(1.0, (step + 1) / cfg.warmup_steps) if cfg.warmup_steps else 1.0
    decay_start = cfg.decay_from * cfg.num_steps
    if step <= decay_start:
        return cfg.lr * warmup
    progress = min(1.0, (step - decay_start) / (cfg.num_steps - decay_start))
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return cfg.lr * warmup * (cfg.decay_to + (1.0 - cfg.decay_to) * cosine)


def ema_decay_at(step: int, cfg: TrainConfig) -> float:
    """Share of the old average kept after a 0-based step; rises to ema_decay so that early weights fade fast.

    min(ema_decay, (1 + n) / (10 + n)) with n averages taken before: the rule of TensorFlow's
    ExponentialMovingAverage, also in diffusers' EMAModel. Nothing precedes step 0: its weights are the
    average.
    """
    return min(cfg.ema_decay, (1 + step) / (10 + step)) if step else 0.0
