"""`tryon export`: what is written is read back pixel by pixel, by this project's readers and by others'."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from handmade import add_photo, person_objects, polygon, save_json
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tryon import cli, images
from tryon.config import DatasetConfig
from tryon.dataset import formats, manifest
from tryon.dataset.annotation import HOLE, check_role
from tryon.export import viton_hd
from tryon.export.coco import CocoWriter
from tryon.export.finished import Finished, Results
from tryon.export.isat import IsatWriter
from tryon.export.labelme import LabelmeWriter
from tryon.ontology import CATEGORY_BIT, KEYPOINT_NAMES, LABEL_INDEX, LABELS
from tryon.prepare.masks import draw_label_map

NETWORK = {
    "channels": [8, 16],
    "blocks": [1, 1],
    "self_attention": [False, True],
    "cross_attention": [False, True],
    "stem_stride": 1,
}
WRITERS = {"isat": IsatWriter, "labelme": LabelmeWriter, "coco": CocoWriter}


def run_stages(root: Path, data: Path) -> Path:
    """Every stage that an export needs, with the annotations trusted; returns the configuration."""
    results = root / "results"
    cfg = {
        "data": str(data),
        "results": str(results),
        "pairs": {"num_shards": 2, "train_strategy": "same_garment", "unpaired_strategy": "random"},
        "keypoints": {"source": "given"},
        "cutouts": {"source": "annotations"},
        "max_quarantined": 0.9,
        "stages": {"base": {"kind": "parallel_unet", "size": [32, 24], "network": NETWORK}},
        "cascade": ["base"],
    }
    config = root / "config.json"
    save_json(config, cfg)
    base = ["--config", str(config), "--data", str(data)]
    table = str(results / "dataset" / "manifest.parquet")
    bad = str(results / "dataset" / "quarantine.csv")
    assert cli.main(["dataset", *base, "--out", table, "--quarantine", bad]) == 0
    assert cli.main(["pairs", *base, "--manifest", table, "--out-dir", str(results / "pairs")]) == 0
    for key in (results / "pairs" / "shards.txt").read_text().split():
        shard = ["--shard", str(results / "pairs" / "shards" / f"{key}.tsv"), "--results", str(results)]
        made = {stage: str(results / stage / f"{key}.parquet") for stage in ("masks", "keypoints", "cutouts")}
        assert cli.main(["masks", *base, *shard, "--out", made["masks"]]) == 0
        assert cli.main(["keypoints", *base, *shard, "--masks", made["masks"], "--out", made["keypoints"]]) == 0
        upstream = ["--masks", made["masks"], "--keypoints", made["keypoints"]]
        assert cli.main(["cutouts", *base, *shard, *upstream, "--out", made["cutouts"]]) == 0
    return config


@pytest.fixture(scope="module")
def finished(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a run over rendered photos; one of them has no keypoints, so a stage refuses it."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(rendered, root / "data")
    sorted((root / "data" / "keypoints" / "garment").glob("*.json"))[0].unlink()
    return run_stages(root, root / "data")


def export(config: Path, out: Path, name: str, *more: str) -> Path:
    assert cli.main(["export", "--config", str(config), "--format", name, "--out", str(out), *more]) == 0
    return out


def results_of(config: Path) -> Results:
    return Results(config.parent / "results", config.parent / "data")


# ---- annotations: a label map comes back as it was


@pytest.mark.parametrize("name", list(WRITERS))
def test_every_photo_is_read_back_pixel_by_pixel(finished: Path, tmp_path: Path, name: str) -> None:
    out = export(finished, tmp_path / "out", name)
    results, reader = results_of(finished), formats.reader(DatasetConfig(format=name))
    listing = reader.scan(out)
    assert listing.problems == ()
    assert [photo.id for photo in listing.photos] == sorted(results.photos)
    assert len(listing.photos) == 15
    for photo in listing.photos:
        made = results.load(photo.id)
        assert (out / photo.file).read_bytes() == made.file.read_bytes()
        read_back = reader.annotate(out, str(photo.annotation), photo.role)
        check_role(read_back, photo.role)
        np.testing.assert_array_equal(draw_label_map(read_back, made.size_hw), made.labels_HW)
        points_K3 = reader.keypoints(out, str(photo.keypoints), made.size_hw)
        visible_K = made.keypoints_K3[:, 2] > 0
        np.testing.assert_array_equal(points_K3[:, 2] > 0, visible_K)
        np.testing.assert_allclose(points_K3[visible_K, :2], made.keypoints_K3[visible_K, :2])


@pytest.mark.parametrize("name", list(WRITERS))
def test_the_written_folder_goes_through_the_stages_with_the_same_identities(
    finished: Path, tmp_path: Path, name: str
) -> None:
    out = export(finished, tmp_path / "out", name)
    save_json(tmp_path / "c.json", json.loads(finished.read_text()) | {"dataset": {"format": name}})
    made = str(tmp_path / "r" / "dataset" / "manifest.parquet")
    arguments = ["--config", str(tmp_path / "c.json"), "--data", str(out), "--out", made]
    assert cli.main(["dataset", *arguments, "--quarantine", str(tmp_path / "bad.csv")]) == 0
    columns = ["id", "identity", "garment", "categories", "sha256", "split"]
    again = manifest.read_manifest(made)[columns]
    before = manifest.read_manifest(finished.parent / "results" / "dataset" / "manifest.parquet")[columns]
    before = before[before["id"].isin(again["id"])].reset_index(drop=True)
    assert len(again) == 15
    assert again.to_dict("records") == before.to_dict("records")


@pytest.mark.parametrize("name", list(WRITERS))
def test_real_annotations_come_back_with_holes_and_layers(photos: Path, tmp_path: Path, name: str) -> None:
    isat, reader = formats.reader(DatasetConfig()), formats.reader(DatasetConfig(format=name))
    writer = WRITERS[name](tmp_path, use_cutouts=False)
    wanted = {}
    for photo in isat.scan(photos).photos:
        read = isat.annotate(photos, str(photo.annotation), photo.role)
        wanted[photo.id] = draw_label_map(read, (read.height, read.width))
        writer.add(stand_in(wanted[photo.id], photo.id, photos / photo.file))
    writer.close()
    found = {photo.id: photo for photo in reader.scan(tmp_path).photos}
    assert len(found) == 17
    num_holes = 0
    for id_, labels_HW in wanted.items():
        read = reader.annotate(tmp_path, str(found[id_].annotation), found[id_].role)
        np.testing.assert_array_equal(draw_label_map(read, labels_HW.shape), labels_HW)
        num_holes += sum(shape.category == HOLE for shape in read.shapes)  # type: ignore[union-attr]
    assert (num_holes > 5) == (name != "coco"), "polygons need holes, run-length codes do not"


def stand_in(labels_HW: np.ndarray, id_: str, file: Path) -> Finished:
    """A photo that nothing but its label map is known of."""
    role = id_.partition("/")[0]
    row = dict.fromkeys(manifest.Photo._fields, "") | {"id": id_, "role": role, "width": labels_HW.shape[1]}
    photo = manifest.Photo(**{**row, "height": labels_HW.shape[0]})  # type: ignore[arg-type]
    nothing_HW = np.zeros_like(labels_HW)
    return Finished(photo, file, labels_HW, nothing_HW, nothing_HW, np.zeros((17, 3)), (0.0, 0.0, 1.0, 1.0))


LABEL_MAPS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, len(LABELS) - 1)
)


@pytest.mark.parametrize("name", list(WRITERS))
@pytest.mark.parametrize("role", ["person", "garment"])
@settings(max_examples=60, deadline=None)
@given(labels_HW=st.one_of(LABEL_MAPS, LABEL_MAPS.map(lambda map_HW: np.minimum(map_HW, 2).repeat(2, 0))))
def test_any_label_map_comes_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, role: str, labels_HW: np.ndarray
) -> None:
    """Noise holds what photos do not: labels that touch at corners, islands in holes, skin inside a garment."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "x.jpg").write_bytes(b"")
    for place in ("person", "garment"):
        add_photo(folder, f"{place}/other", None)
    writer = WRITERS[name](folder, use_cutouts=False)
    writer.add(stand_in(labels_HW, f"{role}/x", folder / "x.jpg"))
    writer.close()
    reader = formats.reader(DatasetConfig(format=name))
    photo = next(photo for photo in reader.scan(folder).photos if photo.id == f"{role}/x")
    read = reader.annotate(folder, str(photo.annotation), role)
    np.testing.assert_array_equal(draw_label_map(read, labels_HW.shape), labels_HW)


