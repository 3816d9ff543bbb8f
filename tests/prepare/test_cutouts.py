"""The stage `cutouts`: the shipped model on rendered photos, its prompts, its tables, and what bad input gets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cutout_rig import WEIGHTS, Results

from tryon import files
from tryon.config import CutoutsConfig
from tryon.dataset.folder import scan
from tryon.errors import BadItem, UserError
from tryon.fit.segmenter_data import Example, coarsen, read_example
from tryon.ontology import CATEGORIES, CATEGORY_BIT, KEYPOINT_NAMES, LABEL_INDEX
from tryon.prepare import sam
from tryon.prepare.cutouts import cut_photo, load_cutter
from tryon.prepare.cutter import SamCutter
from tryon.prepare.prompts import (
    BACKGROUND,
    FOREGROUND,
    MASK_LOGIT,
    NO_POINT,
    PERSON,
    mask_logits,
    part_mask,
    prompts_for,
)
from tryon.prepare.quality import iou


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cutter() -> SamCutter:
    return load_cutter(CutoutsConfig(checkpoint=str(WEIGHTS), device="cpu"))


@pytest.fixture(scope="module")
def examples(rendered: Path) -> list[Example]:
    return [read_example(rendered, photo) for photo in scan(rendered).photos if photo.annotation]


@pytest.fixture(scope="module")
def person(examples: list[Example]) -> Example:
    """A rendered person photo with an upper garment."""
    return next(example for example in examples if example.id.startswith("person") and "up" in example.parts)


@pytest.fixture
def results(tmp_path: Path, rendered: Path, examples: list[Example], person: Example) -> Results:
    """One person and the first garment photo."""
    garment = next(example for example in examples if example.id.startswith("garment"))
    return Results(tmp_path / "results", rendered, [person, garment])


def garment_id(results: Results) -> str:
    return next(photo_id for photo_id in results.table().index if photo_id.startswith("garment"))


def test_the_stage_writes_masks_of_the_photo_and_facts_about_them(results: Results, person: Example) -> None:
    assert results.run() == 0
    table = results.table()
    assert set(table["status"]) == {"ok"}
    assert set(table["backend"]) == {"tryon_small"}
    assert table["agreement"].min() > 0.85
    assert table["predicted_iou"].between(0.5, 1.1).all()
    parts = table.loc[person.id, "parts"].split(",")
    assert parts == person.parts
    garments_HW = results.bits(person.id, "garments.png")
    for category in CATEGORIES:
        cut_HW = garments_HW & CATEGORY_BIT[category]
        assert cut_HW.any() == (category in parts)
        if category in parts:
            assert iou(cut_HW, part_mask(person.labels_HW, category)) > 0.85
    assert iou(results.bits(person.id, "person.png"), part_mask(person.labels_HW, PERSON)) > 0.9
    regions_HW = results.bits(person.id, "regions.png")
    assert all((regions_HW & bit).any() for bit in CATEGORY_BIT.values())
    assert not regions_HW[person.labels_HW == LABEL_INDEX["face"]].any()


def test_a_garment_photo_has_a_cut_out_and_no_person_and_no_region(results: Results) -> None:
    assert results.run(source="annotations") == 0
    photo_id = garment_id(results)
    assert results.bits(photo_id, "garments.png").any()
    assert not results.bits(photo_id, "person.png").any()
    assert not results.bits(photo_id, "regions.png").any()


def test_annotations_mode_copies_the_label_map_and_needs_no_weights(results: Results, person: Example) -> None:
    assert results.run(source="annotations", checkpoint="nowhere.pth") == 0
    row = results.table().loc[person.id]
    assert row["backend"] == "annotations"
    assert row["agreement"] == 1.0
    assert pd.isna(row["predicted_iou"])
    expected_HW = sum(part_mask(person.labels_HW, name) * bit for name, bit in CATEGORY_BIT.items())
    np.testing.assert_array_equal(results.bits(person.id, "garments.png"), expected_HW)
    np.testing.assert_array_equal(results.bits(person.id, "person.png"), person.labels_HW > 0)


def test_the_second_run_loads_no_model_and_gives_the_same_table(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert results.run() == 0
    first = results.out.read_bytes()
    monkeypatch.setattr(sam, "load", lambda *_: pytest.fail("the model is loaded for finished photos"))
    assert results.run() == 0
    assert results.out.read_bytes() == first


def test_another_run_of_the_model_gives_the_same_bytes(results: Results, person: Example) -> None:
    assert results.run() == 0
    first = {name: results.bits(person.id, name) for name in ("garments.png", "regions.png", "person.png")}
    shutil.rmtree(results.root / "items")
    assert results.run() == 0
    for name, bits_HW in first.items():
        np.testing.assert_array_equal(results.bits(person.id, name), bits_HW)


def test_the_image_encoder_runs_once_per_photo(cutter: SamCutter, person: Example) -> None:
    calls: list[tuple[int, ...]] = []
    encoder = cutter.sam.image_encoder
    handle = encoder.register_forward_hook(lambda _module, inputs, _output: calls.append(tuple(inputs[0].shape)))
    parts = {part: part_mask(person.labels_HW, part) for part in person.parts}
    try:
        cuts = cutter.cut(person.image_HWC, parts, person.keypoints_K3)
    finally:
        handle.remove()
    assert len(cuts) >= 2, "several parts were asked for"
    assert calls == [(1, 3, encoder.img_size, encoder.img_size)]


def test_the_model_improves_rough_annotations(cutter: SamCutter, examples: list[Example]) -> None:
    rng = np.random.default_rng(3)
    gains = []
    for example in examples:
        true = {part: part_mask(example.labels_HW, part) for part in example.parts}
        rough = {part: coarsen(mask_HW, rng) for part, mask_HW in true.items()}
        cuts = cutter.cut(example.image_HWC, rough, example.keypoints_K3)
        gains += [iou(cuts[part].mask_HW, true[part]) - iou(rough[part], true[part]) for part in true]
    assert np.mean(gains) > 0.02


def test_points_land_inside_and_outside_the_part(examples: list[Example]) -> None:
    for example in examples:
        for part in example.parts:
            mask_HW = part_mask(example.labels_HW, part)
            prompts = prompts_for(mask_HW, example.keypoints_K3, part)
            columns, rows = np.rint(prompts.points_N2).astype(int).T
            values_N = mask_HW[rows, columns]
            assert (values_N[prompts.point_labels_N == FOREGROUND] == 1).all()
            assert (values_N[prompts.point_labels_N == BACKGROUND] == 0).all()
            assert (prompts.point_labels_N == FOREGROUND).any()
            left, top, right, bottom = prompts.box_xyxy
            assert mask_HW[: int(top)].sum() == mask_HW[int(bottom) + 1 :].sum() == 0
            assert mask_HW[:, : int(left)].sum() == mask_HW[:, int(right) + 1 :].sum() == 0


def test_keypoints_place_points_where_they_agree_with_the_mask() -> None:
    mask_HW = np.zeros((100, 80), np.uint8)
    mask_HW[20:60, 20:60] = 1
    keypoints_K3 = np.zeros((17, 3))
    places = {"left_shoulder": (55, 22), "right_shoulder": (25, 22), "left_hip": (50, 62), "right_hip": (30, 62)}
    for name, point in {**places, "nose": (40, 8)}.items():
        keypoints_K3[KEYPOINT_NAMES.index(name)] = (*point, 1)
    prompts = prompts_for(mask_HW, keypoints_K3, "up")
    np.testing.assert_allclose(prompts.points_N2[0], (40, 38), atol=0.5)  # the chest: 3/5 shoulders, 2/5 hips
    assert (prompts.point_labels_N[:3] != BACKGROUND).all()
    assert (40, 8) not in [tuple(point) for point in prompts.points_N2], "the nose lies outside the box"
    nowhere = prompts_for(mask_HW, np.zeros((17, 3)), "up")
    assert nowhere.point_labels_N[0] == FOREGROUND
    np.testing.assert_allclose(nowhere.points_N2[0], (39.5, 39.5), atol=1)  # the middle, without keypoints


def test_a_part_that_fills_its_box_gets_no_outside_points() -> None:
    mask_HW = np.ones((50, 40), np.uint8)
    prompts = prompts_for(mask_HW, np.zeros((17, 3)), PERSON)
    np.testing.assert_array_equal(prompts.box_xyxy, (0, 0, 39, 49))
    assert (prompts.point_labels_N[3:] == NO_POINT).all()


def test_the_mask_prompt_lies_in_the_frame_of_the_padded_picture() -> None:
    mask_HW = np.zeros((512, 256), np.uint8)
    mask_HW[256:, :128] = 1
    logits = mask_logits(mask_HW, (256, 128), 256, 128)
    assert logits.shape == (1, 128, 128)
    inside = np.zeros((128, 128), bool)
    inside[64:, :32] = True  # the lower left quarter of the photo, which fills the left half of the square
    np.testing.assert_array_equal(logits[0] > 0, inside)
    assert {float(logits.min()), float(logits.max())} == {-MASK_LOGIT, MASK_LOGIT}


def test_a_photo_that_an_earlier_stage_refused_keeps_that_reason(results: Results, person: Example) -> None:
    results.refuse("masks", person.id, "x.json: unknown label 'hat'")
    assert results.run(source="annotations") == 0
    row = results.table().loc[person.id]
    assert (row["status"], row["reason"]) == ("quarantined", "x.json: unknown label 'hat'")


def test_a_photo_without_a_labelled_garment_is_refused_with_the_fix(person: Example) -> None:
    labels_HW = (person.labels_HW > 0).astype(np.uint8) * LABEL_INDEX["person"]
    cfg = CutoutsConfig(source="annotations")
    with pytest.raises(BadItem, match="no garment is annotated; draw one of up, down, dress"):
        cut_photo(person.image_HWC, labels_HW, person.keypoints_K3, role=PERSON, cfg=cfg, cutter=None)


def test_a_cut_out_far_from_its_annotation_is_refused(cutter: SamCutter, person: Example) -> None:
    cfg = CutoutsConfig(checkpoint=str(WEIGHTS), min_agreement=1.0)
    with pytest.raises(BadItem, match=r"IoU 0\.\d\d only, expected at least 1.0 .*source: annotations"):
        cut_photo(person.image_HWC, person.labels_HW, person.keypoints_K3, role=PERSON, cfg=cfg, cutter=cutter)


def test_a_truncated_photo_is_quarantined_and_the_others_go_on(
    results: Results, person: Example, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(results.data, data)
    results.data = data
    photo = data / next(photo.file for photo in scan(data).photos if photo.id == person.id)
    photo.write_bytes(photo.read_bytes()[:2000])
    assert results.run(source="annotations") == 0
    table = results.table()
    assert table.loc[person.id, "status"] == "quarantined"
    assert photo.name in table.loc[person.id, "reason"]
    assert (table["status"] == "ok").sum() == 1


def test_a_table_of_another_shard_is_named(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_parquet(results.root / "masks.parquet")
    files.write_parquet(results.root / "masks.parquet", table.iloc[:1])
    assert results.run(source="annotations") == 2
    assert "masks.parquet: no row for" in capsys.readouterr().err


def test_a_wrong_sha256_is_named(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert results.run(sha256="0" * 64) == 2
    message = capsys.readouterr().err
    assert str(WEIGHTS) in message
    assert "expected 0000" in message


@pytest.mark.parametrize("content", [b"", b"hello" * 100, None])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(WEIGHTS.read_bytes()[:9000] if content is None else content)
    with pytest.raises(UserError, match=r"broken\.pth is damaged or not a file of weights"):
        sam.load(sam.SMALL, path)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UserError, match=r"model\.pth is damaged or not a file of weights"):
        sam.load(sam.SMALL, path)


@pytest.mark.parametrize("model_type", ["vit_b", "vit_l", "vit_h"])
def test_a_checkpoint_of_another_architecture_is_named(model_type: str) -> None:
    with pytest.raises(UserError, match=rf"sam\.pth does not fit cutouts\.model_type {model_type} .*tryon_small"):
        sam.load(model_type, WEIGHTS)


def test_the_card_of_the_shipped_weights_tells_the_truth() -> None:
    card = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert card["sha256"] == files.sha256_file(WEIGHTS)
    assert card["architecture"] == json.loads(json.dumps(sam.Architecture().__dict__))
    assert WEIGHTS.stat().st_size < 6_000_000
    assert card["held_out"]["garment_iou_mean"] >= 0.9
