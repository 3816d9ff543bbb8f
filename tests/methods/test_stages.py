"""Stages: loss, dropout, guidance, sampling, super-resolution, regression."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from mannequins import PLAIN, TINY, awake, batch, stage
from pydantic import ValidationError

from tryon.config import SamplingConfig
from tryon.methods.interface import Conditions, Stage
from tryon.methods.seeds import integers_B
from tryon.methods.tryondiffusion.denoising import (
    DenoisingStage,
    fill_inwards,
    garment_detail,
    pasted_garment,
)

SEEDS = torch.tensor([11, 12, 13])
KINDS = ["parallel_unet", "parallel_unet_sr", "imagen_sr", "regression"]


def ready(kind: str = "parallel_unet", **settings: Any) -> tuple[Stage, torch.nn.Module, torch.Tensor, Conditions]:
    """A stage, its network with random weights, and a batch of its size."""
    torch.manual_seed(0)
    tiny = stage(kind, **settings)
    target_B3HW, conditions = batch(3, tiny.size_hw)
    if tiny.low_size_hw:
        conditions = conditions.with_low(F.interpolate(target_B3HW, size=tiny.low_size_hw, mode="area"))
    return tiny, awake(tiny.build()), target_B3HW, conditions


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_loss_is_per_sample_finite_and_a_function_of_the_seeds(kind: str) -> None:
    tiny, network, target, conditions = ready(kind)
    loss_B = tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=True)
    assert loss_B.shape == (3,)
    assert loss_B.dtype == torch.float32
    assert bool(loss_B.isfinite().all())
    again = tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=True)
    assert torch.equal(loss_B, again)
    alone = tiny.loss_B(network, target[1:2], conditions.select(slice(1, 2)), SEEDS[1:2], condition_dropout=True)
    torch.testing.assert_close(alone, loss_B[1:2], rtol=1e-4, atol=1e-5)
    other = tiny.loss_B(network, target, conditions, SEEDS + 1, condition_dropout=False)
    # regression is trained on the whole batch of true conditions, so only dropped ones differ between seeds
    assert not torch.equal(other, loss_B) or kind == "regression"


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_in_range_keep_the_known_pixels_and_do_not_depend_on_the_batch(kind: str) -> None:
    tiny, network, target, conditions = ready(kind)
    cfg = SamplingConfig(num_steps=3, sampler="ddpm", guidance=1.5)
    pictures = tiny.sample(network, conditions, SEEDS, cfg)
    assert pictures.shape == target.shape
    assert pictures.dtype == torch.float32
    assert pictures.min() >= -1
    assert pictures.max() <= 1
    known = conditions.region_B1HW.expand_as(target) == 0
    assert torch.equal(pictures[known], target[known])
    alone = tiny.sample(network, conditions.select(slice(2, 3)), SEEDS[2:], cfg)
    torch.testing.assert_close(alone, pictures[2:], rtol=1e-3, atol=1e-4)
    if kind != "regression":
        assert not torch.equal(tiny.sample(network, conditions, SEEDS + 1, cfg), pictures)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_dropped_garment_leaves_no_trace(kind: str) -> None:
    """The null branch of guidance is a function of the person alone, and is what training drops to."""
    tiny, network, target, conditions = ready(kind, diffusion={"condition_dropout": math.nextafter(1, 0)})
    loss_B = tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=True)
    everything = torch.ones(3, dtype=torch.bool)
    null = conditions.without_garment(everything)
    assert torch.equal(loss_B, tiny.loss_B(network, target, null, SEEDS, condition_dropout=True))
    kept = tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=False)
    assert (kept - loss_B).abs().max() > 1e-4


def null_parts(monkeypatch: pytest.MonkeyPatch, num: int, **dropout: float) -> dict[str, torch.Tensor]:
    """Which conditions the network of a training step did not get, bool [num] by name."""
    tiny, network, _, _ = ready(diffusion=dropout)
    target, conditions = batch(1)
    seen: list[Conditions] = []
    monkeypatch.setattr(tiny, "predict", lambda _net, x, _steps, known, _: (seen.append(known.conditions), x)[1])
    many = conditions.select(torch.zeros(num, dtype=torch.long))
    for is_training in (True, False):
        tiny.loss_B(
            network, target.expand(num, -1, -1, -1), many, torch.arange(num), condition_dropout=is_training
        )  # fmt: skip
    assert all(torch.equal(seen[1].tensors()[name], value) for name, value in many.tensors().items())
    return {name: (seen[0].tensors()[name] == 0).flatten(1).all(dim=1) for name in many.tensors()}


GARMENT_PARTS = ("garment_B3HW", "garment_mask_B1HW", "prealigned_B3HW", "prealigned_mask_B1HW")


@torch.no_grad()
def test_joint_dropout_trains_the_null_branch_as_often_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that guidance subtracts is missing at once, never a part of it."""
    null = null_parts(monkeypatch, 400, condition_dropout=0.25)
    for name in (*GARMENT_PARTS, "garment_keypoints_BK3"):
        assert torch.equal(null[name], null["garment_B3HW"])
    assert 74 <= int(null["garment_B3HW"].sum()) <= 126  # 100 expected, 3 standard deviations
    assert not null["person_keypoints_BK3"].any()
    assert not null["agnostic_B3HW"].any()


