"""Stand-ins for weights, shared by the tests of protocols."""

from __future__ import annotations

from stand_ins import backbones, weights

__all__ = ["backbones", "weights"]
