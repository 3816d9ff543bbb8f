"""What every agnostic rule promises, rule by rule: garment inside, head outside, and nothing but geometry decides."""

import hashlib
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from figures import JOINTS, Figure, draw, hand

from tryon.config import CutoutsConfig
from tryon.dataset.folder import scan
from tryon.fit.segmenter_data import read_example
from tryon.ontology import CATEGORIES, KEYPOINT_NAMES, LABEL_INDEX
from tryon.prepare.agnostic import RULES, repaint_region, with_cuts
from tryon.prepare.agnostic.anatomy import divide
from tryon.prepare.agnostic.body import Body, filled

WORN = {"up": ("up", "dress"), "down": ("down", "dress"), "dress": ("up", "down", "dress")}
HOLE_FREE = ("ootd", "sam")
each_rule = pytest.mark.parametrize("rule", RULES)
each_category = pytest.mark.parametrize("category", CATEGORIES)


def dressed() -> Figure:
    """The figure in a dress: torso and skirt are one garment, shins are bare."""
    figure = draw(sleeve=0.4)
    labels_HW = figure.labels_HW
    labels_HW[figure.mask("up", "down")] = LABEL_INDEX["dress"]
    shins_HW = (labels_HW == LABEL_INDEX["dress"]) & (np.arange(labels_HW.shape[0])[:, None] > 300)
    labels_HW[shins_HW] = LABEL_INDEX["person"]
    return Figure(labels_HW, figure.keypoints_K3)


def iou(a_HW: np.ndarray, b_HW: np.ndarray) -> float:
    return float((a_HW & b_HW).sum() / max((a_HW | b_HW).sum(), 1))


def test_the_setting_offers_every_rule_and_no_other() -> None:
    assert get_args(CutoutsConfig.model_fields["agnostic"].annotation) == tuple(RULES)


def test_limbs_makes_the_very_pixels_that_it_made_before_it_had_company() -> None:
    digests = [
        hashlib.sha256(figure.region(category).tobytes()).hexdigest()[:16]
        for figure in (draw(), draw(sleeve=1.0, hem_y=215, flare=60))
        for category in CATEGORIES
    ]
    assert digests == [
        "4603ef1cc3641df8", "5f6be0321b238ba7", "ee9352ab23066b74",
        "c65c77fe3781e0fb", "2955b5a90e2644b4", "9ce69739ebd0f184",
    ]  # fmt: skip


@each_rule
@each_category
@pytest.mark.parametrize("figure", [draw(), draw(sleeve=1.0, flare=60), dressed()], ids=["top", "wide top", "dress"])
def test_the_worn_garment_is_inside_and_the_head_is_outside(rule: str, category: str, figure: Figure) -> None:
    region_HW = figure.region(category, rule)
    assert region_HW.dtype == np.uint8
    assert set(np.unique(region_HW)) == {0, 1}
    assert region_HW[figure.mask(*WORN[category])].mean() >= 0.99
    assert not region_HW[figure.mask("hair", "face")].any()


@each_rule
def test_the_region_depends_on_the_category(rule: str) -> None:
    regions = [draw().region(category, rule) for category in CATEGORIES]
    for k, first_HW in enumerate(regions):
        for second_HW in regions[k + 1 :]:
            assert iou(first_HW, second_HW) < 0.8


@each_rule
def test_the_other_half_of_the_body_is_kept(rule: str) -> None:
    figure = draw()
    assert not figure.region("up", rule)[300:].any(), "shins and shoes under a top"
    bottom_HW = figure.region("down", rule)
    assert not bottom_HW[figure.mask("left_arm", "right_arm")].any()
    assert not bottom_HW[140, 150], "the chest over trousers"
    for category in ("down", "dress"):
        assert not figure.region(category, rule)[372, 175], "a shoe"


