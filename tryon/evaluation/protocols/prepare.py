"""What a protocol does to pictures before it compares them: sizes and files."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tryon.errors import BadItem
from tryon.evaluation.protocols.interface import FileFormat, Protocol, Resize, Size
from tryon.geometry import Letterbox

PILLOW_FILTERS = {"lanczos": Image.Resampling.LANCZOS, "bilinear": Image.Resampling.BILINEAR}
BILINEAR = Resize("Pillow", "bilinear")
WHITE = 255


@dataclass(frozen=True, eq=False)
class Prepared:
    """One result and its truth, ready for the numbers.

    Attributes:
        result_HWC: uint8 RGB, for SSIM and LPIPS.
        truth_HWC: uint8 RGB of the same size.
        result_in_set_HWC: uint8 RGB as FID and KID see it.
        truth_in_set_HWC: uint8 RGB as FID and KID see it.
    """

    result_HWC: np.ndarray
    truth_HWC: np.ndarray
    result_in_set_HWC: np.ndarray
    truth_in_set_HWC: np.ndarray


def refusal(protocol: Protocol, size_hw: tuple[int, ...]) -> str | None:
    """Why a protocol says nothing about results of a size, or None."""
    if protocol.result_sizes is None or tuple(size_hw[:2]) in protocol.result_sizes:
        return None
    known = ", ".join(f"{height}x{width}" for height, width in protocol.result_sizes)
    return f"not computed: {protocol.name} is defined for {known}, these results are {size_hw[0]}x{size_hw[1]}"


def through_file(image_HWC: np.ndarray, file: FileFormat) -> np.ndarray:
    """A uint8 RGB picture as it is read back from such a file."""
    if file.name == "PNG":
        return image_HWC
    stream = io.BytesIO()
    Image.fromarray(image_HWC).save(stream, file.name, quality=file.quality, subsampling=file.subsampling)
    return np.asarray(Image.open(stream).convert("RGB"))


def resaved(image_HWC: np.ndarray, suffix: str) -> np.ndarray:
    """A uint8 RGB picture as it is read back after Pillow saved it under a name with this suffix, by its defaults."""
    name = Image.registered_extensions().get(suffix.lower())
    if name is None:
        raise BadItem(f"Pillow writes no files named *{suffix}; convert the truths to JPEG or PNG")
    stream = io.BytesIO()
    Image.fromarray(image_HWC).save(stream, name)
    return np.asarray(Image.open(stream).convert("RGB"))


def resized(image_HWC: np.ndarray, size_hw: Size, resize: Resize, fill: int = WHITE) -> np.ndarray:
    """A uint8 RGB picture at another size; one that has it already stays as it is."""
    if image_HWC.shape[:2] == size_hw:
        return image_HWC
    if resize.keeps_aspect:
        return Letterbox((image_HWC.shape[0], image_HWC.shape[1]), size_hw).image(image_HWC, fill)
    return np.asarray(Image.fromarray(image_HWC).resize(size_hw[::-1], PILLOW_FILTERS[resize.filter]))


def prepare(
    protocol: Protocol, result_HWC: np.ndarray, truth_HWC: np.ndarray, truth_suffix: str, fill: int = WHITE
) -> Prepared:
    """Both pictures as the protocol compares them.

    Args:
        protocol: what is done.
        result_HWC: the result as its file holds it, uint8 RGB, of a size that `refusal` lets pass.
        truth_HWC: the true picture at its own size, uint8 RGB.
        truth_suffix: of the truth's file, such as ".jpg".
        fill: grey level of borders, where the protocol adds any.

    Raises:
        BadItem: the pictures cannot be brought to one size in the protocol's way.
    """
    height, width = result_HWC.shape[:2]
    true_height, true_width = truth_HWC.shape[:2]
    wanted = protocol.truth.size_hw
    if wanted == "result height":
        # the width follows from the truth; only a truth of another height is touched
        target = (height, int(true_width * height / true_height)) if true_height != height else truth_HWC.shape[:2]
    else:
        target = (height, width) if wanted == "result" else wanted
    compared_HWC = resized(truth_HWC, (target[0], target[1]), protocol.truth.resize, fill)
    if protocol.truth.resaved and compared_HWC is not truth_HWC:
        compared_HWC = resaved(compared_HWC, truth_suffix)
    in_set_HWC = truth_HWC if protocol.truth.as_it_lies_in_sets else compared_HWC
    compared_result_HWC = result_HWC
    if protocol.compared_hw is not None:
        compared_result_HWC = resized(result_HWC, protocol.compared_hw, BILINEAR)
    if compared_result_HWC.shape != compared_HWC.shape:
        raise BadItem(
            f"the truth is {true_height}x{true_width} and becomes {compared_HWC.shape[0]}x{compared_HWC.shape[1]}, the "
            f"result is {height}x{width} (height x width): {protocol.name} compares pictures of one shape; crop the "
            "truth to the result's aspect ratio, or choose a protocol that adds borders (tryon)"
        )
    return Prepared(compared_result_HWC, compared_HWC, result_HWC, in_set_HWC)
