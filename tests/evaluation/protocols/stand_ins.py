"""Seeded pictures, and small seeded networks in place of published weights: they check the plumbing to the digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image, ImageDraw

from tryon.evaluation.protocols.interface import Weights

NUM_FEATURES = 24


class InceptionStandIn(torch.nn.Module):
    """Shaped as the TorchScript Inception: `layers` turns [B, 3, 299, 299] in [-1, 1] into features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 7, stride=4), torch.nn.ReLU(), torch.nn.Conv2d(8, NUM_FEATURES, 5, stride=4),
            torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        )  # fmt: skip
        for parameter in self.parameters():
            parameter.data *= 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def draw(size_hw: tuple[int, int], seed: int, *, tint: int = 0, noise: float = 0.0) -> Image.Image:
    """A picture of soft colours with hard edges and fine stripes, so that every filter leaves its own traces."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    coarse = rng.integers(40, 215, (7, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    brush = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.05, 0.2) * width
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(rng.integers(0, 255, 3).tolist()))
    for x in range(0, width // 2, 4):
        brush.line((x, height // 3, x + height // 8, 2 * height // 3), fill=(250, 250, 240))
    values = np.asarray(picture, np.float64) + tint + noise * rng.normal(size=(height, width, 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def write_pairs(
    folder: Path, result_hw: tuple[int, int], truth_hw: tuple[int, int], result_name: str, num: int = 16
) -> tuple[Path, Path]:
    """Folders of results and truths named as VITON-HD's: 00001_00.jpg; results are like their truths, not equal."""
    results, truths = folder / "results", folder / "truths"
    results.mkdir(parents=True)
    truths.mkdir()
    for index in range(num):
        stem = f"{index:05d}_00"
        draw(truth_hw, index).save(truths / f"{stem}.jpg", quality=95)
        result = draw(truth_hw, index, tint=10 + index, noise=12.0).resize(result_hw[::-1], Image.Resampling.BICUBIC)
        result.save(results / result_name.format(stem=stem))
    return results, truths


@pytest.fixture(scope="session")
def backbones() -> dict[str, dict[str, torch.Tensor]]:
    """{"alexnet", "squeezenet", "inception": whole seeded state dict of torchvision's network}."""
    states = {}
    for name, build in (
        ("alexnet", torchvision.models.alexnet),
        ("squeezenet", torchvision.models.squeezenet1_1),
    ):
        torch.manual_seed(len(name))
        states[name] = build(weights=None).state_dict()
    torch.manual_seed(3)
    network = torchvision.models.inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    for name, parameter in network.named_parameters():
        if name.endswith("conv.weight"):
            parameter.data *= 4  # else the first layers' features are almost nothing
    states["inception"] = network.state_dict()
    return states


@pytest.fixture(scope="session")
def weights(
    tmp_path_factory: pytest.TempPathFactory, backbones: dict[str, dict[str, torch.Tensor]]
) -> dict[Weights, Path]:
    """Files of all four settings, in the form of the published ones."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("alexnet", "squeezenet"):  # without the classifier, which is most of it and which LPIPS ignores
        state = {key: value for key, value in backbones[name].items() if key.startswith("features.")}
        torch.save(state, folder / f"{name}.pth")
    torch.save(backbones["inception"], folder / "pt_inception.pth")
    torch.jit.script(InceptionStandIn()).save(str(folder / "inception.pt"))
    return {
        "lpips_weights": folder / "alexnet.pth",
        "lpips_squeeze_weights": folder / "squeezenet.pth",
        "inception_weights": folder / "inception.pt",
        "fid_inception_weights": folder / "pt_inception.pth",
    }
