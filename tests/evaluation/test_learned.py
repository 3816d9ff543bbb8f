"""LPIPS, FID and KID: seeded stand-in networks check the plumbing to the last digit; no weights, no number."""

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
    assert distance.backbone == "alex"
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


class _StandIn(torch.nn.Module):
    """Shaped as the Inception file: `layers` turns [B, 3, 299, 299] in [-1, 1] into features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = torch.nn.Sequential(torch.nn.AvgPool2d(74), torch.nn.Flatten(), torch.nn.Linear(48, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pt"
    torch.jit.script(_StandIn()).save(str(path))
    return path


def test_features_equal_clean_fids_own_path(inception_file: Path) -> None:
    from cleanfid.resize import build_resizer

    images = pictures(20)
    network = torch.jit.load(str(inception_file))
    resize = build_resizer("clean")
    batch = torch.stack([torch.from_numpy(resize(image)).permute(2, 0, 1) for image in images])
    with torch.no_grad():
        expected = network.layers((batch - 128) / 128).numpy()
    found = learned.Inception(inception_file).features(image for image in images)
    assert found.shape == (20, 8)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_kid_and_fid_are_small_for_one_distribution_and_large_for_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learned, "MIN_PICTURES_FID", 100)
    rng = np.random.default_rng(0)
    same_a, same_b, other = rng.normal(0, 1, (3, 200, 8)) + np.array([0, 0, 1.0])[:, None, None]
    assert learned.fid(same_a, same_a) == pytest.approx(0, abs=1e-6)
    assert learned.fid(same_a, other) == pytest.approx(8, rel=0.2)  # |mean difference|² = 8 * 1²
    assert abs(learned.kid(same_a, same_b, seed=0)) < 0.1 * learned.kid(same_a, other, seed=0)
    assert learned.kid(same_a, other, seed=0) == learned.kid(same_a, other, seed=0)


def test_kid_leaves_the_global_generator_alone() -> None:
    features = np.random.default_rng(0).normal(size=(60, 4))
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    learned.kid(features, features + 1, seed=3)
    assert np.random.random() == expected


def test_too_few_pictures_give_a_reason_instead_of_a_number() -> None:
    features = np.zeros((12, 8))
    assert learned.fid(features, features) == "not computed: 12 pictures, FID needs 2000"
    assert learned.kid(features, features, seed=0) == "not computed: 12 pictures, KID needs 50"


def test_wrong_inception_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "inception.pt"
    with pytest.raises(UserError, match="no such weights file"):
        learned.Inception(path)
    path.write_bytes(b"garbage")
    with pytest.raises(UserError, match="inception-2015-12-05.pt"):
        learned.Inception(path)
