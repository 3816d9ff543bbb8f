"""The networks under FID and KID, each fed by the package that a protocol declares; and what they said before.

Features of true pictures are kept by content, so that judging the next system, or the same one again, pays for its
own pictures alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch
from torch import nn

from tryon import files
from tryon.errors import UserError
from tryon.evaluation.protocols.interface import Features
from tryon.evaluation.protocols.similarity import read_state

PUBLISHED = {
    "inception_weights": "inception-2015-12-05.pt",
    "fid_inception_weights": "pt_inception-2015-12-05-6726825d.pth",
}


class Extractor(Interface):
    """Pictures → features; made by `open_extractor`."""

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 RGB pictures, each of any size → float32 [N, num]."""
        ...


def open_extractor(declared: Features, weights: Path | str) -> Extractor:
    """The network of a declaration.

    Raises:
        UserError: not the weights of that network.
    """
    if declared.package == "clean-fid":
        return CleanFid(declared, weights)
    return TorchFidelity(declared, weights) if declared.package == "torch-fidelity" else PytorchFid(declared, weights)


class CleanFid:
    """clean-fid's resizing before the TorchScript Inception network."""

    def __init__(self, declared: Features, weights: Path | str) -> None:
        from cleanfid.resize import build_resizer

        if not Path(weights).is_file():
            raise UserError(f"evaluate.{declared.weights}: {weights}: no such weights file; correct the path, or null")
        try:
            self._layers: nn.Module = torch.jit.load(str(weights), map_location="cpu").eval().layers
        except (RuntimeError, AttributeError) as error:
            raise UserError(
                f"evaluate.{declared.weights}: {weights}: not the TorchScript Inception network "
                f"({str(error).splitlines()[0]}); give {PUBLISHED['inception_weights']}"
            ) from None
        self._resize = build_resizer("clean")

    @torch.no_grad()
    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 RGB pictures of any sizes → float32 [N, num]."""
        batch = torch.stack([torch.from_numpy(self._resize(image)).permute(2, 0, 1) for image in pictures])
        features: np.ndarray = self._layers((batch - 128) / 128).reshape(len(batch), -1).float().numpy()
        return features


class TorchFidelity:
    """torch-fidelity's Inception, which resizes inside as TensorFlow 1 did."""

    def __init__(self, declared: Features, weights: Path | str) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        read_state(weights, declared.weights)  # the package would unpickle whatever lies there
        try:
            self._network = FeatureExtractorInceptionV3(
                "inception-v3-compat", [str(declared.num)], feature_extractor_weights_path=str(weights)
            )
        except RuntimeError as error:
            raise _not_inception(declared, weights, error) from None

    @torch.no_grad()
    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 RGB pictures of any sizes → float32 [N, num]."""
        return _by_size(pictures, lambda batch_BHWC: self._network(batch_BHWC.permute(0, 3, 1, 2))[0])


class PytorchFid:
    """pytorch-fid's Inception, which resizes inside by bilinear interpolation without antialiasing."""

    def __init__(self, declared: Features, weights: Path | str) -> None:
        from pytorch_fid import inception

        state = read_state(weights, declared.weights)
        # the package names no file: it asks this function for the content of an address
        fetch = inception.load_state_dict_from_url
        inception.load_state_dict_from_url = lambda *_args, **_kwargs: state
        try:
            block = inception.InceptionV3.BLOCK_INDEX_BY_DIM[declared.num]
            self._network = inception.InceptionV3([block]).eval()
        except RuntimeError as error:
            raise _not_inception(declared, weights, error) from None
        finally:
            inception.load_state_dict_from_url = fetch

    @torch.no_grad()
    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 RGB pictures of any sizes → float32 [N, num]."""

        def extract(batch_BHWC: torch.Tensor) -> torch.Tensor:
            planes = self._network(batch_BHWC.permute(0, 3, 1, 2).float() / 255)[0]
            return torch.nn.functional.adaptive_avg_pool2d(planes, (1, 1))

        return _by_size(pictures, extract)


def _by_size(pictures: Sequence[np.ndarray], extract: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """Features in the order of the pictures; those of one size share a batch."""
    sizes = {image.shape for image in pictures}
    groups = [pictures] if len(sizes) == 1 else [[image] for image in pictures]
    found = [extract(torch.from_numpy(np.stack(group))) for group in groups]
    rows: np.ndarray = torch.cat(found).reshape(len(pictures), -1).float().numpy()
    return rows


def _not_inception(declared: Features, weights: Path | str, error: Exception) -> UserError:
    return UserError(
        f"evaluate.{declared.weights}: {weights}: not the Inception network of FID in PyTorch's form "
        f"({str(error).splitlines()[0]}); give {PUBLISHED['fid_inception_weights']}"
    )


def identity(declared: Features, weights: Path | str) -> str:
    """What besides the pixels decides features: package, version, network."""
    parts = (declared.package, importlib.metadata.version(declared.package), str(declared.num))
    return hashlib.sha256("\0".join((*parts, files.sha256_file(weights))).encode()).hexdigest()[:16]


class FeatureCache:
    """Features of pictures by content; several processes may use one folder.

    Args:
        folder: may be deleted at any time.
        network: `identity` of the network.
    """

    def __init__(self, folder: Path, network: str) -> None:
        self._folder = folder / network

    def read(self, image_HWC: np.ndarray) -> np.ndarray | None:
        """float32 [num] of a uint8 RGB picture, or None where nobody has asked for it before."""
        path = self._path(image_HWC)
        if not path.is_file():
            return None
        with contextlib.suppress(PermissionError):  # a colleague's file; its owner's evaluations touch it
            os.utime(path)  # `tryon gc` removes what the last evaluation did not ask for
        return np.frombuffer(path.read_bytes(), np.float32)

    def keep(self, image_HWC: np.ndarray, features: np.ndarray) -> None:
        """Remember the features of a picture."""
        files.write_bytes(self._path(image_HWC), features.tobytes())

    def _path(self, image_HWC: np.ndarray) -> Path:
        digest = hashlib.sha256(repr(image_HWC.shape).encode() + np.ascontiguousarray(image_HWC).tobytes()).hexdigest()
        return self._folder / digest[:2] / f"{digest}.f32"
