"""The stage `pack`: one geometry for picture, masks and keypoints at every size; constant, seekable bytes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import ISAT, add_photo, garment_objects, make_folder, person_objects, save_json
from PIL import Image
from safetensors.numpy import load_file

from tryon import images
from tryon.dataset import dataset, manifest
from tryon.errors import UserError
from tryon.geometry import keypoints_from_unit
from tryon.ontology import CATEGORY_BIT, KEYPOINT_NAMES, LABEL_INDEX
from tryon.packed import PLANES, PackedPhotos
from tryon.prepare import cutouts, keypoints, masks, pack

SIZES = [(32, 24), (64, 48), (128, 96)]


def original(image_HWC: np.ndarray, labels_HW: np.ndarray, keypoints_K3: np.ndarray) -> pack.Original:
    return pack.Original("person/x", image_HWC, labels_HW, labels_HW * 3, labels_HW * 5, keypoints_K3)


def marked(size_hw: tuple[int, int], spots_xy: list[tuple[int, int]], radius: int) -> pack.Original:
    """White discs under labels and keypoints, on black."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    image_HWC = np.zeros((*size_hw, 3), np.uint8)
    labels_HW = np.zeros(size_hw, np.uint8)
    keypoints_K3 = np.zeros((len(KEYPOINT_NAMES), 3))
    for index, (x, y) in enumerate(spots_xy):
        disc_HW = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        image_HWC[disc_HW] = 255
        labels_HW[disc_HW] = index + 1
        keypoints_K3[index] = (x, y, 1)
    return original(image_HWC, labels_HW, keypoints_K3)