@torch.no_grad()
def test_independent_dropout_drops_each_condition_by_itself_and_all_of_them_at_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    null = null_parts(monkeypatch, 800, condition_dropout=0.0, independent_dropout=0.4)
    for name in GARMENT_PARTS:
        assert torch.equal(null[name], null["garment_B3HW"])
    parts = [null["garment_B3HW"], null["garment_keypoints_BK3"], null["person_keypoints_BK3"]]
    for part in parts:
        assert 278 <= int(part.sum()) <= 362  # 320 expected, 3 standard deviations
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 97 <= int((parts[one] & parts[other]).sum()) <= 159  # 128 expected if independent
    # what guidance subtracts: no garment, no garment pose, but the person's pose
    assert 50 <= int((parts[0] & parts[1] & ~parts[2]).sum()) <= 104  # 77 expected


@torch.no_grad()
def test_both_dropouts_together_train_the_null_branch_at_least_as_often_as_the_joint_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    null = null_parts(monkeypatch, 800, condition_dropout=0.2, independent_dropout=0.3)
    is_null = null["garment_B3HW"] & null["garment_keypoints_BK3"]
    assert 179 <= int(is_null.sum()) <= 256  # (0.2 + 0.8 * 0.09) * 800 = 218 expected


@torch.no_grad()
def test_losing_garment_and_pose_one_by_one_is_the_null_branch_of_guidance() -> None:
    _, conditions = batch(2)
    both, neither = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    one_by_one, at_once = conditions.without_each(both, both, neither), conditions.without_garment(both)
    for name, value in at_once.tensors().items():
        assert torch.equal(one_by_one.tensors()[name], value)


@pytest.mark.parametrize("field", ["agnostic_B3HW", "garment_B3HW", "prealigned_B3HW", "person_keypoints_BK3"])
def test_samples_depend_on_each_condition(field: str) -> None:
    tiny, network, _, conditions = ready()
    cfg = SamplingConfig(num_steps=2)
    before = tiny.sample(network, conditions, SEEDS, cfg)
    values = conditions.tensors()
    # pictures of the neighbour; a pose at half size (the neighbours' poses are almost alike)
    changed = values[field] * 0.5 if field.endswith("BK3") else values[field].flip(0)
    after = tiny.sample(network, Conditions(**{**values, field: changed}), SEEDS, cfg)
    inside = conditions.region_B1HW.expand_as(before) == 1
    assert (after - before)[inside].abs().max() > 1e-3


def test_guidance_is_one_call_of_twice_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, network, _, conditions = ready()
    assert isinstance(tiny, DenoisingStage)
    sizes: list[int] = []
    predict = tiny.predict

    def watched(network: Any, x_BCHW: torch.Tensor, *rest: Any) -> torch.Tensor:
        sizes.append(len(x_BCHW))
        return predict(network, x_BCHW, *rest)

    monkeypatch.setattr(tiny, "predict", watched)
    one_step = {"num_steps": 1, "sampler": "ddim"}
    guided = tiny.sample(network, conditions, SEEDS, SamplingConfig(guidance=2.0, **one_step))
    null = conditions.without_garment(torch.ones(3, dtype=torch.bool))
    with_garment, without = (
        tiny.sample(network, part, SEEDS, SamplingConfig(guidance=1.0, **one_step)) for part in (conditions, null)
    )
    assert sizes == [6, 3, 3]
    free = (with_garment.abs() < 1) & (without.abs() < 1) & (guided.abs() < 1)
    expected = without + 2.0 * (with_garment - without)
    assert free.float().mean() > 0.2
    torch.testing.assert_close(guided[free], expected[free], rtol=1e-3, atol=1e-4)


