"""Loading mmpose models: published layouts drop in, unsafe or unfitting files are refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tryon.errors import UserError
from tryon.prepare.pose_model import PoseModel, read_checkpoint, read_config
from tryon.shims import import_mmpose
from tryon.weights import find_config

SMALL = Path(__file__).parents[2] / "resources" / "pose" / "pose_config.py"
PUBLISHED = "body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py"
WHOLE_BODY = "wholebody_2d_keypoint/rtmpose/coco-wholebody/rtmpose-m_8xb64-270e_coco-wholebody-256x192.py"
HANDS = "hand_2d_keypoint/topdown_heatmap/coco_wholebody_hand/td-hm_res50_8xb32-210e_coco-wholebody-hand-256x256.py"


def random_weights(config: Path) -> dict[str, torch.Tensor]:
    """Seeded weights of a configuration's network."""
    import_mmpose()
    from mmpose.apis import init_model

    torch.manual_seed(0)
    weights: dict[str, torch.Tensor] = init_model(read_config(config), device="cpu").state_dict()
    return weights


def model_of(config: Path, checkpoint: Path) -> PoseModel:
    return PoseModel(config, checkpoint, device="cpu")


@pytest.fixture(scope="module")
def small_weights() -> dict[str, torch.Tensor]:
    return random_weights(SMALL)


def test_a_published_model_drops_in_with_numpy_meta(tmp_path: Path) -> None:
    config, path = find_config(PUBLISHED), tmp_path / "rtmpose.pth"
    meta = {"dataset_meta": read_meta(config)}
    torch.save({"meta": meta, "state_dict": random_weights(config)}, path)
    with pytest.raises(Exception, match="numpy"):
        torch.load(path, weights_only=True)  # the layout that needs care: numpy arrays in meta
    image_HWC = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    (pose,) = model_of(config, path).predict([image_HWC], [(5, 5, 50, 70)])
    assert pose.keypoints_K2.shape == (17, 2)
    assert pose.scores_K.shape == (17,)


def read_meta(config: Path) -> Any:
    import_mmpose()
    from mmpose.apis.inference import dataset_meta_from_config

    return dataset_meta_from_config(read_config(config))


def test_a_whole_body_model_gives_its_first_17_points(tmp_path: Path) -> None:
    config, path = find_config(WHOLE_BODY), tmp_path / "whole.pth"
    torch.save(random_weights(config), path)  # a bare state dict is a checkpoint too
    (pose,) = model_of(config, path).predict([np.zeros((80, 60, 3), np.uint8)], [(5, 5, 50, 70)])
    assert pose.keypoints_K2.shape == (17, 2)


def test_a_model_of_other_keypoints_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, path = find_config(HANDS), tmp_path / "hands.pth"
    torch.save(random_weights(config), path)
    with pytest.raises(UserError, match="the first 17 must be COCO's"):
        model_of(config, path)


class Malice:
    """Makes a folder when it is unpickled, as any code could be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, small_weights: dict[str, torch.Tensor]) -> None:
    path, proof = tmp_path / "runner.pth", tmp_path / "proof"
    torch.save({"state_dict": small_weights, "message_hub": Malice(proof)}, path)
    with pytest.raises(UserError, match=r"runner.pth cannot be read as plain weights .*publish_model.py"):
        model_of(SMALL, path)
    assert not proof.exists()


def test_weights_of_another_model_are_refused(tmp_path: Path, small_weights: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "other.pth"
    torch.save({"state_dict": small_weights}, path)
    with pytest.raises(UserError, match="does not fit|lacks"):
        model_of(find_config(PUBLISHED), path)
    torch.save({"state_dict": {"backbone.weight": torch.zeros(3)}}, path)
    with pytest.raises(UserError, match=r"lacks \d+ weights"):
        model_of(SMALL, path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pose.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"keypoints.checkpoint: .*pose.pth"):
        read_checkpoint(path)


def test_a_configuration_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text("model = dict(type='BottomupPoseEstimator', backbone=dict())\n")
    with pytest.raises(UserError, match="not an mmpose configuration"):
        read_config(path)
    with pytest.raises(UserError, match="no such file, nor an mmpose configuration of that name"):
        find_config("body/none.py")
