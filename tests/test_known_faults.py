"""Faults that repeat across public try-on code bases, each with the tests that would catch it here.

Eleven tests would have caught what keeps those code bases from learning or from resuming; which system has which fault
is told in the project's survey of prior systems. This table keeps each of them in place.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
CAUGHT_BY = {
    "the picture never enters training: noise is mixed with noise": [
        "diffusion/test_noising.py::test_the_picture_reaches_x_t",
        "diffusion/test_noising.py::test_moments_have_their_closed_form",
    ],
    "the sampler never feeds its state back": [
        "diffusion/test_sampling.py::test_each_step_starts_from_what_the_last_one_made",
        "methods/test_overfit.py::test_eight_pairs_are_drawn_from_noise_at_30_db",
    ],
    "sampling statistics are off: noise left at the end, or a schedule that never reaches noise": [
        "diffusion/test_sampling.py::test_exact_denoiser_gives_the_true_mean_and_deviation",
        "diffusion/test_noising.py::test_at_the_last_step_only_noise_is_left",
    ],
    "pictures of -1 … 509 instead of -1 … 1": [
        "training/test_feed.py::test_values_lie_in_the_networks_range",
        "methods/test_conditions.py::test_ranges_and_shapes",
    ],
    "person, garment and pose of different samples are zipped by position": [
        "dataset/test_folder.py::test_partners_are_joined_by_name",
        "dataset/test_folder.py::test_the_order_of_listing_changes_nothing",
        "test_packed.py::test_what_was_packed_is_read_by_id_and_size",
    ],
    "keypoints are scaled otherwise in training than in sampling": [
        "methods/test_conditions.py::test_keypoints_have_one_scale",
    ],
    "conditions are made otherwise in training than in sampling": [
        "methods/test_conditions.py::test_training_and_sampling_see_the_same_conditions",
    ],
    "augmentation moves a picture but not its masks and keypoints": [
        "methods/test_augment.py::test_conditions_of_a_flipped_pair_are_the_flipped_conditions",
        "methods/test_augment.py::test_a_shift_moves_pixels_masks_and_keypoints_together",
    ],
    "processes train apart: gradients are not shared": [
        "training/test_loop.py::test_two_processes_equal_one_with_the_whole_batch",
    ],
    "the learning rate is not the one that was asked for": [
        "training/test_training_schedules.py::test_lr_at_chosen_steps",
        "training/test_loop.py::test_the_rate_of_each_step_is_that_of_the_schedule",
    ],
    "a resumed run is another run: optimizer, average, step, randomness or data order are lost": [
        "training/test_resume.py::test_ten_steps_with_a_kill_at_a_random_one_are_ten_steps",
        "training/test_resume.py::test_the_order_of_samples_goes_on_with_another_number_of_processes",
    ],
}


def test_eleven_faults_are_watched() -> None:
    assert len(CAUGHT_BY) == 11
    assert all(CAUGHT_BY.values())


@pytest.mark.parametrize("fault", CAUGHT_BY)
def test_what_catches_it_is_there(fault: str) -> None:
    for place in CAUGHT_BY[fault]:
        file, name = place.split("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place