def test_labelme_needs_masks_only_where_its_order_cannot_say_it(tmp_path: Path) -> None:
    def kinds(labels_HW: np.ndarray) -> set[str]:
        (tmp_path / "x.jpg").write_bytes(b"")
        LabelmeWriter(tmp_path, use_cutouts=False).add(stand_in(labels_HW, "person/x", tmp_path / "x.jpg"))
        value = json.loads((tmp_path / "annotations" / "person" / "x.json").read_text())
        return {shape["shape_type"] for shape in value["shapes"]}

    labels_HW = np.zeros((20, 20), np.uint8)
    labels_HW[2:18, 2:18] = LABEL_INDEX["person"]
    labels_HW[4:14, 4:14] = LABEL_INDEX["down"]
    labels_HW[6:8, 6:8] = 0
    assert kinds(labels_HW) == {"polygon"}
    labels_HW[9:12, 9:12] = LABEL_INDEX["person"]  # a hole in the knee
    assert kinds(labels_HW) == {"mask"}


def test_pycocotools_reads_what_is_written(finished: Path, tmp_path: Path) -> None:
    out = export(finished, tmp_path / "out", "coco")
    coco, results = COCO(str(out / "annotations" / "instances.json")), results_of(finished)
    assert len(coco.getImgIds()) == 15
    num_persons = 0
    for image in coco.loadImgs(coco.getImgIds()):
        made = results.load(image["file_name"].removesuffix(".jpg"))
        for entry in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            label = coco.cats[entry["category_id"]]["name"]
            wanted_HW = made.labels_HW > 0 if label == "person" else made.labels_HW == LABEL_INDEX[label]
            np.testing.assert_array_equal(coco.annToMask(entry), wanted_HW)
            assert entry["area"] == wanted_HW.sum()
            np.testing.assert_array_equal(coco_mask.toBbox(coco.annToRLE(entry)), entry["bbox"])
            if label == "person":
                num_persons += 1
                assert len(entry["keypoints"]) == 51
                assert entry["num_keypoints"] == (made.keypoints_K3[:, 2] > 0).sum()
    assert num_persons == 8