def test_garment_features_are_computed_once_per_sampling_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, network, _, conditions = ready()
    calls: list[int] = []
    original = network.garment.forward
    monkeypatch.setattr(network.garment, "forward", lambda *given: (calls.append(1), original(*given))[1])
    tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=4))
    assert len(calls) == 1
    # the same network, told that its features may not be kept
    network.sees_time = True
    monkeypatch.setattr(type(network.embedding), "forward", _without_time(type(network.embedding).forward))
    fresh = tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=4))
    network.sees_time = False
    cached = tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=4))
    assert len(calls) == 1 + 4 + 1
    torch.testing.assert_close(fresh, cached)


def _without_time(forward: Any) -> Any:
    return lambda self, pose_BE, t_B, level_B: forward(self, pose_BE, None, level_B)


@pytest.mark.parametrize("kind", ["parallel_unet", "parallel_unet_sr", "imagen_sr"])
def test_outside_the_guidance_interval_half_the_rows_are_computed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, network, _, conditions = ready(kind)
    assert isinstance(tiny, DenoisingStage)
    rows: list[int] = []
    predict = tiny.predict

    def watched(network: Any, x_BCHW: torch.Tensor, *rest: Any) -> torch.Tensor:
        rows.append(len(x_BCHW))
        return predict(network, x_BCHW, *rest)

    monkeypatch.setattr(tiny, "predict", watched)

    def sampled(guidance: float, interval: tuple[float, float]) -> torch.Tensor:
        cfg = SamplingConfig(num_steps=4, guidance=guidance, guidance_interval=interval)
        return tiny.sample(network, conditions, SEEDS, cfg)

    inner = sampled(3.0, (0.5, 0.75))  # of t = 1, 0.75, 0.5, 0.25
    assert rows == [3, 6, 6, 3]
    nowhere, everywhere = sampled(3.0, (0.1, 0.2)), sampled(3.0, (0.0, 1.0))
    torch.testing.assert_close(nowhere, sampled(1.0, (0.0, 1.0)))
    assert not torch.equal(inner, everywhere)
    assert not torch.equal(inner, nowhere)


def test_dynamic_clipping_keeps_contrast_that_cutting_off_saturates() -> None:
    tiny, network, _, conditions = ready(network={**TINY, "residual": False, "prealigned": False})
    pictures = {
        clip: tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=2, guidance=6.0, clip=clip))
        for clip in ("static", "dynamic")
    }
    inside = conditions.region_B1HW.expand_as(pictures["static"]) == 1
    saturated = {clip: (picture[inside].abs() == 1).float().mean().item() for clip, picture in pictures.items()}
    assert saturated["dynamic"] < 0.5 * saturated["static"], saturated
    assert torch.equal(pictures["dynamic"][~inside], pictures["static"][~inside])
    assert pictures["dynamic"].abs().max() <= 1


@torch.no_grad()
def test_error_outside_the_region_counts_as_configured() -> None:
    target, conditions = batch(2)
    for weight in (0.0, 0.5):
        tiny, network, _, _ = ready(diffusion={"outside_weight": weight})
        before = tiny.loss_B(network, target, conditions, SEEDS[:2], condition_dropout=False)
        spoiled = target + 0.5 * (1 - conditions.region_B1HW)
        quiet = torch.nn.Module()
        quiet.forward = lambda *given: torch.zeros_like(target)  # type: ignore[method-assign]
        silent = tiny.loss_B(quiet, target, conditions, SEEDS[:2], condition_dropout=False)
        changed = tiny.loss_B(quiet, spoiled, conditions, SEEDS[:2], condition_dropout=False)
        region = conditions.region_B1HW
        outside = (weight * (1 - region)).mean((1, 2, 3))
        expected = 0.25 * outside / (outside + region.mean((1, 2, 3)))
        torch.testing.assert_close(changed - silent, expected, rtol=1e-3, atol=1e-5)
        assert bool((before > 0).all())


