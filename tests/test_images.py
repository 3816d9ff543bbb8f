"""Value ranges, exact masks, and what an unreadable photo answers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tryon import images
from tryon.errors import BadItem
from tryon.ontology import LABELS, PALETTE


def test_the_networks_see_minus_one_to_one_and_back_exactly() -> None:
    ramp_HWC = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    network = images.to_network(ramp_HWC)
    assert network.dtype == np.float32
    assert (network.min(), network.max()) == (-1.0, 1.0)
    np.testing.assert_array_equal(images.from_network(network), ramp_HWC)


def test_values_outside_the_range_are_clipped_not_wrapped() -> None:
    assert images.from_network(np.array([[[1.03, -1.03, 0.0]]])).tolist() == [[[255, 0, 128]]]


def test_scaling_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        images.to_network(np.zeros((2, 2, 3), np.float32))


def test_label_maps_are_indexed_and_exact(tmp_path: Path) -> None:
    labels_HW = np.arange(len(LABELS), dtype=np.uint8).reshape(3, 3)
    (tmp_path / "a.png").write_bytes(images.encode_labels(labels_HW))
    np.testing.assert_array_equal(images.read_labels(tmp_path / "a.png"), labels_HW)
    colours = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert tuple(colours[0, 2]) == PALETTE[2]
    with pytest.raises(ValueError, match="below 9"):
        images.encode_labels(np.full((2, 2), 9, np.uint8))


def test_bit_planes_are_exact(tmp_path: Path) -> None:
    bits_HW = np.array([[0, 1, 2], [4, 5, 7]], np.uint8)
    (tmp_path / "a.png").write_bytes(images.encode_mask_bits(bits_HW))
    np.testing.assert_array_equal(images.read_mask_bits(tmp_path / "a.png"), bits_HW)


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert images.read_rgb(tmp_path / "a.jpg").shape == (8, 4, 3)


def test_unreadable_photos_name_file_cause_and_fix(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    for name, cause in {"cut.jpg": "truncated", "text.jpg": "not a picture", "empty.jpg": "not a picture"}.items():
        with pytest.raises(BadItem, match=rf"{name}.*{cause}.*again"):
            images.read_rgb(tmp_path / name)
    with pytest.raises(BadItem, match="gone.jpg: no such file"):
        images.read_rgb(tmp_path / "gone.jpg")