def test_cutouts_take_the_place_of_the_annotated_garments(tmp_path: Path) -> None:
    labels_HW = np.zeros((8, 8), np.uint8)
    labels_HW[1:7, 1:7] = LABEL_INDEX["person"]
    labels_HW[2:5, 2:5] = LABEL_INDEX["up"]
    labels_HW[1, 1:7] = LABEL_INDEX["hair"]
    cut_HW = np.zeros((8, 8), np.uint8)
    cut_HW[1:5, 3:8] = CATEGORY_BIT["up"]
    made = stand_in(labels_HW, "person/x", tmp_path)
    made = Finished(made.photo, made.file, labels_HW, cut_HW, cut_HW, made.keypoints_K3, made.box_xyxy)
    found_HW = made.with_cutouts()
    assert (found_HW[2:5, 3:8] == LABEL_INDEX["up"]).all(), "also beyond the annotated silhouette"
    assert (found_HW[2:5, 2] == LABEL_INDEX["person"]).all(), "what the cut-out gives up is still the person"
    assert (found_HW[1, 1:7] == LABEL_INDEX["hair"]).all()


# ---- the command


def test_what_a_stage_refused_is_named(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(finished, tmp_path / "out", "isat")
    lines = capsys.readouterr().err
    assert "left out garment/" in lines
    assert "keypoints: garment/" in lines
    assert "isat, 1 photos left out" in lines


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--format", "viton_hd", "--cutouts"], "--cutouts belongs to annotations"),
        (["--format", "isat", "--category", "up"], "--category belongs to viton_hd"),
        (["--format", "viton_hd", "--category", "down"], "no pair of the category down"),
        (["--format", "isat", "--results", "nowhere"], "run the workflow up to the stage `cutouts` first"),
    ],
)
def test_mistakes_are_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert "down" not in set(results_of(finished).pairs()["category"]), "nobody is paired for trousers here"
    assert cli.main(["export", "--config", str(finished), "--out", str(tmp_path / "out"), *more]) == 2
    assert told in capsys.readouterr().err


