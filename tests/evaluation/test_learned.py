"""LPIPS inside regions: a seeded stand-in network checks the plumbing to the last digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tryon.errors import UserError
from tryon.evaluation import learned


@pytest.fixture(scope="module")
def alexnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torchvision

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    features = torchvision.models.alexnet(weights=None).features
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, path)
    return path


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 48, 3), dtype=np.uint8)


def test_lpips_equals_the_reference_package(alexnet_file: Path) -> None:
    import lpips

    reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(alexnet_file, weights_only=True)
    for name, parameter in reference.net.named_parameters():
        parameter.data.copy_(state["features." + name.split(".", 1)[1]])
    a, b = pictures(2)
    tensors = [torch.from_numpy(image / 255.0).float().permute(2, 0, 1)[None] for image in (a, b)]
    with torch.no_grad():
        expected = float(reference(*tensors, normalize=True))
    distance = learned.Lpips(alexnet_file)
    assert distance(a, b, {})["lpips", "whole"] == pytest.approx(expected, abs=1e-5)
    assert distance(a, a, {})["lpips", "whole"] == 0.0


def test_lpips_of_a_region_sees_the_region(alexnet_file: Path) -> None:
    truth = pictures(1)[0]
    changed = truth.copy()
    changed[:24] = 0
    top_HW = np.zeros((64, 48), bool)
    top_HW[:24] = True
    bottom_HW = np.zeros((64, 48), bool)
    bottom_HW[-8:] = True
    regions = {"top": top_HW, "bottom": bottom_HW, "none": np.zeros((64, 48), bool)}
    values = learned.Lpips(alexnet_file)(changed, truth, regions)
    assert values["lpips", "top"] > 3 * values["lpips", "bottom"]
    assert ("lpips", "none") not in values


def test_pictures_too_small_for_the_backbone_have_no_distance(alexnet_file: Path) -> None:
    distance = learned.Lpips(alexnet_file)
    small = pictures(1)[0][:, :30]
    assert distance(small, small, {}) == {}
    assert distance.too_small((64, 30)) == "not computed: alex needs sides of 31 px"
    assert distance.too_small((64, 31)) is None
    assert distance(*pictures(2)[:, :31, :31], {})["lpips", "whole"] > 0


@pytest.mark.parametrize("content", ["nothing", "garbage", "other"])
def test_wrong_lpips_weights_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.pth"
    if content == "garbage":
        path.write_bytes(b"not a checkpoint")
    if content == "other":
        torch.save({"head.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="weights.pth"):
        learned.Lpips(path)
