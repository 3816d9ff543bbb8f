"""An mmpose top-down model: loaded safely, run on batches of person boxes.

mmpose's own `inference_topdown` takes one photo at a time; here one batch holds crops of many photos, built by
the model's own test pipeline.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tryon.errors import UserError
from tryon.ontology import KEYPOINT_NAMES
from tryon.shims import import_mmpose

NUM_KEYPOINTS = len(KEYPOINT_NAMES)


@dataclass(frozen=True)
class Pose:
    """Keypoints of one box.

    Attributes:
        keypoints_K2: float64 x, y in photo pixels, COCO-17 order.
        scores_K: float64; the chance of being visible where the model predicts it, else its confidence.
    """

    keypoints_K2: np.ndarray
    scores_K: np.ndarray


class PoseModel:
    """A top-down model whose first 17 keypoints are COCO's (COCO-17 and COCO-WholeBody models).

    Args:
        config: mmpose configuration file.
        checkpoint: weights file, already checked against its sha256 where one was given.
        device: "auto", "cpu" or "cuda".

    Raises:
        UserError: the configuration, the checkpoint or their combination cannot be used.
    """

    def __init__(self, config: Path, checkpoint: Path, *, device: str) -> None:
        import_mmpose()
        from mmengine.dataset import Compose, pseudo_collate
        from mmpose.apis import init_model

        device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._is_on_gpu = device.startswith("cuda")
        settings = read_config(config)
        content = read_checkpoint(checkpoint)
        self.network = init_model(settings, checkpoint=None, device=device)
        load_weights(self.network, content, checkpoint=checkpoint, config=config)
        # convolutions run about 1.3 times faster on the CPU in this layout; the numbers stay the same
        self.network.to(memory_format=torch.channels_last)
        if "dataset_meta" in content.get("meta", {}):
            self.network.dataset_meta = content["meta"]["dataset_meta"]
        _check_keypoint_names(self.network.dataset_meta, config)
        self._pipeline = Compose(settings.test_dataloader.dataset.pipeline)
        self._collate = pseudo_collate

    def predict(self, images: Sequence[np.ndarray], boxes_xyxy: Sequence[Sequence[float]]) -> list[Pose]:
        """Keypoints of one box in each image.

        Args:
            images: uint8 RGB [H, W, 3], of any sizes.
            boxes_xyxy: left, top, right, bottom in pixels, one box for each image.
        """
        if not images:
            return []
        samples = [
            self._pipeline(
                {
                    "img": np.ascontiguousarray(image_HWC[..., ::-1]),  # mmpose reads BGR
                    "bbox": np.asarray([box_xyxy], np.float32),
                    "bbox_score": np.ones(1, np.float32),
                    **self.network.dataset_meta,
                }
            )
            for image_HWC, box_xyxy in zip(images, boxes_xyxy, strict=True)
        ]
        # On a CPU a batch is no faster (25 to 28 ms per photo alone or by sixteen), and its sums come out in another
        # order: after an interruption, other photos share a batch, and the results would differ in the last digits.
        step = len(samples) if self._is_on_gpu else 1
        poses = []
        with torch.inference_mode():
            for start in range(0, len(samples), step):
                predictions = self.network.test_step(self._collate(samples[start : start + step]))
                poses += [_pose(prediction.pred_instances) for prediction in predictions]
        return poses


def read_config(path: Path) -> Any:  # noqa: ANN401 (mmengine's Config is untyped)
    """Read an mmpose configuration; published ones that borrow their backbone from mmdet get mmpose's own.

    Raises:
        UserError: not a configuration of a top-down model.
    """
    import_mmpose()
    from mmengine.config import Config

    try:
        settings = Config.fromfile(path)
        backbone, pipeline = settings.model.backbone, settings.test_dataloader.dataset.pipeline
        is_top_down = settings.model.type == "TopdownPoseEstimator" and bool(pipeline)
    except (AttributeError, SyntaxError, ValueError, TypeError, ImportError, OSError) as error:
        raise UserError(f"keypoints.config: {path}: not an mmpose configuration: {error}") from None
    if not is_top_down:
        raise UserError(
            f"keypoints.config: {path}: model type {settings.model.type}; a TopdownPoseEstimator is needed, which "
            "finds the keypoints of a given person box"
        )
    backbone.pop("_scope_", None)
    return settings


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a PyTorch checkpoint, without running code that it may hold.

    Tensors, plain values and numpy arrays (mmpose writes those into `meta`). Objects of any other class are refused,
    whoever vouches for the file; published checkpoints hold none.

    Returns:
        A dict with "state_dict" and perhaps "meta".

    Raises:
        UserError: damaged, not a checkpoint, or it holds objects, as what mmengine's Runner leaves behind does.
    """
    try:
        with _plain_numpy_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"keypoints.checkpoint: {path} cannot be read as plain weights ({_first_line(error)}); if a training of "
            "your own left it, write its weights alone by mmpose's tools/misc/publish_model.py, else fetch it again"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"keypoints.checkpoint: {path} is damaged or no checkpoint: {_first_line(error)}") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"keypoints.checkpoint: {path} holds {type(content).__name__}, expected a state dict")
    return content if "state_dict" in content else {"state_dict": content}


def load_weights(network: torch.nn.Module, content: dict[str, Any], *, checkpoint: Path, config: Path) -> None:
    """Copy a checkpoint's weights into a network; a network with weights left at random is refused.

    Raises:
        UserError: names or shapes do not fit.
    """
    try:
        missing, _unexpected = network.load_state_dict(content["state_dict"], strict=False)
    except (RuntimeError, AttributeError) as error:
        raise UserError(
            f"keypoints.checkpoint: {checkpoint} does not fit {config}: {_first_line(error)}; give the "
            "configuration that the checkpoint was trained with"
        ) from None
    if missing:
        raise UserError(
            f"keypoints.checkpoint: {checkpoint} lacks {len(missing)} weights of {config}, such as {missing[0]}; "
            "give the configuration that the checkpoint was trained with"
        )


@contextmanager
def _plain_numpy_allowed() -> Iterator[None]:
    """Let `torch.load(weights_only=True)` rebuild numpy arrays and scalars, under their old and new names."""
    core = np._core.multiarray  # type: ignore[attr-defined]
    functions = {
        f"{module}.multiarray.{name}": getattr(core, name)
        for module in ("numpy.core", "numpy._core")
        for name in ("_reconstruct", "scalar")
    }
    dtypes = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"]
    pairs = [(function, name) for name, function in functions.items()]
    with torch.serialization.safe_globals([*pairs, np.ndarray, np.dtype, *dtypes]):
        yield


def _check_keypoint_names(meta: dict[str, Any], config: Path) -> None:
    names = meta["keypoint_id2name"]
    found = tuple(names.get(index, "nothing") for index in range(NUM_KEYPOINTS))
    if found != KEYPOINT_NAMES:
        raise UserError(
            f"keypoints.config: {config} finds the keypoints {', '.join(found)}; the first 17 must be COCO's "
            f"({', '.join(KEYPOINT_NAMES)})"
        )


def _pose(instances: Any) -> Pose:  # noqa: ANN401 (mmengine's InstanceData is untyped)
    # mmpose fills keypoints_visible with the scores where the model predicts no visibility
    scores_K = np.asarray(instances.keypoints_visible, np.float64).reshape(-1)[:NUM_KEYPOINTS]
    keypoints_K2 = np.asarray(instances.keypoints, np.float64)[0, :NUM_KEYPOINTS, :2]
    return Pose(keypoints_K2, scores_K)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
