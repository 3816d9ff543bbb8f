"""SSIM, LPIPS and PSNR of one pair, by the package and the settings that a protocol declares."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch import nn

from tryon.errors import UserError
from tryon.evaluation.metrics import psnr_from_squared_error
from tryon.evaluation.protocols.interface import Lpips, Protocol, Ssim
from tryon.evaluation.protocols.prepare import BILINEAR, Prepared, resized

FIRST_LAYER = {"alex": (64, 3, 11, 11), "squeeze": (64, 3, 3, 3)}
PUBLISHED = {"alex": "alexnet-owt-7be5be79.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}
MIN_SIDE_PX = {"alex": 31, "squeeze": 17}
"""A smaller picture vanishes in the backbone's pooling."""


class LpipsNetwork:
    """The network of one declaration of LPIPS.

    Args:
        declared: package and backbone.
        weights: state dict of torchvision's network of that name. The linear layers ship with the packages.

    Raises:
        UserError: not the weights of that network.
    """

    def __init__(self, declared: Lpips, weights: Path | str) -> None:
        self.declared = declared
        state = read_state(weights, declared.weights)
        first = tuple(state["features.0.weight"].shape) if "features.0.weight" in state else None
        network = _build(declared)
        backbone: nn.Module = network.net
        # slice1.0.weight in one package, slices.1.3.squeeze.weight in the other, features.3.squeeze.weight in the file
        wanted = {name: "features." + re.sub(r"^slices?\.?\d+\.", "", name) for name, _ in backbone.named_parameters()}
        missing = sorted(set(wanted.values()) - set(state))
        if first != FIRST_LAYER[declared.backbone] or missing:
            raise UserError(
                f"evaluate.{declared.weights}: {weights}: not torchvision's {declared.backbone} network (first layer "
                f"{first}, {len(missing)} layers missing); give {PUBLISHED[declared.backbone]}"
            )
        backbone.load_state_dict({name: state[source] for name, source in wanted.items()})
        self.network = network.eval()

    def too_small(self, size_hw: tuple[int, ...]) -> str | None:
        """Why pictures of a size have no distance, or None."""
        sides = self.declared.size_hw or size_hw[:2]
        least_px = MIN_SIDE_PX[self.declared.backbone]
        return f"not computed: {self.declared.backbone} needs sides of {least_px} px" if min(sides) < least_px else None

    @torch.no_grad()
    def __call__(self, result_HWC: np.ndarray, truth_HWC: np.ndarray) -> float:
        """The distance of two uint8 RGB pictures of one size."""
        if self.declared.size_hw is not None:
            result_HWC, truth_HWC = (
                resized(image_HWC, self.declared.size_hw, BILINEAR) for image_HWC in (result_HWC, truth_HWC)
            )
        return float(self.network(*(signed(image_HWC) for image_HWC in (result_HWC, truth_HWC))))


def _build(declared: Lpips) -> Any:  # noqa: ANN401 (both packages are untyped)
    """The network with random backbone: told otherwise, both packages would download one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision the old way
        if declared.package == "lpips":
            import lpips

            return lpips.LPIPS(net=declared.backbone, pnet_rand=True, verbose=False)
        # the public metric of torchmetrics has no way to name a file of weights; this is the network that it holds
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        return _NoTrainLpips(net=declared.backbone, pnet_rand=True)


def read_state(weights: Path | str, setting: str) -> dict[str, torch.Tensor]:
    """A state dict, read without running code from the file.

    Raises:
        UserError: missing or something else.
    """
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(
            f"evaluate.{setting}: {weights}: no such weights file; correct the path, or null to leave it out"
        ) from None
    except Exception as error:  # noqa: BLE001 (torch raises a dozen types here)
        raise UserError(f"evaluate.{setting}: {weights}: not a PyTorch state dict ({error})") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"evaluate.{setting}: {weights}: not a state dict of tensors; save model.state_dict()")
    return state


def similarities(protocol: Protocol, pair: Prepared, lpips: LpipsNetwork | None) -> dict[str, float]:
    """{"psnr", "ssim", "lpips": value} of a pair, as far as the protocol has them and weights are given."""
    values: dict[str, float] = {}
    if "psnr" in protocol.paired:
        values["psnr"] = psnr_from_squared_error((pair.result_HWC / 255.0 - pair.truth_HWC / 255.0) ** 2)
    if protocol.ssim is not None:
        values["ssim"] = ssim(protocol.ssim, pair.result_HWC, pair.truth_HWC)
    if lpips is not None and lpips.too_small(pair.truth_HWC.shape) is None:
        values["lpips"] = lpips(pair.result_HWC, pair.truth_HWC)
    return values


def ssim(declared: Ssim, result_HWC: np.ndarray, truth_HWC: np.ndarray) -> float:
    """Structural similarity of two uint8 RGB pictures of one size."""
    if declared.package == "torchmetrics":
        from torchmetrics.functional.image import structural_similarity_index_measure

        value = structural_similarity_index_measure(
            unit(result_HWC),
            unit(truth_HWC),
            data_range=float(declared.data_range),
            sigma=declared.sigma_px,
            kernel_size=declared.window_px,
        )
        return float(value)  # type: ignore[arg-type]
    # scikit-image's window is 2 * int(3.5 sigma + 0.5) + 1 pixels: 11
    settings = {"gaussian_weights": True, "sigma": declared.sigma_px, "use_sample_covariance": False}
    if declared.colour == "grey":
        planes_HW = [np.asarray(Image.fromarray(image_HWC).convert("L")) for image_HWC in (truth_HWC, result_HWC)]
        return float(structural_similarity(*planes_HW, data_range=declared.data_range, **settings))
    colours = (truth_HWC / 255.0, result_HWC / 255.0)
    return float(structural_similarity(*colours, channel_axis=-1, data_range=declared.data_range, **settings))


def unit(image_HWC: np.ndarray) -> torch.Tensor:
    """uint8 RGB → float32 [1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.array(image_HWC)).permute(2, 0, 1)[None].float() / 255


def signed(image_HWC: np.ndarray) -> torch.Tensor:
    """uint8 RGB → float32 [1, 3, H, W] in [-1, 1]."""
    return unit(image_HWC) * 2 - 1
