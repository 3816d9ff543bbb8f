"""Reading packed photos: by id, from many files, in many processes; and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from tryon.errors import UserError
from tryon.packed import PackedPhoto, PackedPhotos, check_quarantined
from tryon.prepare.pack_file import Pack

SIZES = [(8, 6), (16, 12)]


def photo(id_: str, size_hw: tuple[int, int]) -> PackedPhoto:
    rng = np.random.default_rng([*id_.encode(), *size_hw])
    planes = [rng.integers(0, 8, size_hw, dtype=np.uint8) for _ in range(3)]
    return PackedPhoto(id_, rng.integers(0, 255, (*size_hw, 3), np.uint8), *planes, rng.random((17, 3), np.float32))


def write(path: Path, ids: list[str], **more: object) -> Path:
    metadata = {
        "ids": ids,
        "roles": [id_.partition("/")[0] for id_ in ids],
        "sizes": [list(size) for size in SIZES],
        "agnostic": "limbs",
        "fill": 255,
        **more,
    }
    pack = Pack(path, len(ids), SIZES, metadata)
    for row, id_ in enumerate(ids):
        for size_hw in SIZES:
            pack.put(row, photo(id_, size_hw))
    pack.close()
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path / "a.safetensors", ["person/anna", "garment/李 娜"]),
        write(tmp_path / "b.safetensors", ["person/bo"]),
        write(tmp_path / "c.safetensors", []),
    ]


def same(one: PackedPhoto, other: PackedPhoto) -> None:
    assert one.id == other.id
    for name in ("image_HWC", "labels_HW", "garments_HW", "regions_HW", "keypoints_K3"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


def test_what_was_packed_is_read_by_id_and_size(files: list[Path]) -> None:
    photos = PackedPhotos(files)
    assert photos.ids == ["garment/李 娜", "person/anna", "person/bo"]
    assert len(photos) == 3
    assert photos.sizes == SIZES
    assert "person/bo" in photos
    assert "person/zoe" not in photos
    assert photos.role("garment/李 娜") == "garment"
    for id_ in photos.ids:
        for size_hw in SIZES:
            same(photos.read(id_, size_hw), photo(id_, size_hw))
            assert photos.read(id_, size_hw).size_hw == size_hw


def test_what_is_read_is_the_readers_own(files: list[Path]) -> None:
    photos = PackedPhotos(files)
    photos.read("person/bo", (8, 6)).image_HWC[:] = 0
    same(photos.read("person/bo", (8, 6)), photo("person/bo", (8, 6)))


def test_it_can_be_sent_to_another_process(files: list[Path]) -> None:
    photos = PackedPhotos(files)
    photos.read("person/bo", (8, 6))
    same(pickle.loads(pickle.dumps(photos)).read("person/anna", (16, 12)), photo("person/anna", (16, 12)))


def test_an_unknown_id_or_size_is_named_with_the_fix(files: list[Path]) -> None:
    photos = PackedPhotos(files)
    with pytest.raises(UserError, match=r"photo 'person/zoe' is not in the 3 packed files \(3 photos\).*quarantine"):
        photos.read("person/zoe", (8, 6))
    with pytest.raises(UserError, match=r"packed at 8x6, 16x12, asked for 32x24"):
        photos.read("person/bo", (32, 24))


@pytest.mark.parametrize(("key", "value"), [("agnostic", "other"), ("sizes", [[8, 6]]), ("fill", 0)])
def test_files_of_two_runs_are_refused(files: list[Path], tmp_path: Path, key: str, value: object) -> None:
    other = write(tmp_path / "z.safetensors", ["person/zoe"], **{key: value})
    with pytest.raises(UserError, match=rf"z\.safetensors: packed with {key}"):
        PackedPhotos([*files, other])


def test_a_photo_in_two_files_is_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"photo person/bo is in .*b\.safetensors and in .*z\.safetensors"):
        PackedPhotos([*files, write(tmp_path / "z.safetensors", ["person/bo"])])


def test_foreign_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not one that the stage `pack` wrote"):
        PackedPhotos([tmp_path / "foreign.safetensors"])
    with pytest.raises(UserError, match=r"broken\.safetensors: not a packed file"):
        PackedPhotos([tmp_path / "broken.safetensors"])
    with pytest.raises(UserError, match=r"none\.safetensors: no such packed file"):
        PackedPhotos([tmp_path / "none.safetensors"])
    with pytest.raises(UserError, match="no packed files were given"):
        PackedPhotos([])


def test_a_file_cut_short_is_refused(files: list[Path]) -> None:
    content = files[0].read_bytes()
    files[0].write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"a\.safetensors: not a packed file"):
        PackedPhotos(files)


def test_the_quarantined_share_is_judged_over_all_shards(tmp_path: Path) -> None:
    tables = []
    for shard in range(4):
        rows = [{"id": f"person/{shard}{index}", "status": "ok", "stage": None, "reason": None} for index in range(5)]
        if shard == 0:
            rows[0] |= {"status": "quarantined", "stage": "masks", "reason": "no person"}
        tables.append(tmp_path / f"{shard}.parquet")
        pd.DataFrame(rows).to_parquet(tables[-1])
    check_quarantined(tables, 0.05)
    with pytest.raises(UserError, match=r"1 of 20 photos cannot be used.*\n  person/00: masks: no person"):
        check_quarantined(tables, 0.04)