def test_an_old_export_is_not_mixed_with_a_new_one(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.txt").touch()
    assert cli.main(["export", "--config", str(finished), "--out", str(tmp_path), "--format", "isat"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_photo_that_went_bad_meanwhile_is_left_out(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(rendered, tmp_path / "data")
    config = run_stages(tmp_path, tmp_path / "data")
    pairs = results_of(config).pairs()
    person = pairs[pairs["category"] == "up"]["person"].iloc[0]
    (tmp_path / "data" / f"{person}.jpg").write_bytes(b"no picture")
    out = export(config, tmp_path / "out", "viton_hd")
    assert f"left out {person}: " in capsys.readouterr().err
    name = person.partition("/")[2]
    assert all(f"{name}.jpg" not in path.read_text() for path in out.glob("*_pairs.txt"))


# ---- VITON-HD


@pytest.fixture(scope="module")
def viton(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(finished, tmp_path_factory.mktemp("viton") / "out", "viton_hd")


def lines(viton: Path, split: str) -> list[list[str]]:
    return [line.split(" ") for line in (viton / f"{split}_pairs.txt").read_text().splitlines()]


def test_the_layout_is_viton_hds(viton: Path) -> None:
    assert {path.name for path in viton.glob("*.txt")} == {"train_pairs.txt", "val_pairs.txt", "test_pairs.txt"}
    for split in ("train", "val", "test"):
        assert lines(viton, split)
        for person, cloth in lines(viton, split):
            stem = person.removesuffix(".jpg")
            wanted = {
                f"image/{person}": "RGB",
                f"cloth/{cloth}": "RGB",
                f"cloth-mask/{cloth}": "L",
                f"image-parse-v3/{stem}.png": "P",
                f"image-parse-agnostic-v3.2/{stem}.png": "P",
                f"agnostic-v3.2/{person}": "RGB",
                f"agnostic-mask/{stem}_mask.png": "L",
            }
            for file, mode in wanted.items():
                with Image.open(viton / split / file) as picture:
                    assert (picture.mode, picture.size) == (mode, (768, 1024)), file
            pose = json.loads((viton / split / "openpose_json" / f"{stem}_keypoints.json").read_text())
            assert len(pose["people"][0]["pose_keypoints_2d"]) == 75


def test_training_pairs_are_the_garment_worn_and_test_pairs_another(viton: Path, finished: Path) -> None:
    pairs = results_of(finished).pairs()
    assert all(person == cloth for person, cloth in lines(viton, "train"))
    for split in ("val", "test"):
        assert all(person != cloth for person, cloth in lines(viton, split))
        wanted = pairs[(pairs["split"] == split) & (pairs["kind"] == "unpaired") & (pairs["category"] == "up")]
        usable = wanted[wanted["garment"].isin(results_of(finished).photos)]
        assert len(lines(viton, split)) == len(usable) > 0


def test_the_person_is_grey_where_the_mask_is_white_and_itself_elsewhere(viton: Path) -> None:
    for person, _ in lines(viton, "train"):
        folder, stem = viton / "train", person.removesuffix(".jpg")
        mask_HW = np.asarray(Image.open(folder / "agnostic-mask" / f"{stem}_mask.png"))
        assert set(np.unique(mask_HW)) == {0, 255}
        image_HWC, agnostic_HWC = (
            images.read_rgb(folder / place / person).astype(int) for place in ("image", "agnostic-v3.2")
        )
        inner_HW = mask_HW > 0
        assert np.abs(agnostic_HWC[inner_HW] - viton_hd.GREY).mean() < 2
        assert np.abs(agnostic_HWC[~inner_HW] - image_HWC[~inner_HW]).mean() < 2
        assert 0.05 < inner_HW.mean() < 0.6
        parse_HW = np.asarray(Image.open(folder / "image-parse-v3" / f"{stem}.png"))
        agnostic_parse_HW = np.asarray(Image.open(folder / "image-parse-agnostic-v3.2" / f"{stem}.png"))
        np.testing.assert_array_equal(agnostic_parse_HW, np.where(inner_HW, 0, parse_HW))
        assert (parse_HW[inner_HW] == 5).any()
        assert not (agnostic_parse_HW == 5).any()


def test_parse_maps_have_the_data_sets_palette_and_ids(viton: Path) -> None:
    person, _ = lines(viton, "train")[0]
    with Image.open(viton / "train" / "image-parse-v3" / f"{person.removesuffix('.jpg')}.png") as picture:
        palette = picture.getpalette()
        assert palette is not None
        assert tuple(palette[:60]) == tuple(value for colour in viton_hd.PALETTE for value in colour)
        ids = set(np.unique(np.asarray(picture)))
    assert {0, 2, 5, 13} <= ids <= {0, 1, 2, 5, 6, 9, 10, 13, 14, 15, 16, 17}


def test_the_rest_of_the_person_goes_to_the_nearest_bone() -> None:
    keypoints_K3 = np.zeros((17, 3))
    at = {
        "left_eye": (22, 8), "right_eye": (18, 8), "nose": (20, 10), "left_shoulder": (26, 20),
        "right_shoulder": (14, 20), "left_hip": (24, 50), "right_hip": (16, 50), "left_knee": (26, 70),
        "right_knee": (14, 70), "left_ankle": (26, 90), "right_ankle": (14, 90),
    }  # fmt: skip
    for name, point in at.items():
        keypoints_K3[KEYPOINT_NAMES.index(name)] = *point, 1
    labels_HW = np.zeros((100, 40), np.uint8)
    for x, y in [(20, 2), (20, 16), (20, 30), (27, 80), (12, 80), (13, 96)]:
        labels_HW[y, x] = LABEL_INDEX["person"]
    labels_HW[40, 20] = LABEL_INDEX["up"]
    parse_HW = viton_hd.parse_map(labels_HW, keypoints_K3)
    found = [parse_HW[y, x] for x, y in [(20, 2), (20, 16), (20, 30), (27, 80), (12, 80), (13, 96), (20, 40), (0, 0)]]
    assert found == [1, 10, 10, 16, 17, 17, 5, 0]
    np.testing.assert_array_equal(np.unique(viton_hd.parse_map(labels_HW, np.zeros((17, 3)))), [0, 5, 10])


def test_a_name_with_blanks_would_break_the_lists_and_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    listed = ["photo,identity,garment,split"]
    for name, split in (("anna a", "train"), ("ben", "train"), ("cem", "val"), ("dan", "test")):
        add_photo(data, f"person/{name}", person_objects())
        garment = name.split()[0]
        add_photo(data, f"garment/{garment}_top", [polygon("up", (4, 5, 19, 26), 1.0)])
        listed.append(f"person/{name}.jpg,{name},{garment}_top,{split}")
        pose = [{"keypoints": [[12, 10]] * 17, "keypoint_scores": [1.0] * 17}]
        save_json(data / "keypoints" / "person" / f"{name}.json", pose)
        save_json(data / "keypoints" / "garment" / f"{garment}_top.json", pose)
    (data / "photos.csv").write_text("\n".join(listed) + "\n")
    out = export(run_stages(tmp_path, data), tmp_path / "out", "viton_hd")
    assert "left out person/anna a: its name holds blanks" in capsys.readouterr().err
    assert lines(out, "train") == [["ben.jpg", "ben.jpg"]]
    assert (out / "train" / "cloth" / "ben.jpg").is_file()


def test_the_projects_reader_of_viton_hd_reads_what_is_written(viton: Path, finished: Path) -> None:
    reader = formats.reader(DatasetConfig(format="viton_hd"))
    listing = reader.scan(viton)
    persons = [photo for photo in listing.photos if photo.role == "person"]
    assert persons
    results = results_of(finished)
    for photo in persons:
        name = Path(photo.file).stem
        made = results.load(f"person/{name}")
        read = reader.annotate(viton, str(photo.annotation), "person")
        labels_HW = draw_label_map(read, (1024, 768))
        wanted_HW = viton_hd.Letterbox(made.size_hw, viton_hd.SIZE_HW).mask(made.labels_HW)
        np.testing.assert_array_equal(labels_HW, wanted_HW)


def test_the_palette_is_the_measured_one() -> None:
    """try-on trainers that read colours look for these; ids from the data set's own image-parse-v3."""
    measured = {
        1: (128, 0, 0),
        2: (254, 0, 0),
        4: (169, 0, 51),
        7: (0, 119, 220),
        14: (51, 169, 220),
        19: (254, 169, 0),
    }
    assert {number: viton_hd.PALETTE[number] for number in measured} == measured
    assert len(viton_hd.PALETTE) == 20
