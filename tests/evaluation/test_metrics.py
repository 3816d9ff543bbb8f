"""Known answers: each metric sees what it is meant to see, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tryon.evaluation import metrics


def striped(height: int = 48, width: int = 40, period: int = 6) -> np.ndarray:
    """Blue stripes on sand: texture and colour, without noise."""
    columns_W = (np.arange(width) // (period // 2)) % 2
    colours = np.array([[200, 180, 140], [40, 60, 160]], np.uint8)
    return np.broadcast_to(colours[columns_W], (height, width, 3)).copy()


def smooth(height: int = 48, width: int = 40) -> np.ndarray:
    """A gentle ramp: nothing saturates when it is tinted or lightened."""
    ramp_HW = np.linspace(60, 160, height)[:, None] + np.linspace(0, 30, width)[None]
    return np.stack([ramp_HW, ramp_HW * 0.8, 220 - ramp_HW], axis=-1).astype(np.uint8)


def box(height: int = 48, width: int = 40) -> np.ndarray:
    mask_HW = np.zeros((height, width), bool)
    mask_HW[12:36, 10:30] = True
    return mask_HW


PERFECT = {"psnr": 60.0, "ssim": 1.0, "gms": 1.0, "delta_e": 0.0, "mean_delta_e": 0.0, "gradient_ratio": 1.0}


@pytest.mark.parametrize("picture_HWC", [striped(), smooth()])
def test_equal_pictures_are_perfect_everywhere(picture_HWC: np.ndarray) -> None:
    values = metrics.compare(picture_HWC, picture_HWC.copy(), {"garment": box()})
    assert values == pytest.approx({(m, r): v for m, v in PERFECT.items() for r in ("whole", "garment")}, abs=1e-9)


def test_psnr_of_a_constant_step_is_its_closed_form() -> None:
    truth_HWC = np.full((32, 32, 3), 100, np.uint8)
    values = metrics.compare(truth_HWC + 10, truth_HWC, {})
    assert values["psnr", "whole"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-6)


def test_rounding_noise_stays_below_the_cap() -> None:
    """The cap hides nothing that 8-bit pictures can show."""
    assert metrics.psnr_from_squared_error(np.full(9, 1 / 12 / 255**2)) == pytest.approx(58.92, abs=0.01)


def test_psnr_agrees_with_scikit_image() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 32, 24, 3), dtype=np.uint8)
    assert metrics.compare(a, b, {})["psnr", "whole"] == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-9)


def test_whole_ssim_agrees_with_torchmetrics_away_from_the_border() -> None:
    """scikit-image leaves out the border, where windows hang over the edge; torchmetrics' map shows the rest."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    rng = np.random.default_rng(1)
    truth_HWC = striped()
    picture_HWC = np.clip(truth_HWC + rng.normal(0, 20, truth_HWC.shape), 0, 255).astype(np.uint8)
    tensors = [torch.from_numpy(i / 255.0).permute(2, 0, 1)[None].double() for i in (picture_HWC, truth_HWC)]
    _, map_1CHW = structural_similarity_index_measure(*tensors, data_range=1.0, return_full_image=True)
    expected = float(map_1CHW[..., 5:-5, 5:-5].mean())
    assert metrics.compare(picture_HWC, truth_HWC, {})["ssim", "whole"] == pytest.approx(expected, abs=1e-9)


def test_gms_of_two_known_slopes() -> None:
    """Ramps of slope a and 2a: Prewitt gives 2 * slope (columns one apart on each side), everywhere inside."""
    ramp_W = np.arange(32, dtype=np.uint8)
    shallow_HWC = np.repeat(np.repeat((2 * ramp_W)[None, :, None], 32, axis=0), 3, axis=2)
    steep_HWC = np.repeat(np.repeat((4 * ramp_W)[None, :, None], 32, axis=0), 3, axis=2)
    a, b = 2 * 2 / 255, 2 * 4 / 255
    expected = (2 * a * b + metrics.GMS_C) / (a**2 + b**2 + metrics.GMS_C)
    inside_HW = np.zeros((32, 32), bool)
    inside_HW[:, 2:-2] = True
    assert metrics.compare(shallow_HWC, steep_HWC, {"inside": inside_HW})["gms", "inside"] == pytest.approx(expected)


def test_a_shift_moves_texture_but_not_the_mean_colour() -> None:
    truth_HWC = striped()
    values = metrics.compare(np.roll(truth_HWC, 3, axis=1), truth_HWC, {})  # half a period: stripes change places
    assert values["mean_delta_e", "whole"] < 0.5
    assert values["gradient_ratio", "whole"] == pytest.approx(1.0, abs=0.05)
    assert values["psnr", "whole"] < 10
    assert values["ssim", "whole"] < 0
    assert values["delta_e", "whole"] > 30


