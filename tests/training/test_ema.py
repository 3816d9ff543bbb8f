"""The average equals its closed form, copies buffers, and never trains."""

from __future__ import annotations

import torch
from torch import nn

from tryon.config import TrainConfig
from tryon.training.ema import Ema
from tryon.training.schedules import ema_decay_at

CFG = TrainConfig(ema_decay=0.6)


def test_average_equals_its_closed_form() -> None:
    """average_n = sum_k w_k * (1 - d_k) * prod_{j > k} d_j, in float64, including the warm-up of the decay."""
    network = nn.Linear(4, 3).double()
    network.register_buffer("counter", torch.zeros((), dtype=torch.float64))
    ema = Ema(network, CFG)
    history = []
    for step in range(12):
        with torch.no_grad():
            network.weight.copy_(torch.randn(3, 4, dtype=torch.float64))
            network.counter.fill_(step)
        ema.update(network, step)
        history.append(network.weight.detach().clone())
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for k, weights in enumerate(history):
        share = 1.0 - ema_decay_at(k, CFG)
        for later in range(k + 1, 12):
            share *= ema_decay_at(later, CFG)
        expected += share * weights
    torch.testing.assert_close(ema.network.weight, expected, rtol=1e-12, atol=1e-12)
    assert ema.network.counter == 11


def test_first_step_is_the_average() -> None:
    network = nn.Linear(2, 2)
    ema = Ema(network, CFG)
    with torch.no_grad():
        network.weight.add_(1.0)
    ema.update(network, 0)
    assert torch.equal(ema.network.weight, network.weight)
    assert not ema.network.weight.requires_grad
    assert not ema.network.training
    assert network.training
    assert network.weight.requires_grad