@pytest.mark.parametrize(("rule", "keeps"), [(rule, rule != "viton_hd") for rule in RULES])
def test_hands_stay_where_the_rule_says_so(rule: str, keeps: bool) -> None:
    elbow, wrist = (np.array(JOINTS[f"left_{joint}"], float) for joint in ("elbow", "wrist"))
    figure = draw(sleeve=0.4)
    tip = tuple(np.rint(wrist + 0.45 * (wrist - elbow)).astype(int).tolist())
    cv2.line(figure.labels_HW, JOINTS["left_wrist"], tip, LABEL_INDEX["left_arm"], 16)
    region_HW = figure.region("up", rule)
    assert region_HW[JOINTS["left_elbow"][1], JOINTS["left_elbow"][0]]
    assert bool(region_HW[tip[1], tip[0]]) != keeps
    assert not figure.region("down", rule)[hand("left")]


@each_rule
@each_category
def test_a_mirrored_person_gets_the_mirrored_region(rule: str, category: str) -> None:
    figure = draw(sleeve=0.8)
    assert iou(figure.mirrored().region(category, rule)[:, ::-1], figure.region(category, rule)) >= 0.985


@each_rule
@each_category
def test_a_moved_person_gets_the_moved_region(rule: str, category: str) -> None:
    figure = draw().padded(120)
    moved_HW = figure.moved(18, -24).region(category, rule)  # even: coordinates are rounded half to even
    assert np.array_equal(moved_HW, np.roll(figure.region(category, rule), (18, -24), (0, 1)))


@each_rule
@each_category
def test_twice_the_picture_gets_twice_the_region(rule: str, category: str) -> None:
    figure = draw()
    large_HW = figure.twice().region(category, rule)
    assert iou(large_HW, figure.region(category, rule).repeat(2, 0).repeat(2, 1)) >= 0.95


@each_rule
@each_category
def test_any_missing_keypoint_leaves_garment_and_head_as_they_should_be(rule: str, category: str) -> None:
    figure = draw()
    assert figure.missing(category, rule) == ()
    for names in [*((name,) for name in JOINTS), tuple(JOINTS)]:
        partial = figure.without(*names)
        region_HW = partial.region(category, rule)
        assert region_HW[figure.mask(*WORN[category])].mean() >= 0.99, names
        assert not region_HW[figure.mask("hair", "face")].any(), names
        assert set(partial.missing(category, rule)) <= set(names)
    assert {"left_shoulder", "left_hip"} <= set(figure.without(*JOINTS).missing(category, rule))


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"limbs"}))
@pytest.mark.parametrize("name", ["left_wrist", "right_shoulder", "left_hip"])
def test_a_missing_keypoint_is_named(rule: str, name: str) -> None:
    assert name in draw().without(name).missing("dress", rule)


@each_rule
def test_a_person_cut_off_by_the_picture_is_no_reason_to_fail(rule: str) -> None:
    figure = draw()
    for rows in (slice(0, 180), slice(120, 300)):
        part = Figure(figure.labels_HW[rows], figure.keypoints_K3 - (0, rows.start, 0))
        for category in CATEGORIES:
            region_HW = part.region(category, rule)
            assert region_HW.shape == part.labels_HW.shape
            assert region_HW[part.mask(*WORN[category])].all()


@pytest.mark.parametrize("rule", HOLE_FREE)
@each_category
def test_holes_that_keep_nothing_are_filled(rule: str, category: str) -> None:
    figure = draw(sleeve=0.8)
    labels_HW = figure.labels_HW
    for x, y in ((150, 150), (125, 230)):  # lettering that the annotation left out, on chest and thigh
        cv2.circle(labels_HW, (x, y), 9, LABEL_INDEX["background"], -1)
    region_HW = Figure(labels_HW, figure.keypoints_K3).region(category, rule).astype(bool)
    holes_HW = filled(region_HW) & ~region_HW
    assert not holes_HW[figure.labels_HW == LABEL_INDEX["background"]].any()


def test_a_mask_is_filled_up_to_its_outline() -> None:
    ring_HW = np.zeros((20, 20), bool)
    ring_HW[5:15, 5:15] = True
    ring_HW[8:11, 8:11] = False
    ring_HW[0, 3] = True
    assert filled(ring_HW)[9, 9]
    assert filled(ring_HW).sum() == 101


