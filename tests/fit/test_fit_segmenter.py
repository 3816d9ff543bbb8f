"""Training of the small segment-anything model: it learns, it repeats exactly, and the stage can use what it writes."""

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tryon import files
from tryon.cli import main
from tryon.config import DatasetConfig
from tryon.dataset.folder import scan
from tryon.errors import UserError
from tryon.fit import segmenter
from tryon.fit.segmenter import FitSettings, fit, make_query, mask_loss, read_examples, score
from tryon.fit.segmenter_data import Example, coarsen, list_photos, read_example, vary
from tryon.ontology import KEYPOINT_NAMES, LABEL_INDEX
from tryon.prepare import sam
from tryon.prepare.cutter import SamCutter
from tryon.prepare.prompts import NO_POINT, NUM_POINTS, part_mask
from tryon.prepare.quality import iou

TINY = sam.Architecture(
    image_px=64, patch_px=8, encoder_dim=32, encoder_depth=2, window=4, global_layers=(1,), prompt_dim=32
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def examples(rendered: Path) -> list[Example]:
    return read_examples(rendered, ("train",))


def tiny_model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return sam.build_small(TINY)


def test_the_loss_falls(examples: list[Example]) -> None:
    losses = fit(tiny_model(), examples, FitSettings(steps=40, batch_size=4, lr=3e-3))
    assert len(losses) == 40
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])