@torch.no_grad()
def test_error_on_the_worn_garment_counts_as_configured() -> None:
    target, conditions = batch(2)
    worn = (torch.rand(2, 1, *target.shape[-2:], generator=torch.Generator().manual_seed(3)) < 0.5).float()
    worn = worn * conditions.region_B1HW
    for weight in (0.0, 3.0):
        tiny, _, _, _ = ready(diffusion={"garment_weight": weight, "outside_weight": 0.0})
        quiet = torch.nn.Module()
        quiet.forward = lambda *given: torch.zeros_like(target)  # type: ignore[method-assign]
        silent, changed = (
            tiny.loss_B(quiet, picture, conditions, SEEDS[:2], condition_dropout=False, worn_B1HW=worn)
            for picture in (target, target + 0.5 * worn)
        )
        on_garment, elsewhere = ((1 + weight) * worn).mean((1, 2, 3)), (conditions.region_B1HW - worn).mean((1, 2, 3))
        guess = pasted_garment(conditions)
        added = ((target + 0.5 * worn - guess).square() - (target - guess).square()).mean(1, keepdim=True)
        expected = ((1 + weight) * worn * added).mean((1, 2, 3)) / (on_garment + elsewhere)
        torch.testing.assert_close(changed - silent, expected, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_first_guess_is_the_pasted_garment_amid_its_surroundings() -> None:
    target, conditions = batch(2)
    guess = pasted_garment(conditions)
    known = conditions.region_B1HW.expand_as(target) == 0
    assert torch.equal(guess[known], target[known])
    covered = ((conditions.prealigned_mask_B1HW == 1) & (conditions.region_B1HW == 1)).expand_as(target)
    assert covered.any()
    assert torch.equal(guess[covered], conditions.prealigned_B3HW[covered])
    null = pasted_garment(conditions.without_garment(torch.ones(2, dtype=torch.bool)))
    assert torch.equal(null[known], target[known])


def test_filling_inwards_keeps_what_is_known_and_adds_no_new_colour() -> None:
    picture = torch.rand(2, 3, 13, 10)
    known = (torch.rand(2, 1, 13, 10) > 0.6).float()
    filled = fill_inwards(picture * known, known)
    assert torch.equal(filled * known, picture * known)
    seen = picture[known.expand_as(picture) > 0]
    assert bool(((filled >= seen.min() - 1e-5) & (filled <= seen.max() + 1e-5)).all())
    top_row = torch.zeros(1, 1, 16, 12)
    top_row[:, :, 0] = 1
    flat = fill_inwards(0.3 * top_row.expand(-1, 3, -1, -1), top_row)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.3))


@pytest.mark.parametrize("target", ["eps", "v", "x0"])
def test_each_target_samples_without_a_first_guess(target: str) -> None:
    tiny, network, picture, conditions = ready(
        network={**TINY, "residual": False, "prealigned": False}, diffusion={"target": target}
    )
    assert tiny.loss_B(network, picture, conditions, SEEDS, condition_dropout=True).isfinite().all()
    for sampler in ("ddim", "ddpm", "dpmpp", "unipc"):
        cfg = SamplingConfig(num_steps=4, sampler=sampler, guidance=2.0)
        assert tiny.sample(network, conditions, SEEDS, cfg).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_bf16_changes_the_network_only(kind: str) -> None:
    exact, network, target, conditions = ready(kind)
    rough, *_ = ready(kind, train={"precision": "bf16"})
    losses = [part.loss_B(network, target, conditions, SEEDS, condition_dropout=False) for part in (exact, rough)]
    assert losses[1].dtype == torch.float32
    assert not torch.equal(*losses)
    torch.testing.assert_close(losses[1], losses[0], rtol=0.05, atol=0.01)


@pytest.mark.parametrize("kind", ["parallel_unet_sr", "imagen_sr"])
@torch.no_grad()
def test_superres_learns_from_the_shrunk_truth_and_is_told_the_noise(kind: str) -> None:
    tiny, network, target, conditions = ready(kind)
    given = tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=False)
    made = tiny.loss_B(
        network, target, Conditions(**{**conditions.tensors(), "low_B3hw": None}), SEEDS, condition_dropout=False
    )
    assert torch.equal(given, made)
    levels = {}
    for level in (0.0, 0.8):
        part, *_ = ready(kind, diffusion={"low_noise_max": 1.0, "low_noise_sample": level})
        levels[level] = part.sample(network, conditions, SEEDS, SamplingConfig(num_steps=1))
    assert (levels[0.0] - levels[0.8]).abs().max() > 1e-2