@pytest.mark.parametrize("size_hw", [(1024, 768), (683, 1024), (500, 501), (97, 61), (40, 200)])
def test_a_marked_point_stays_under_its_mask_and_keypoint_at_every_size(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    spots = [(width // 5, height // 4), (width // 2, height // 2), (width * 4 // 5, height * 3 // 4)]
    # a disc of three pixels on the smallest canvas, however the photo fits into it
    radius = max(2, round(3 * max(height / SIZES[0][0], width / SIZES[0][1])))
    photo = marked(size_hw, spots, min(radius, min(height, width) // 6))
    for canvas_hw in SIZES:
        packed = pack.on_canvas(photo, canvas_hw, fill=0)
        points_K3 = keypoints_from_unit(packed.keypoints_K3, canvas_hw)
        for index in range(3):
            rows, columns = np.nonzero(packed.labels_HW == index + 1)
            center_xy = np.array([columns.mean(), rows.mean()])
            # half a pixel for choosing whole pixels, in the mask and in the picture
            assert np.abs(points_K3[index, :2] - center_xy).max() <= 0.6, (canvas_hw, index)
            bright_HW = packed.image_HWC[..., 0].astype(float) * (packed.labels_HW == index + 1)
            light_xy = np.array(
                [(bright_HW.sum(0) @ np.arange(canvas_hw[1])), (bright_HW.sum(1) @ np.arange(canvas_hw[0]))]
            )
            assert np.abs(light_xy / bright_HW.sum() - center_xy).max() <= 0.6
        np.testing.assert_array_equal(packed.garments_HW, packed.labels_HW * 3)
        np.testing.assert_array_equal(packed.regions_HW, packed.labels_HW * 5)
        assert packed.keypoints_K3[3:].sum() == 0


def test_borders_are_filled_and_hold_no_mask() -> None:
    photo = original(np.full((20, 60, 3), 7, np.uint8), np.ones((20, 60), np.uint8), np.zeros((17, 3)))
    packed = pack.on_canvas(photo, (64, 48), fill=200)
    assert (packed.image_HWC[:24] == 200).all()
    assert (packed.image_HWC[24:40] == 7).all()
    assert (packed.labels_HW[:24] == 0).all()
    assert packed.labels_HW.sum() == 16 * 48


def test_shrinking_averages_pixels_and_never_mixes_labels() -> None:
    image_HWC = np.zeros((64, 48, 3), np.uint8)
    image_HWC[::2] = 200
    labels_HW = np.full((64, 48), LABEL_INDEX["right_arm"], np.uint8)
    labels_HW[:, 24:] = LABEL_INDEX["person"]
    packed = pack.on_canvas(original(image_HWC, labels_HW, np.zeros((17, 3))), (32, 24), fill=0)
    assert (packed.image_HWC == 100).all()
    assert set(np.unique(packed.labels_HW)) == {LABEL_INDEX["right_arm"], LABEL_INDEX["person"]}


# ---- the stage, with tables as the stages before it write them


class Shard:
    """A data folder and the tables of one shard."""

    def __init__(self, root: Path, results: Path) -> None:
        self.root, self.results = root, results
        self.photos, bad = dataset.build(root, results / "cache", ISAT, jobs=1)
        assert bad.empty
        self.scores = np.linspace(0.0, 1.0, len(KEYPOINT_NAMES))
        self.save()

    def save(self, refused: dict[str, tuple[str, str]] | None = None) -> None:
        """Write the shard and its tables; `refused` photos (stage, reason) are quarantined there."""
        manifest.write_shard(self.results / "shard.tsv", self.photos)
        names = {
            "masks": (masks.LABELS_FILE,),
            "keypoints": (keypoints.KEYPOINTS_FILE,),
            "cutouts": (cutouts.GARMENTS_FILE, cutouts.REGIONS_FILE),
        }
        for stage, files in names.items():
            rows = []
            for photo in self.photos.itertuples(index=False):
                reason = next((why for where, why in [(refused or {}).get(photo.id, ("", ""))] if where == stage), None)
                paths = {name: None if reason else self.item(photo, stage, name) for name in files}
                rows.append({"id": photo.id, "status": "quarantined" if reason else "ok", "reason": reason, **paths})
            pd.DataFrame(rows).to_parquet(self.results / f"{stage}.parquet")

    def item(self, photo: tuple, stage: str, name: str) -> str:
        size_hw = (photo.height, photo.width)  # type: ignore[attr-defined]
        path = self.results / "items" / f"{photo.id.replace('/', '_')}.{name}"  # type: ignore[attr-defined]
        path.parent.mkdir(exist_ok=True, parents=True)
        plane_HW = np.zeros(size_hw, np.uint8)
        plane_HW[9:19, 7:17] = LABEL_INDEX["up"] if stage == "masks" else CATEGORY_BIT["up"]
        if name == keypoints.KEYPOINTS_FILE:
            points = [[float(index), float(index)] for index in range(len(KEYPOINT_NAMES))]
            save_json(path, {"keypoints": points, "scores": self.scores.tolist(), "bbox_xyxy": [0, 0, 9, 9]})
        else:
            path.write_bytes(images.encode_labels(plane_HW) if stage == "masks" else images.encode_mask_bits(plane_HW))
        return path.relative_to(self.results).as_posix()

    def pack(self, **settings: object) -> pd.DataFrame:
        stages = {f"s{height}": {"kind": "regression", "size": [height, width]} for height, width in SIZES}
        values = {"stages": stages, "cascade": ["s32"], "references": ["s64", "s128"], **settings}
        save_json(self.results / "config.json", values)
        pack.run(
            argparse.Namespace(
                config=str(self.results / "config.json"),
                shard=self.results / "shard.tsv",
                data=self.root,
                results=self.results,
                out=self.results / "pack/k.safetensors",
                table=self.results / "pack/k.parquet",
                **{stage: self.results / f"{stage}.parquet" for stage in pack.UPSTREAM},
            )
        )
        return pd.read_parquet(self.results / "pack/k.parquet").set_index("id")

    def read(self) -> PackedPhotos:
        return PackedPhotos([self.results / "pack/k.safetensors"])


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    root = make_folder(tmp_path / "data", {"anna": None, "李 娜": None}, ["two words"])
    return Shard(root, tmp_path / "r")


def test_the_files_it_reads_are_the_files_that_are_written() -> None:
    assert pack.UPSTREAM == {
        "masks": (masks.LABELS_FILE,),
        "keypoints": (keypoints.KEYPOINTS_FILE,),
        "cutouts": (cutouts.GARMENTS_FILE, cutouts.REGIONS_FILE),
    }


def test_every_photo_is_packed_at_every_size(shard: Shard) -> None:
    table = shard.pack()
    assert list(table["status"]) == ["ok"] * 3
    photos = shard.read()
    assert photos.ids == ["garment/two words", "person/anna", "person/李 娜"]
    assert photos.sizes == SIZES
    assert photos.agnostic == "limbs"
    whole_HWC = images.read_rgb(shard.root / "person/李 娜.jpg")
    for size_hw in SIZES:
        photo = photos.read("person/李 娜", size_hw)
        assert photo.size_hw == size_hw
        # the photo is 32x24, as the smallest canvas
        scale = size_hw[0] // 32
        np.testing.assert_allclose(
            photo.image_HWC[::scale, ::scale].astype(float), whole_HWC, atol=30 if scale > 1 else 0
        )
        assert (photo.labels_HW == LABEL_INDEX["up"]).sum() == 100 * scale**2
        assert set(np.unique(photo.regions_HW)) == {0, CATEGORY_BIT["up"]}


def test_keypoints_below_the_score_are_invisible(shard: Shard) -> None:
    shard.pack(keypoints={"min_score": 0.5})
    photo = shard.read().read("person/anna", (128, 96))
    np.testing.assert_array_equal(photo.keypoints_K3[:, 2], shard.scores >= 0.5)
    np.testing.assert_allclose(photo.keypoints_K3[12, :2], [12.5 / 24, 12.5 / 32], atol=1e-6)
    assert photo.keypoints_K3[:8].sum() == 0


def test_a_photo_that_an_earlier_stage_refused_keeps_that_stage_and_reason(shard: Shard) -> None:
    shard.save({"person/anna": ("masks", "anna.json: unknown label"), "garment/two words": ("cutouts", "IoU 0.2")})
    table = shard.pack()
    assert table["status"].to_dict() == {
        "garment/two words": "quarantined",
        "person/anna": "quarantined",
        "person/李 娜": "ok",
    }
    assert list(table.loc["person/anna", ["stage", "reason"]]) == ["masks", "anna.json: unknown label"]
    assert list(table.loc["garment/two words", ["stage", "reason"]]) == ["cutouts", "IoU 0.2"]
    assert table.loc[["person/李 娜"], ["stage", "reason"]].isna().all(axis=None)
    assert shard.read().ids == ["person/李 娜"]


def test_a_photo_that_went_bad_meanwhile_is_left_out_and_said_so(shard: Shard) -> None:
    (shard.root / "person/anna.jpg").write_bytes(b"oops")
    Image.new("RGB", (48, 64)).save(shard.root / "garment/two words.jpg")
    table = shard.pack()
    assert table.loc["person/anna", "stage"] == "pack"
    assert (
        "cannot be decoded" in table.loc["person/anna", "reason"]
        or "not a picture" in table.loc["person/anna", "reason"]
    )
    assert "garment/two words.jpg is 48x64, but its labels are 24x32" in table.loc["garment/two words", "reason"]
    assert shard.read().ids == ["person/李 娜"]
    assert shard.read().read("person/李 娜", (32, 24)).image_HWC.any()


def test_a_shard_of_which_nothing_is_left_is_a_file_all_the_same(shard: Shard) -> None:
    shard.save({id_: ("masks", "x") for id_ in shard.photos["id"]})
    shard.pack()
    assert shard.read().ids == []


def test_the_bytes_depend_on_content_alone(shard: Shard) -> None:
    shard.pack()
    first = [(shard.results / f"pack/k.{suffix}").read_bytes() for suffix in ("safetensors", "parquet")]
    shard.photos = shard.photos.iloc[::-1]
    shard.save()
    shard.pack()
    assert [(shard.results / f"pack/k.{suffix}").read_bytes() for suffix in ("safetensors", "parquet")] == first


def test_the_file_is_plain_safetensors(shard: Shard) -> None:
    shard.pack()
    path = shard.results / "pack/k.safetensors"
    tensors = load_file(path)
    assert sorted(tensors) == sorted(f"{h}x{w}/{plane}" for h, w in SIZES for plane in PLANES)
    assert tensors["64x48/image"].shape == (3, 64, 48, 3)
    np.testing.assert_array_equal(tensors["64x48/labels"][1], shard.read().read("person/anna", (64, 48)).labels_HW)
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    assert header["32x24/keypoints"]["dtype"] == "F32"


def test_a_table_of_another_shard_is_refused(shard: Shard) -> None:
    table = pd.read_parquet(shard.results / "cutouts.parquet")
    table.iloc[1:].to_parquet(shard.results / "cutouts.parquet")
    with pytest.raises(UserError, match=r"cutouts\.parquet: has no row for garment/two words"):
        shard.pack()


def test_a_new_photo_changes_no_other(shard: Shard, tmp_path: Path) -> None:
    shard.pack()
    before = shard.read().read("person/anna", (64, 48))
    add_photo(shard.root, "garment/aaa", garment_objects())
    with (shard.root / "photos.csv").open("a") as stream:
        stream.write("person/zoe,zoe,\n")
    add_photo(shard.root, "person/zoe", person_objects())
    again = Shard(shard.root, tmp_path / "r2")
    again.pack()
    after = again.read().read("person/anna", (64, 48))
    np.testing.assert_array_equal(after.image_HWC, before.image_HWC)
    np.testing.assert_array_equal(after.keypoints_K3, before.keypoints_K3)