def test_a_tint_moves_colour_but_not_texture() -> None:
    truth_HWC = smooth()
    tinted_HWC = truth_HWC + np.array([25, 0, 0], np.uint8)
    values = metrics.compare(tinted_HWC, truth_HWC, {})
    assert values["gms", "whole"] == pytest.approx(1.0, abs=1e-3)
    assert values["gradient_ratio", "whole"] == pytest.approx(1.0, abs=1e-2)
    assert values["mean_delta_e", "whole"] > 5
    assert values["delta_e", "whole"] > 5


def test_blur_is_seen_by_texture_and_sharpness() -> None:
    import cv2

    truth_HWC = striped()
    values = metrics.compare(cv2.GaussianBlur(truth_HWC, (0, 0), 4), truth_HWC, {})
    assert values["gradient_ratio", "whole"] < 0.3
    assert values["gms", "whole"] < 0.7
    assert values["mean_delta_e", "whole"] < 1.5


def test_a_swapped_garment_moves_its_region_most() -> None:
    truth_HWC, mask_HW = smooth(), box()
    swapped_HWC = np.where(mask_HW[..., None], striped(), truth_HWC)
    values = metrics.compare(swapped_HWC, truth_HWC, {"garment": mask_HW})
    for metric in ("delta_e", "mean_delta_e"):
        assert values[metric, "garment"] > values[metric, "whole"] > 0
    for metric in ("psnr", "ssim", "gms"):
        assert values[metric, "garment"] < values[metric, "whole"]


def test_a_region_ignores_what_lies_far_outside() -> None:
    truth_HWC, mask_HW = smooth(), box()
    changed_HWC = truth_HWC.copy()
    changed_HWC[:4] = 255  # further away than any window reaches
    values = metrics.compare(changed_HWC, truth_HWC, {"garment": mask_HW})
    assert {m: values[m, "garment"] for m in PERFECT} == pytest.approx(PERFECT, abs=1e-9)
    assert values["psnr", "whole"] < 30


def test_an_empty_region_gives_no_number() -> None:
    values = metrics.compare(smooth(), smooth(), {"garment": np.zeros((48, 40), bool)})
    assert {region for _, region in values} == {"whole"}


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="one size"):
        metrics.compare(smooth(48, 40), smooth(40, 48), {})


def test_outside_error_counts_only_what_should_have_stayed() -> None:
    person_HWC, region_HW = smooth(), box()
    picture_HWC = person_HWC.copy()
    picture_HWC[region_HW] = 0
    assert metrics.outside_error(picture_HWC, person_HWC, region_HW) == 0.0
    assert metrics.outside_error(person_HWC + 3, person_HWC, region_HW) == pytest.approx(3.0)
    assert metrics.outside_error(picture_HWC, person_HWC, np.ones((48, 40))) is None


def test_garment_colour_needs_no_truth() -> None:
    garment_HWC = np.full((20, 20, 3), (180, 40, 40), np.uint8)
    wears_it_HWC, wears_blue_HWC = smooth(), smooth()
    wears_it_HWC[box()], wears_blue_HWC[box()] = (180, 40, 40), (40, 40, 180)
    mask_HW = np.ones((20, 20), bool)
    assert metrics.garment_delta_e(wears_it_HWC, box(), garment_HWC, mask_HW) == pytest.approx(0, abs=1e-9)
    assert metrics.garment_delta_e(wears_blue_HWC, box(), garment_HWC, mask_HW) > 30
    assert metrics.garment_delta_e(wears_it_HWC, np.zeros((48, 40)), garment_HWC, mask_HW) is None


def test_every_metric_has_a_description() -> None:
    computed = {metric for metric, _ in metrics.compare(smooth(), striped(), {})}
    extras = {"lpips", "outside_error", "garment_delta_e", "oks", "preserved_iou", "clip_i", "dino"}
    computed |= {metric for metric, _ in metrics.colour_drift(smooth(), striped(), box())}
    assert computed | extras == set(metrics.METRIC)


def test_drift_is_the_mean_signed_error_where_it_was_repainted() -> None:
    truth_HWC, region_HW = np.full((48, 40, 3), 100, np.uint8), box()
    picture_HWC = truth_HWC.copy()
    picture_HWC[region_HW > 0] = (103, 100, 98)
    picture_HWC[region_HW == 0] = 0
    found = metrics.colour_drift(picture_HWC, truth_HWC, region_HW > 0)
    assert found == {(f"drift_{name}", "repainted"): v for name, v in (("red", 3), ("green", 0), ("blue", -2))}
    assert metrics.colour_drift(picture_HWC, truth_HWC, np.zeros((48, 40), bool)) == {}
