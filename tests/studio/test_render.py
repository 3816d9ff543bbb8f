"""Pictures, label maps and keypoints of rendered scenes agree with each other and with the truth."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX
from tryon.studio import annotate
from tryon.studio.render import Rendered, render_garment, render_person
from tryon.studio.sampling import in_other_garment, sample_garment, sample_scene
from tryon.studio.specs import Category

SIZE = (256, 192)
CATEGORIES: tuple[Category, ...] = ("up", "up", "up", "down", "dress")


@pytest.fixture(scope="module")
def scenes() -> list[Rendered]:
    return [render_person(sample_scene(11, i, category=CATEGORIES[i % 5]), SIZE) for i in range(30)]


def grown(mask_HW: np.ndarray, radius: int) -> np.ndarray:
    """The mask and everything within `radius` pixels of it."""
    return cv2.dilate(mask_HW.astype(np.uint8), np.ones((2 * radius + 1,) * 2, np.uint8)) > 0


def test_same_spec_same_picture_in_another_process() -> None:
    code = (
        "import hashlib; from tryon.studio.render import render_person; from tryon.studio.sampling import sample_scene;"
        "r = render_person(sample_scene(11, 4), (256, 192));"
        "print(hashlib.sha256(r.image_HWC.tobytes() + r.labels_HW.tobytes()).hexdigest())"
    )
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    render_person(sample_scene(11, 3), SIZE)  # what was drawn before must not matter
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rendered = render_person(sample_scene(11, 4), SIZE)
    mine = hashlib.sha256(rendered.image_HWC.tobytes() + rendered.labels_HW.tobytes()).hexdigest()
    assert here.strip() == there.strip() == mine


def test_annotation_drawn_by_layers_gives_the_rendered_labels(scenes: list[Rendered]) -> None:
    for rendered in scenes:
        annotation = annotate.isat("photo.jpg", rendered.labels_HW)
        drawn_HW = annotate.draw(annotation)
        assert (drawn_HW != rendered.labels_HW).mean() < 0.004
        for label in np.unique(rendered.labels_HW):
            one, two = drawn_HW == label, rendered.labels_HW == label
            if two.sum() > 300:  # outlines are rounded by a pixel, which weighs more on a small part
                assert (one & two).sum() / (one | two).sum() > (0.97 if two.sum() > 3000 else 0.8)
        # what differs is the rounding of outlines, nowhere a missing part
        wrong = (drawn_HW != rendered.labels_HW).astype(np.uint8)
        assert cv2.erode(wrong, np.ones((3, 3), np.uint8)).sum() < 12


def test_layers_are_unique_and_groups_belong_to_labels(scenes: list[Rendered]) -> None:
    for rendered in scenes:
        objects = annotate.isat("photo.jpg", rendered.labels_HW)["objects"]
        assert [item["layer"] for item in objects] == list(range(1, len(objects) + 1))
        assert objects[0]["category"] == "person"
        groups = {
            item["category"]: {other["group"] for other in objects if other["category"] == item["category"]}
            for item in objects
        }
        assert all(len(found) == 1 for found in groups.values())
        assert groups.get("__background__", {0}) == {0}
        for item in objects:
            polygon = np.array(item["segmentation"])
            assert (polygon == polygon.round()).all()
            assert item["bbox"] == [*polygon.min(axis=0), *polygon.max(axis=0)]
            assert item["area"] > 0


def test_holes_several_polygons_and_every_label_occur(scenes: list[Rendered]) -> None:
    names = [[item["category"] for item in annotate.isat("x", r.labels_HW)["objects"]] for r in scenes]
    assert {"person", "up", "down", "dress", "hair", "face", "left_arm", "right_arm", "__background__"} == set().union(
        *names
    )
    assert sum("__background__" in found for found in names) >= 3
    assert any(found.count("up") > 1 for found in names)


def test_keypoints_lie_in_the_parts_they_name(scenes: list[Rendered]) -> None:
    for rendered in scenes:
        height, width = rendered.labels_HW.shape
        parts = {name: grown(rendered.labels_HW == index, 2) for name, index in LABEL_INDEX.items()}
        person = grown(rendered.labels_HW > 0, 1)
        for name, (x, y, visible) in zip(KEYPOINT_NAMES, rendered.keypoints_K3, strict=True):
            if not visible:
                assert (x, y) == (0.0, 0.0)
                continue
            assert 0 <= x <= width - 1
            assert 0 <= y <= height - 1
            at = (round(float(y)), round(float(x)))
            assert person[at], name
            if name == "nose" or name.endswith("eye"):
                assert parts["face"][at] or parts["hair"][at], name
            if name.endswith("ear"):
                assert parts["face"][at], name
            if name.endswith("ankle"):
                assert parts["person"][at] or parts["down"][at] or parts["dress"][at], name


def test_left_is_the_persons_own(scenes: list[Rendered]) -> None:
    for rendered in scenes:
        shoulders = rendered.keypoints_K3[[5, 6]]
        assert shoulders[:, 2].all()
        assert shoulders[0, 0] > shoulders[1, 0]


def test_wrists_lie_on_their_own_arm_where_nothing_covers_them(scenes: list[Rendered]) -> None:
    found = []
    for rendered in scenes:
        for name, label, other in (("left_wrist", "left_arm", "right_arm"), ("right_wrist", "right_arm", "left_arm")):
            x, y, visible = rendered.keypoints_K3[KEYPOINT_NAMES.index(name)]
            if visible:
                at = (round(float(y)), round(float(x)))
                if rendered.labels_HW[at] == LABEL_INDEX[other]:
                    continue  # arms that cross cover each other
                found.append(bool(grown(rendered.labels_HW == LABEL_INDEX[label], 3)[at]))
    assert len(found) > 20
    assert np.mean(found) > 0.95


def test_an_arm_or_hair_lies_across_the_garment_in_a_good_share_of_photos(scenes: list[Rendered]) -> None:
    occluders = [LABEL_INDEX[name] for name in ("left_arm", "right_arm", "hair")]
    shares = []
    for rendered in scenes:
        garment = np.isin(rendered.labels_HW, [LABEL_INDEX["up"], LABEL_INDEX["dress"]]).astype(np.uint8)
        torso = rendered.keypoints_K3[[5, 6, 12, 11], :2].round().astype(np.int32)
        trunk = cv2.fillPoly(np.zeros_like(garment), [torso], 1) > 0
        shares.append((np.isin(rendered.labels_HW, occluders) & trunk).sum() / trunk.sum())
    assert np.mean(np.array(shares) > 0.03) > 0.3


@pytest.mark.parametrize("category", ["up", "down", "dress"])
def test_truth_differs_only_around_the_garments(category: Category) -> None:
    for index in range(4):
        scene = sample_scene(12, index, category=category)
        other = in_other_garment(scene, sample_garment(12, f"other {index}", category))
        one, two = render_person(scene, SIZE), render_person(other, SIZE)
        label = LABEL_INDEX[category]
        near = grown((one.labels_HW == label) | (two.labels_HW == label), 2)
        differs = (one.image_HWC != two.image_HWC).any(axis=2)
        # where a hidden edge shines through the anti-aliased rim of what covers it, a few pixels differ a little
        assert (differs & ~near).sum() < 0.001 * differs.size
        assert not (differs & grown(one.mask_HW("face"), 0) & ~near).any()
        assert not ((one.labels_HW != two.labels_HW) & ~near).any()
        assert (differs & near).sum() > 0.2 * near.sum()
        np.testing.assert_array_equal(one.keypoints_K3, two.keypoints_K3)


def test_exchanging_what_is_not_worn_is_an_error() -> None:
    with pytest.raises(ValueError, match="nobody wears dress"):
        in_other_garment(sample_scene(1, 1, category="up"), sample_garment(1, 1, "dress"))


@pytest.mark.parametrize("category", ["up", "down", "dress"])
def test_shop_photo_shows_one_garment_with_the_joints_of_a_wearer(category: Category) -> None:
    for index in range(8):
        garment = sample_garment(13, index, category)
        rendered = render_garment(garment, SIZE)
        assert set(np.unique(rendered.labels_HW)) == {0, LABEL_INDEX[category]}
        visible = {KEYPOINT_NAMES[k] for k in np.flatnonzero(rendered.keypoints_K3[:, 2])}
        assert {"left_hip", "right_hip"} <= visible
        assert ({"left_shoulder", "right_shoulder"} <= visible) == (category != "down")
        if category == "down" or garment.sleeve == 0:
            assert not visible & {"left_elbow", "right_elbow", "left_wrist", "right_wrist"}
        ys, xs = np.nonzero(rendered.labels_HW)
        for name in visible & {"left_shoulder", "right_shoulder", "left_hip", "right_hip"}:
            assert xs.min() <= rendered.keypoints_K3[KEYPOINT_NAMES.index(name), 0] <= xs.max()
        if garment.sleeve > 0.8:
            cloth = grown(rendered.labels_HW > 0, 1)
            for name in ("left_shoulder", "left_elbow", "right_shoulder", "right_elbow"):
                x, y, _ = rendered.keypoints_K3[KEYPOINT_NAMES.index(name)]
                assert cloth[round(float(y)), round(float(x))]


def test_shop_photo_and_wearer_show_the_same_cloth() -> None:
    for index in range(6):
        scene = sample_scene(14, index)
        garment = replace(
            scene.garments[1], pattern=replace(scene.garments[1].pattern, kind="plain"), sleeve_colour=None
        )
        worn = render_person(in_other_garment(scene, garment), SIZE)
        flat = render_garment(garment, SIZE)
        colours = [np.median(r.image_HWC[r.labels_HW == LABEL_INDEX["up"]], axis=0) for r in (worn, flat)]
        assert np.abs(colours[0].astype(float) - colours[1]).max() < 40


def test_the_backdrop_is_brighter_on_the_side_that_light_comes_from() -> None:
    for index in range(20):
        scene = sample_scene(11, index)
        left, right = (render_person(replace(scene, light=light), SIZE) for light in (-1.0, 1.0))
        is_backdrop_HW = (left.labels_HW == 0) & (right.labels_HW == 0)
        change_HW = left.image_HWC.mean(axis=-1) - right.image_HWC.mean(axis=-1)
        columns = np.arange(SIZE[1])[None, :]
        assert change_HW[is_backdrop_HW & (columns < 20)].mean() > 10
        assert change_HW[is_backdrop_HW & (columns >= SIZE[1] - 20)].mean() < -10


def test_a_room_is_lit_from_its_window() -> None:
    rooms = [scene for scene in (sample_scene(11, index) for index in range(60)) if scene.backdrop.kind == "room"]
    assert {scene.light for scene in rooms} == {-1.0, 1.0}
    for scene in rooms:
        dark = replace(scene.person.body, skin="#000000")
        picture = render_person(replace(scene, person=replace(scene.person, body=dark)), SIZE).image_HWC
        window = slice(30, 60)  # rows of the upper panes, whatever the person does
        pale = (picture[window].astype(int) @ [1, 1, 1] > 640).mean(axis=0)
        assert (pale[150:].mean() > pale[:42].mean()) == (scene.light > 0)


def test_worn_cloth_is_shaded_and_creased_beyond_the_shop_photo() -> None:
    ratios = []
    for index in range(8):
        scene = sample_scene(15, index)
        pattern = replace(scene.garments[1].pattern, kind="plain", colours=("#8fa0b0", "#ffffff", "#000000"))
        garment = replace(scene.garments[1], pattern=pattern, sleeve_colour=None)
        spreads = []
        for rendered in (render_person(in_other_garment(scene, garment), SIZE), render_garment(garment, SIZE)):
            inner = cv2.erode(rendered.mask_HW("up"), np.ones((7, 7), np.uint8)) > 0
            spreads.append(np.subtract(*np.percentile(rendered.image_HWC[inner].mean(axis=1), (90, 10))))
        ratios.append(spreads[0] / spreads[1])
    assert min(ratios) > 1.0
    assert np.mean(ratios) > 1.2


def test_size_changes_resolution_and_nothing_else() -> None:
    scene = sample_scene(16, 2)
    small, large = render_person(scene, (256, 192)), render_person(scene, (512, 384))
    halved_HW = large.labels_HW[::2, ::2]
    assert (halved_HW != small.labels_HW).mean() < 0.02
    shrunk = cv2.resize(large.image_HWC, (192, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(float) - small.image_HWC).mean() < 3.0
