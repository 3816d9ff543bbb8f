"""Metrics that need trained weights: LPIPS, FID, KID. Without the weights they are not computed, and say so.

Used by `tryon evaluate`. Nothing is downloaded: the weights are files named in the configuration.

- LPIPS (Zhang et al. 2018): the `lpips` package, whose linear layers ship with it, over a torchvision backbone
  given as its state dict (`alexnet-owt-….pth` or `vgg16-….pth`).
- FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018): `clean-fid`'s resizing and distances over the
  TorchScript Inception network `inception-2015-12-05.pt`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tryon.errors import UserError

NOT_GIVEN = "not computed: weights not given"
MIN_PICTURES_FID = 2000
"""Below this the covariance of 2048 features has no full rank and the bias of FID hides what it measures; the
usual test list, VITON-HD's, has 2032 pairs."""
MIN_PICTURES_KID = 50
"""KID is unbiased at any size, but below this its spread is larger than the gaps between published methods."""
NUM_SUBSETS_KID = 100
MAX_SUBSET_KID = 1000
BATCH_SIZE = 16
FIRST_LAYER: dict[tuple[int, ...], str] = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}
MIN_SIDE_LPIPS_PX = {"alex": 31, "vgg": 16}
"""A smaller picture vanishes in the backbone's pooling."""


class Lpips:
    """LPIPS version 0.1, on the whole picture and inside regions.

    Args:
        weights: state dict of torchvision's AlexNet or VGG-16, by which the backbone is known.
    """

    def __init__(self, weights: Path | str) -> None:
        import lpips

        state = _read_state(weights)
        first = tuple(state["features.0.weight"].shape) if "features.0.weight" in state else None
        self.backbone = FIRST_LAYER.get(first or (), "")
        if not self.backbone or (self.backbone == "vgg" and "features.28.weight" not in state):
            raise UserError(
                f"{weights}: not torchvision's AlexNet or VGG-16 (first layer {first}); "
                "evaluate.lpips_weights expects alexnet-owt-7be5be79.pth or vgg16-397923af.pth"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision the old way
            # pnet_rand: the backbone starts random and is filled below, else lpips would download it
            self._network = lpips.LPIPS(net=self.backbone, pnet_rand=True, verbose=False)
        backbone = self._network.net
        wanted = {name: "features." + name.split(".", 1)[1] for name, _ in backbone.named_parameters()}
        backbone.load_state_dict({name: state[source] for name, source in wanted.items()})
        self._network.eval()

    def too_small(self, size_hw: tuple[int, ...]) -> str | None:
        """Why pictures of a size cannot be compared."""
        least_px = MIN_SIDE_LPIPS_PX[self.backbone]
        return f"not computed: {self.backbone} needs sides of {least_px} px" if min(size_hw) < least_px else None

    @torch.no_grad()
    def __call__(
        self, picture_HWC: np.ndarray, truth_HWC: np.ndarray, regions: Mapping[str, np.ndarray]
    ) -> dict[tuple[str, str], float]:
        """{("lpips", region): distance} for "whole" and each region that is not empty; uint8 RGB inputs.

        Pictures below the backbone's smallest size have no distance.
        """
        if self.too_small(truth_HWC.shape[:2]):
            return {}
        inputs = [
            torch.from_numpy(image_HWC / 127.5 - 1).float().permute(2, 0, 1)[None]
            for image_HWC in (picture_HWC, truth_HWC)
        ]
        self._network.spatial = False  # the published number averages each layer at its own size
        values = {("lpips", "whole"): float(self._network(*inputs))}
        inside = {region: mask_HW for region, mask_HW in regions.items() if mask_HW.any()}
        if inside:
            self._network.spatial = True
            map_HW = self._network(*inputs)[0, 0].numpy()
            for region, mask_HW in inside.items():
                values["lpips", region] = float(map_HW[mask_HW].mean(dtype=np.float64))
        return values


def _read_state(weights: Path | str) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{weights}: no such weights file; correct evaluate.lpips_weights or leave it empty") from None
    except Exception as error:  # noqa: BLE001 (torch raises a dozen types here)
        raise UserError(f"{weights}: not a PyTorch state dict ({error})") from None
    if not isinstance(state, dict):
        raise UserError(f"{weights}: holds a {type(state).__name__}, not a state dict; save model.state_dict()")
    return state


class Inception:
    """Features of the Inception network that FID and KID are defined by.

    Args:
        weights: the TorchScript file `inception-2015-12-05.pt`.
    """

    def __init__(self, weights: Path | str) -> None:
        from cleanfid.resize import build_resizer

        if not Path(weights).is_file():
            raise UserError(f"{weights}: no such weights file; correct evaluate.inception_weights or leave it empty")
        try:
            network = torch.jit.load(str(weights), map_location="cpu").eval()
            self._layers: nn.Module = network.layers
        except (RuntimeError, AttributeError) as error:
            raise UserError(
                f"{weights}: not the TorchScript Inception network ({str(error).splitlines()[0]}); "
                "evaluate.inception_weights expects inception-2015-12-05.pt"
            ) from None
        self._resize = build_resizer("clean")

    @torch.no_grad()
    def features(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """uint8 RGB pictures of any size → float64 [N, 2048]; read in batches, so `pictures` may be lazy."""
        rows: list[np.ndarray] = []
        batch: list[torch.Tensor] = []

        def flush() -> None:
            if batch:
                features_BD = self._layers((torch.stack(batch) - 128) / 128)
                rows.append(features_BD.reshape(len(batch), -1).double().numpy())
                batch.clear()

        for picture_HWC in pictures:
            batch.append(torch.from_numpy(self._resize(picture_HWC)).permute(2, 0, 1))
            if len(batch) == BATCH_SIZE:
                flush()
        flush()
        return np.concatenate(rows) if rows else np.zeros((0, 2048))


def fid(features_a_ND: np.ndarray, features_b_ND: np.ndarray) -> float | str:
    """Fréchet distance of two feature sets, or the reason why it would mean nothing."""
    from cleanfid.fid import frechet_distance

    num = min(len(features_a_ND), len(features_b_ND))
    if num < MIN_PICTURES_FID:
        return f"not computed: {num} pictures, FID needs {MIN_PICTURES_FID}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid passes scipy an argument of its day
        moments = [(f.mean(axis=0), np.cov(f, rowvar=False)) for f in (features_a_ND, features_b_ND)]
        return float(frechet_distance(*moments[0], *moments[1]))


def kid(features_a_ND: np.ndarray, features_b_ND: np.ndarray, seed: int) -> float | str:
    """Kernel distance of two feature sets (not multiplied by 1000), or the reason why it would mean nothing."""
    from cleanfid.fid import kernel_distance

    num = min(len(features_a_ND), len(features_b_ND))
    if num < MIN_PICTURES_KID:
        return f"not computed: {num} pictures, KID needs {MIN_PICTURES_KID}"
    state = np.random.get_state()  # clean-fid draws its subsets from numpy's global generator
    np.random.seed(seed % 2**32)
    try:
        return float(kernel_distance(features_a_ND, features_b_ND, NUM_SUBSETS_KID, MAX_SUBSET_KID))
    finally:
        np.random.set_state(state)