def test_bare_skin_belongs_to_the_nearest_bone() -> None:
    figure = dressed()
    cv2.circle(figure.labels_HW, (150, 5), 4, LABEL_INDEX["person"], -1)  # a bobble on a hat
    skin = divide(Body(figure.labels_HW, figure.keypoints_K3))
    assert skin.torso_HW[78, 150], "neck"
    assert skin.legs_HW[320, 175], "shin"
    assert skin.shoes_HW[375, 175], "shoe"
    assert skin.head_HW[5, 150], "hat"
    parts = (skin.torso_HW, skin.legs_HW, skin.shoes_HW, skin.head_HW)
    assert np.sum(parts, axis=0).max() == 1
    assert np.any(parts, axis=0).sum() <= figure.mask("person").sum()


def test_strokes_of_viton_hd_grow_with_the_picture_and_those_of_hr_viton_with_the_person() -> None:
    figure = draw()
    small = figure.padded(200)
    ratio = {
        rule: small.region("up", rule).sum() / figure.region("up", rule).sum() for rule in ("viton_hd", "hr_viton")
    }
    assert ratio["viton_hd"] > 1.5
    assert ratio["hr_viton"] == pytest.approx(1.0, abs=0.1)


def test_the_arms_of_ootd_are_as_wide_as_stated() -> None:
    """60 px + 2 * 8 px of dilation at 512 px height, whatever the worn sleeve."""
    figure = Figure(np.zeros((512, 384), np.uint8), draw().keypoints_K3 * (0, 0, 1))
    for name, point in {"left_shoulder": (190, 60), "left_elbow": (190, 160), "left_wrist": (190, 260)}.items():
        figure.keypoints_K3[KEYPOINT_NAMES.index(name)] = (*point, 1)
    region_HW = figure.without("right_wrist").region("up", "ootd")
    assert int(region_HW[160].sum()) == pytest.approx(60 + 2 * 8, abs=2)
    assert int(np.flatnonzero(region_HW[:, 190])[-1]) == pytest.approx(160 + 1.2 * 100 + 8, abs=1)


def test_sam_takes_what_the_model_saw_beyond_the_annotation() -> None:
    figure = draw(sleeve=0.3)
    cut_HW = figure.mask("up").astype(np.uint8)
    cut_HW[150:200, 50:110] = 1  # a wide flank that the annotation lacks
    cuts = {"up": cut_HW}
    labels_HW = with_cuts(figure.labels_HW, cuts)
    with_HW = repaint_region("sam", labels_HW, figure.keypoints_K3, "up", cuts).mask_HW
    assert with_HW[175, 55]
    assert not figure.region("up", "sam")[175, 55]


def test_sam_keeps_the_head_and_the_hands_that_the_model_saw() -> None:
    figure = draw(sleeve=0.3)
    plain_HW = figure.region("up", "sam")
    y, x = np.argwhere((plain_HW > 0) & figure.mask("background"))[0]
    for part in ("head", "hands", "left_hand"):
        cut_HW = np.zeros_like(figure.labels_HW)
        cut_HW[y, x] = 1
        region_HW = repaint_region("sam", figure.labels_HW, figure.keypoints_K3, "up", {part: cut_HW}).mask_HW
        assert not region_HW[y, x]


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"sam"}))
def test_other_rules_look_at_the_label_map_alone(rule: str) -> None:
    figure = draw()
    cuts = {"head": np.ones_like(figure.labels_HW), "up": np.ones_like(figure.labels_HW)}
    found_HW = repaint_region(rule, figure.labels_HW, figure.keypoints_K3, "up", cuts).mask_HW
    assert np.array_equal(found_HW, figure.region("up", rule))


@each_rule
def test_real_photos_get_a_region_of_each_category(rule: str, photos: Path) -> None:
    people = [photo for photo in scan(photos).photos if photo.role == "person"]
    assert len(people) == 8
    for photo in people:
        person = read_example(photos, photo)
        figure = Figure(person.labels_HW, person.keypoints_K3)
        for category in CATEGORIES:
            region_HW = figure.region(category, rule)
            worn_HW = figure.mask(*WORN[category])
            assert not region_HW[figure.mask("hair", "face")].any()
            if worn_HW.any():
                assert region_HW[worn_HW].mean() >= 0.99, photo.id
                assert region_HW.mean() < 0.75, photo.id
