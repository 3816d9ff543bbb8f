"""Parse maps: numbers in, our labels out; what is none, or another space's, is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tryon.dataset import parse_maps
from tryon.dataset.annotation import check_role
from tryon.dataset.parse_maps import LIP_COLOURS, TABLES, pascal_colours, read_numbers, read_parse_map, to_labels
from tryon.errors import BadItem
from tryon.ontology import LABELS

# reference/try-on-field.md §3, measured on VITON-HD's image-parse-v3
MEASURED = (
    "0,0,0 128,0,0 254,0,0 0,85,0 169,0,51 254,85,0 0,0,85 0,119,220 85,85,0 0,85,85 85,51,0 52,86,128 0,128,0 0,0,254 "
    "51,169,220 0,254,254 85,254,169 169,254,85 254,254,0 254,169,0"
)
VITON_HD = [tuple(map(int, colour.split(","))) for colour in MEASURED.split()]


def schp(count: int) -> list[tuple[int, ...]]:
    return [*pascal_colours(count), *((number,) * 3 for number in range(count, 256))]


def save(path: Path, numbers: list[list[int]], colours: list[tuple[int, ...]] | None, mode: str = "P") -> Path:
    array = np.array(numbers, np.uint8)
    picture = Image.frombytes("P" if colours else "L", array.shape[::-1], array.tobytes())
    if colours:
        picture.putpalette([channel for colour in colours for channel in colour])
    (picture if mode in ("P", "L") else picture.convert(mode)).save(path)
    return path


def all_of(space: str) -> list[list[int]]:
    return [list(range(18 if space == "atr" else 20))]


def test_every_number_of_every_space_has_a_label() -> None:
    assert {space: len(table) for space, table in TABLES.items()} == {"lip": 21, "cihp": 20, "atr": 18}
    assert all(ours in LABELS for table in TABLES.values() for _, ours in table)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("cihp", {"up": [5, 7], "dress": [6], "down": [9, 12], "hair": [2], "face": [4, 13]}),
        ("lip", {"up": [5, 7], "dress": [6, 10], "down": [9, 12], "hair": [2], "face": [4, 13]}),
        ("atr", {"up": [4], "dress": [7], "down": [5, 6], "hair": [2], "face": [3, 11]}),
    ],
)
def test_the_tables_say_what_the_field_says(space: parse_maps.Space, expected: dict[str, list[int]]) -> None:
    labels = [LABELS[value] for value in to_labels(np.arange(len(TABLES[space])), space)]
    found = {name: [number for number, label in enumerate(labels) if label == name] for name in expected}
    assert found == expected
    assert labels[0] == "background"
    assert labels.count("background") == 1
    # the person's own left arm comes first in all three
    assert [label for label in labels if "arm" in label] == ["left_arm", "right_arm"]


@pytest.mark.parametrize("colours", [VITON_HD, list(LIP_COLOURS[:20]), schp(20), list(pascal_colours(256)), None])
def test_numbers_are_read_whatever_their_known_colours(tmp_path: Path, colours: list[tuple[int, ...]] | None) -> None:
    path = save(tmp_path / "a.png", all_of("cihp"), colours)
    np.testing.assert_array_equal(read_numbers(path, "cihp"), all_of("cihp"))


def test_the_measured_palette_is_lips_within_one_level() -> None:
    assert np.abs(np.array(VITON_HD) - np.array(LIP_COLOURS[:20])).max() == 1


@pytest.mark.parametrize("name", ["lip", "atr"])
def test_real_parse_maps_are_read(fixtures: Path, name: parse_maps.Space) -> None:
    read = read_parse_map(fixtures / "parse-maps", f"demo_{name}.png", name)
    numbers_HW = np.array(Image.open(fixtures / "parse-maps" / f"demo_{name}.png"))
    assert (read.height, read.width) == (1333, 2000)
    for number in np.unique(numbers_HW):
        wanted = LABELS.index(TABLES[name][number][1])
        assert (read.labels_HW[numbers_HW == number] == wanted).all()
    assert {"face", "hair", "up", "right_arm"} <= set(read.categories)


@pytest.mark.parametrize(
    ("name", "space", "told"),
    [
        ("lip", "atr", "colours 20 numbers, as CIHP and LIP"),
        ("atr", "cihp", "colours 18 numbers, as ATR"),
        ("pascal", "lip", "PASCAL's 7 body parts, which does not tell clothes from skin"),
        ("pascal", "atr", "PASCAL's 7 body parts"),
    ],
)
def test_real_parse_maps_of_another_space_are_refused(
    fixtures: Path, name: str, space: parse_maps.Space, told: str
) -> None:
    with pytest.raises(BadItem, match=rf"demo_{name}\.png: .*{told}"):
        read_numbers(fixtures / "parse-maps" / f"demo_{name}.png", space)


def test_the_palette_of_lip_is_no_atr(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match="the palette of LIP, but ATR"):
        read_numbers(save(tmp_path / "a.png", all_of("atr"), VITON_HD), "atr")


def test_an_unknown_palette_is_refused_with_a_way_out_that_works(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [[0, 5, 9]], [(9 * number, 3, 200) for number in range(20)])
    with pytest.raises(BadItem, match=r"a\.png: an unknown palette.*save them as grey levels: (.*)") as refused:
        read_numbers(path, "cihp")
    command = str(refused.value).partition("levels: ")[2]
    exec(command, {"PIL": __import__("PIL.Image"), "numpy": np, "FILE": path})  # noqa: S102 (our own text)
    np.testing.assert_array_equal(read_numbers(path, "cihp"), [[0, 5, 9]])


@pytest.mark.parametrize(("mode", "told"), [("RGB", "holds colours (mode RGB)"), ("RGBA", "holds colours (mode RGBA)")])
def test_colours_are_no_parse_map(tmp_path: Path, mode: str, told: str) -> None:
    with pytest.raises(BadItem) as refused:
        read_numbers(save(tmp_path / "a.png", [[0, 5]], schp(20), mode), "cihp")
    assert told in str(refused.value)


def test_a_jpeg_is_no_parse_map(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"a\.jpg: a JPEG"):
        read_numbers(save(tmp_path / "a.jpg", [[0, 5]], None), "cihp")


def test_a_number_beyond_the_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match="holds the number 20, but CIHP ends at 19"):
        read_numbers(save(tmp_path / "a.png", [[0, 20]], None), "cihp")
    assert LABELS[to_labels(read_numbers(tmp_path / "a.png", "lip"), "lip")[0, 1]] == "person"


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_cannot_be_decoded_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadItem, match=r"a\.png: "):
        read_numbers(tmp_path / "a.png", "cihp")


def test_a_person_whose_parts_cover_everything_is_a_person(tmp_path: Path) -> None:
    """Cropped at the waist, a parse map may hold face, hair and clothes and nothing that we call `person`."""
    save(tmp_path / "a.png", [[0, 2, 13, 5]], None)
    check_role(read_parse_map(tmp_path, "a.png", "cihp"), "person")
    save(tmp_path / "b.png", [[0, 0, 5, 5]], None)
    with pytest.raises(BadItem, match="no person is annotated") as refused:
        check_role(read_parse_map(tmp_path, "b.png", "cihp"), "person")
    assert "draw" not in str(refused.value), "nobody draws parse maps"
    assert "no pixel shows one of person, hair, face, left_arm, right_arm, so take" in str(refused.value)
