"""Several processes that share the chunks of one sampling run: who does what, and when all have done it.

`tryon.launch` starts them (torchrun), one on each GPU. They meet through gloo, which only ever says "done": pictures
go from stage to stage as files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

from tryon.leash import PATIENCE

Item = TypeVar("Item")


@dataclass(frozen=True)
class Crew:
    """This process and its fellows.

    Attributes:
        rank: number of this process.
        size: number of all.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @classmethod
    def assemble(cls) -> Crew:
        """As the launcher says; a process that was started by hand is alone."""
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = torch.device("cpu")
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
            torch.cuda.set_device(device)
        if size > 1:
            distributed.init_process_group("gloo", timeout=PATIENCE)
        return cls(rank, size, device)

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every process has come here."""
        if self.size > 1:
            distributed.barrier()

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of what all of them hold in the same order."""
        return items[self.rank :: self.size]

    def part(self) -> None:
        """Leave the others; at the end, when nobody waits any more."""
        if self.size > 1:
            distributed.destroy_process_group()