def test_the_same_seed_gives_the_same_weights_and_another_does_not(examples: list[Example]) -> None:
    def weights(seed: int) -> torch.Tensor:
        model = tiny_model()
        fit(model, examples, FitSettings(steps=3, batch_size=2, seed=seed))
        return torch.cat([value.flatten() for value in model.state_dict().values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_every_trained_weight_gets_a_gradient(examples: list[Example]) -> None:
    model = tiny_model().train()
    rng = np.random.default_rng(0)
    views = [vary(examples[0], TINY.image_px, examples, rng) for _ in range(6)]
    queries = [make_query(view, model, rng) for view in views if view.parts]
    queries.append(dataclasses.replace(queries[0], masks_P1MM=None))
    segmenter.loss_of(model, queries).backward()
    # a learnt embedding of "no point" needs a query without points; all else is used by every query
    idle = {name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()}
    assert idle <= {"prompt_encoder.not_a_point_embed.weight"}


def test_the_command_writes_weights_that_the_stage_loads(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit-segmenter", "--data", str(rendered), "--out", str(tmp_path), "--steps", "2", "--batch-size", "2"]
    assert main(arguments) == 0
    card = json.loads((tmp_path / "sam.json").read_text())
    assert card["sha256"] == files.sha256_file(tmp_path / "sam.pth")
    assert card["held_out"]["num_persons"] == 2
    assert 0 <= card["held_out"]["garment_iou_mean"] <= 1
    model = sam.load(sam.SMALL, tmp_path / "sam.pth")
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert "garment_iou_mean" in capsys.readouterr().out


def test_training_goes_on_from_given_weights(rendered: Path, tmp_path: Path) -> None:
    shipped = Path(__file__).resolve().parent.parent.parent / "resources" / "segmenter" / "sam.pth"
    arguments = ["--data", str(rendered), "--steps", "1", "--batch-size", "1", "--lr", "1e-9"]
    assert main(["fit-segmenter", *arguments, "--init", str(shipped), "--out", str(tmp_path)]) == 0
    before, after = (sam.load(sam.SMALL, path).state_dict() for path in (shipped, tmp_path / "sam.pth"))
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, atol=1e-3, rtol=1e-3)


class Oracle(SamCutter):
    """Answers each prompt with its rough mask, which is what a model that adds nothing would do."""

    def __init__(self) -> None:
        pass

    def cut(self, image_HWC, parts, keypoints_K3):
        from tryon.prepare.cutouts import Cut

        return {part: Cut(mask_HW) for part, mask_HW in parts.items()}


def test_the_score_of_a_model_that_adds_nothing_is_that_of_its_prompts(rendered: Path) -> None:
    scores = score(Oracle(), rendered, ("test",))
    assert scores["garment_iou_mean"] == scores["prompt_garment_iou_mean"] < 0.97
    assert scores["person_iou_mean"] == scores["prompt_person_iou_mean"] < 0.97
    assert scores["num_photos"] == 4
    assert scores == score(Oracle(), rendered, ("test",)), "the roughening is a function of the seed"
    assert scores != score(Oracle(), rendered, ("test",), seed=1)


def disc(radius: int = 40) -> np.ndarray:
    mask_HW = np.zeros((128, 128), np.uint8)
    cv2.circle(mask_HW, (64, 64), radius, 1, -1)
    return mask_HW


def test_rough_masks_are_off_but_not_lost() -> None:
    rng = np.random.default_rng(0)
    values = [iou(coarsen(disc(), rng), disc()) for _ in range(40)]
    assert min(values) > 0.7
    assert 0.85 < np.mean(values) < 0.97
    dot_HW = np.zeros((128, 128), np.uint8)
    dot_HW[64, 64] = 1
    assert all(coarsen(dot_HW, rng).any() for _ in range(20)), "a mask is never roughened away"


def test_holes_stay_holes() -> None:
    ring_HW = disc(50) - disc(25)
    rng = np.random.default_rng(0)
    assert not any(coarsen(ring_HW, rng)[64, 64] for _ in range(20))


def test_a_varied_view_keeps_labels_and_keypoints_on_the_same_things(examples: list[Example]) -> None:
    person = next(example for example in examples if example.id.startswith("person"))
    labels_HW = np.zeros((200, 150), np.uint8)
    cv2.circle(labels_HW, (50, 60), 12, LABEL_INDEX["right_arm"], -1)
    cv2.circle(labels_HW, (100, 60), 12, LABEL_INDEX["left_arm"], -1)
    cv2.circle(labels_HW, (75, 130), 25, LABEL_INDEX["up"], -1)
    keypoints_K3 = np.zeros((17, 3))
    keypoints_K3[KEYPOINT_NAMES.index("right_wrist")] = (50, 60, 1)
    keypoints_K3[KEYPOINT_NAMES.index("left_wrist")] = (100, 60, 1)
    image_HWC = np.repeat((labels_HW * 25)[..., None], 3, axis=2)
    example = Example("person/x", image_HWC, labels_HW, keypoints_K3)
    rng = np.random.default_rng(0)
    mirrored = 0
    for _ in range(20):
        view = vary(example, 256, [person], rng)
        assert max(view.labels_HW.shape) == 256
        places = {}
        for side in ("left", "right"):
            x, y, visible = view.keypoints_K3[KEYPOINT_NAMES.index(f"{side}_wrist")]
            places[side] = x
            if visible:
                assert view.labels_HW[int(y), int(x)] == LABEL_INDEX[f"{side}_arm"]
        assert places["left"] > places["right"], "the person's left is the picture's right, mirrored or not"
        mirrored += 1
    assert mirrored == 20


def test_queries_hold_prompts_in_the_models_frame(examples: list[Example]) -> None:
    model, rng = tiny_model(), np.random.default_rng(0)
    for _ in range(10):
        view = vary(examples[0], TINY.image_px, examples, rng)
        if not view.parts:
            continue
        query = make_query(view, model, rng)
        height, width = view.labels_HW.shape
        assert query.image_3HW.shape == (3, height, width)
        assert query.targets_PHW.shape[1:] == (height, width)
        assert (query.boxes_P4 >= 0).all()
        assert (query.boxes_P4[:, [0, 2]] <= width - 1).all()
        assert (query.boxes_P4[:, [1, 3]] <= height - 1).all()
        assert query.point_labels_PN.shape == (segmenter.PROMPTS_PER_PHOTO, 2 * NUM_POINTS)
        assert set(query.point_labels_PN.unique().tolist()) <= {NO_POINT, 0, 1}


def test_the_loss_prefers_the_truth() -> None:
    target = torch.from_numpy(disc()).float()[None]
    right = mask_loss(20 * (target - 0.5), target, torch.tensor([1.0]))
    assert right < 1e-3
    assert mask_loss(-20 * (target - 0.5), target, torch.tensor([0.0])) > 5
    vain = mask_loss(20 * (target - 0.5), target, torch.tensor([0.0]))
    assert vain - right == pytest.approx(segmenter.IOU_WEIGHT, rel=0.01)  # IoU is 1, the estimate said 0


def test_photos_of_unknown_split_cannot_be_held_out(rendered: Path, tmp_path: Path) -> None:
    for name in ("person", "garment", "annotations", "keypoints"):
        shutil.copytree(rendered / name, tmp_path / name)
    assert len(list_photos(tmp_path, None)) == len(scan(rendered).photos)
    with pytest.raises(UserError, match=r"no photos\.csv"):
        list_photos(tmp_path, ("test",))


def test_another_format_is_read_by_its_own_reader(photos: Path, tmp_path: Path) -> None:
    for name in ("person", "garment"):
        shutil.copytree(photos / name, tmp_path / name)
    (tmp_path / "annotations").mkdir()
    shutil.copy(photos / "coco" / "instances.json", tmp_path / "annotations")
    examples = read_examples(tmp_path, None, DatasetConfig(format="coco"))
    own = {example.id: example for example in read_examples(photos, None)}
    assert len(examples) == 8
    for example in examples:
        assert example.parts == own[example.id].parts
        assert (example.labels_HW == own[example.id].labels_HW).mean() > 0.998
        np.testing.assert_array_equal(example.keypoints_K3[:, 2], own[example.id].keypoints_K3[:, 2])


def test_examples_are_scaled_with_their_labels_and_keypoints(rendered: Path) -> None:
    photo = next(photo for photo in scan(rendered).photos if photo.role == "person")
    full, small = read_example(rendered, photo), read_example(rendered, photo, 128)
    assert small.labels_HW.shape == small.image_HWC.shape[:2] == (128, 96)
    assert small.parts == full.parts
    np.testing.assert_allclose(small.keypoints_K3[:, :2], (full.keypoints_K3[:, :2] + 0.5) / 2 - 0.5)
    enlarged = part_mask(small.labels_HW, "person").repeat(2, 0).repeat(2, 1)
    assert iou(enlarged, part_mask(full.labels_HW, "person")) > 0.95