@torch.no_grad()
def test_an_untrained_superres_stage_enlarges_and_adds_the_garments_texture() -> None:
    for (kind, body), prealigned in product({"parallel_unet_sr": TINY, "imagen_sr": PLAIN}.items(), (False, True)):
        tiny = stage(kind, network={**body, "prealigned": prealigned}, diffusion={"low_noise_sample": 0.0})
        target, conditions = batch(2, tiny.size_hw)
        low = F.interpolate(target, size=(16, 12), mode="area")
        network = tiny.build().eval()
        found = tiny.sample(network, conditions.with_low(low), SEEDS[:2], SamplingConfig(num_steps=2))
        expected = F.interpolate(low, size=(32, 24), mode="bicubic")
        inside = conditions.region_B1HW.expand_as(target) == 1
        if prealigned:
            bare = inside & (conditions.prealigned_mask_B1HW.expand_as(target) == 0)
            torch.testing.assert_close(found[bare], expected.clamp(-1, 1)[bare], rtol=0, atol=1e-4)
            detail = garment_detail(conditions, expected, (16, 12))
            assert detail[inside].abs().max() > 0.05
            expected = expected + detail
        torch.testing.assert_close(found[inside], expected.clamp(-1, 1)[inside], rtol=0, atol=1e-4)


def test_superres_without_or_with_a_wrong_low_picture_is_refused() -> None:
    tiny, network, target, conditions = ready("parallel_unet_sr")
    with pytest.raises(ValueError, match=r"starts from pictures of \(16, 12\), got \(32, 24\)"):
        tiny.sample(network, conditions.with_low(target), SEEDS, SamplingConfig(num_steps=1))


@torch.no_grad()
def test_imagen_trains_on_crops_and_samples_whole_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, network, target, conditions = ready("imagen_sr", train={"crop": (16, 8)})
    sizes: list[torch.Size] = []
    forward = network.forward

    def watched(x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        sizes.append(x.shape)
        assert named["cond_images"].shape[-2:] == named["lowres_cond_img"].shape[-2:] == x.shape[-2:]
        return forward(x, *given, **named)

    monkeypatch.setattr(network, "forward", watched)
    first = tiny.loss_B(network, target, conditions, SEEDS, condition_dropout=False)
    assert sizes == [(3, 3, 16, 8)]
    same_noise_other_place = tiny.loss_B(network, target, conditions, SEEDS + 5, condition_dropout=False)
    assert not torch.equal(first, same_noise_other_place)
    tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=1))
    assert sizes[-1] == (3, 3, 32, 24)


def test_regression_is_one_call_without_noise_and_trained_on_the_picture_that_it_makes() -> None:
    tiny, network, target, conditions = ready("regression", diffusion={"outside_weight": 0.0})
    one = tiny.sample(network, conditions, SEEDS, SamplingConfig(num_steps=20, guidance=3.0))
    other = tiny.sample(network, conditions, SEEDS + 1, SamplingConfig(num_steps=2, sampler="ddpm"))
    assert torch.equal(one, other)
    losses = [tiny.loss_B(network, target, conditions, seeds, condition_dropout=False) for seeds in (SEEDS, SEEDS + 1)]
    assert torch.equal(*losses)
    region = conditions.region_B1HW
    error = ((one - target).square().mean(1, keepdim=True) * region).sum((1, 2, 3)) / region.sum((1, 2, 3))
    assert bool(((error <= losses[0]) & (error > 0.8 * losses[0])).all()), "but for what sampling cuts off at -1 and 1"


@pytest.mark.parametrize(("target", "residual"), [("x0", True), ("x0", False), ("eps", False), ("v", False)])
@torch.no_grad()
def test_min_snr_multiplies_the_loss_of_each_sample_by_the_weight_of_its_step(target: str, residual: bool) -> None:
    network_settings = {**TINY, "residual": residual, "prealigned": residual}
    plain, network, picture, conditions = ready(network=network_settings, diffusion={"target": target})
    weighted, *_ = ready(
        network=network_settings, diffusion={"target": target, "loss_weight": "min_snr", "min_snr_gamma": 0.1}
    )
    assert isinstance(plain, DenoisingStage)
    losses = [part.loss_B(network, picture, conditions, SEEDS, condition_dropout=False) for part in (plain, weighted)]
    steps_B = integers_B(SEEDS, 1000, "time")
    schedule = plain.schedule
    snr_B = (schedule.alphas[steps_B] / schedule.sigmas[steps_B]) ** 2
    weight_B = snr_B.clamp(max=0.1) / {"x0": 1, "eps": snr_B, "v": snr_B + 1}[target]
    torch.testing.assert_close(losses[1], losses[0] * weight_B.float())
    assert (weight_B - 1).abs().max() > 0.1


def test_regression_cannot_weigh_noise_levels() -> None:
    with pytest.raises(ValidationError, match="loss_weight min_snr weighs noise levels"):
        stage("regression", diffusion={"loss_weight": "min_snr"})
