"""Weights that the configuration provides for metrics. Nothing is computed with others, nothing is made up."""

from __future__ import annotations

from pathlib import Path

from tryon import weights
from tryon.config import EvaluateConfig
from tryon.evaluation.protocols.interface import Weights

WEIGHTS: dict[Weights, str] = {
    "lpips_weights": "AlexNet of torchvision (alexnet-owt-7be5be79.pth), for LPIPS",
    "lpips_squeeze_weights": "SqueezeNet of torchvision (squeezenet1_1-b8a52dc0.pth), for LPIPS of catvton",
    "inception_weights": "Inception in TorchScript (inception-2015-12-05.pt), for FID and KID by clean-fid",
    "fid_inception_weights": "Inception in PyTorch (pt_inception-2015-12-05-6726825d.pth), for FID of dci and tpd",
}
"""Files of weights by setting, with what is in them and their published names."""


def given_weights(cfg: EvaluateConfig) -> dict[Weights, Path]:
    """Files of the weights that the settings name; a URL is fetched once.

    Raises:
        UserError: a file is missing or has another sha256.
    """
    found: dict[Weights, Path] = {}
    for name in WEIGHTS:
        where = getattr(cfg, name)
        if where is not None:
            sha256 = getattr(cfg, name.removesuffix("_weights") + "_sha256")
            found[name] = weights.resolve(where, sha256, setting=f"evaluate.{name}")
    return found
