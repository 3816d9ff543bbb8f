"""Value ranges, exact masks, and what an unreadable photo answers."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

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


def kinds(decoded: images.Decoded) -> list[str]:
    return [repair.partition(":")[0] for repair in decoded.repairs]


def test_an_ordinary_jpeg_decodes_to_the_same_bytes_as_pillow_and_nothing_is_recorded(tmp_path: Path) -> None:
    noise_HWC = np.random.default_rng(0).integers(0, 255, (24, 16, 3), np.uint8)
    Image.fromarray(noise_HWC).save(tmp_path / "a.JPG", "JPEG")
    decoded = images.decode(tmp_path / "a.JPG")
    np.testing.assert_array_equal(decoded.image_HWC, np.asarray(Image.open(tmp_path / "a.JPG").convert("RGB")))
    np.testing.assert_array_equal(images.read_rgb(tmp_path / "a.JPG"), decoded.image_HWC)
    assert decoded.repairs == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_as_pillow_does(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise_HWC = np.random.default_rng(0).integers(0, 255, (4, 8, 3), np.uint8)
    Image.fromarray(noise_HWC).save(tmp_path / "a.png", exif=exif)
    decoded = images.decode(tmp_path / "a.png")
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(decoded.image_HWC, np.asarray(upright))
    assert kinds(decoded) == ([] if orientation == 1 else ["EXIF rotation"])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_leaves_the_picture_as_it_lies(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    decoded = images.decode(tmp_path / "a.jpg")
    assert decoded.image_HWC.shape == (4, 8, 3)


def png_of_16_bits(values_HWC: np.ndarray, colour_type: int) -> bytes:
    """A PNG by hand, as Pillow writes no colours of 16 bits (PNG specification, 11.2)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values_HWC.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values_HWC)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_are_scaled_and_not_cut_off(tmp_path: Path, colour_type: int, channels: int) -> None:
    values_HWC = np.full((4, 6, channels), 0xFFFF, np.uint16)
    values_HWC[..., : channels if channels % 2 else -1] = (np.arange(6, dtype=np.uint16) * 10_000)[:, None]
    (tmp_path / "a.png").write_bytes(png_of_16_bits(values_HWC, colour_type))
    decoded = images.decode(tmp_path / "a.png")
    expected = np.arange(6) * 10_000 / 257
    assert np.abs(decoded.image_HWC[0, :, 0] - expected).max() < 1
    assert kinds(decoded)[0] == "16 bits"


def test_a_16_bit_tiff_is_scaled_too(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(tmp_path / "a.tif")
    decoded = images.decode(tmp_path / "a.tif")
    assert (decoded.image_HWC == round(40_000 / 257)).all()
    assert kinds(decoded) == ["16 bits", "grey"]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (6, 4)).save(tmp_path / "a.tif")
    with pytest.raises(BadItem, match=r"a.tif: .*what is white; export it as RGB"):
        images.decode(tmp_path / "a.tif")


def test_transparency_is_shown_on_white_and_an_opaque_layer_is_nothing(tmp_path: Path) -> None:
    rgba_HWC = np.full((2, 3, 4), (200, 100, 50, 255), np.uint8)
    Image.fromarray(rgba_HWC).save(tmp_path / "opaque.png")
    assert images.decode(tmp_path / "opaque.png").repairs == ()
    rgba_HWC[0, :, 3] = (0, 51, 255)
    Image.fromarray(rgba_HWC).save(tmp_path / "a.png")
    decoded = images.decode(tmp_path / "a.png")
    assert decoded.image_HWC[0].tolist() == [[255, 255, 255], [244, 224, 214], [200, 100, 50]]
    assert kinds(decoded) == ["transparency"]


def test_palette_and_grey_are_said(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(tmp_path / "p.png")
    assert images.read_rgb(tmp_path / "p.png")[0, 0].tolist() == [10, 200, 30]
    assert kinds(images.decode(tmp_path / "p.png")) == ["palette"]
    palette.save(tmp_path / "hole.png", transparency=1)
    hole = images.decode(tmp_path / "hole.png")
    assert kinds(hole) == ["palette", "transparency"]
    assert (hole.image_HWC == 255).all()
    Image.new("L", (4, 4), 77).save(tmp_path / "l.jpg")
    assert kinds(images.decode(tmp_path / "l.jpg")) == ["grey"]
    assert (images.read_rgb(tmp_path / "l.jpg") == 77).all()


def test_cmyk_with_adobes_marker_has_the_right_colours_and_without_it_nobody_knows(tmp_path: Path) -> None:
    """Adobe writes ink amounts inverted; a red field must not come out as its negative."""
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    decoded = images.decode(tmp_path / "red.jpg")
    assert np.abs(decoded.image_HWC.astype(int) - (255, 0, 0)).max() <= 3
    assert kinds(decoded) == ["CMYK"]
    content = (tmp_path / "red.jpg").read_bytes()
    start = content.index(b"\xff\xee")
    length = struct.unpack(">H", content[start + 2 : start + 4])[0]
    (tmp_path / "bare.jpg").write_bytes(content[:start] + content[start + 2 + length :])
    with pytest.raises(BadItem, match="bare.jpg: CMYK without Adobe's marker"):
        images.decode(tmp_path / "bare.jpg")


def test_content_counts_and_a_wrong_suffix_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (8, 4)).save(tmp_path / "a.png", "JPEG")
    decoded = images.decode(tmp_path / "a.png")
    assert decoded.repairs == ("wrong suffix: JPEG content read from a file named .png",)


def test_of_several_pictures_the_first_is_used(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    decoded = images.decode(tmp_path / "a.tif")
    assert decoded.image_HWC[0, 0].tolist() == [255, 0, 0]
    assert decoded.repairs == ("several pictures: the first of 2 is used",)
    frames[0].save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert images.decode(tmp_path / "phone.jpg").repairs == ()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    bomb = png_of_16_bits(np.zeros((1, 1), np.uint16), 0)
    header = bomb[12:16] + struct.pack(">II", side, side) + bomb[24:29]
    (tmp_path / "bomb.png").write_bytes(bomb[:12] + header + struct.pack(">I", zlib.crc32(header)) + bomb[33:])
    with pytest.raises(BadItem, match=r"bomb.png: .*over 100000000 pixels; scale it down"):
        images.decode(tmp_path / "bomb.png")


def test_unreadable_photos_name_file_cause_and_fix(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    Image.new("RGB", (8, 4)).save(tmp_path / "plot.jpg", "PPM")
    causes = {"cut": "truncated", "text": "not a picture", "empty": "0 bytes", "plot": "PPM files are not read"}
    for name, cause in causes.items():
        with pytest.raises(BadItem, match=rf"{name}.jpg.*{cause}.*again"):
            images.read_rgb(tmp_path / f"{name}.jpg")
    with pytest.raises(BadItem, match="gone.jpg: no such file"):
        images.read_rgb(tmp_path / "gone.jpg")
