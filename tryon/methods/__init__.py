"""Networks, losses and sampling of each method, behind one interface (`tryon.methods.interface`)."""

from __future__ import annotations

from tryon.config import Config
from tryon.methods.interface import Stage


def make_stage(name: str, config: Config) -> Stage:
    """The stage that `config.stages[name]` describes."""
    from tryon.methods.tryondiffusion.stages import STAGES

    cfg = config.stages[name]
    return STAGES[cfg.kind](name, cfg)
