"""The stage `keypoints`: the shipped model on rendered photos, given keypoints, and photos that cannot be used."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tryon import cli, files, images
from tryon.config import KeypointsConfig
from tryon.dataset.manifest import COLUMNS, write_shard
from tryon.errors import BadItem, UserError
from tryon.fit.crops import labelled_photos
from tryon.fit.pose_score import score
from tryon.prepare import keypoints
from tryon.prepare.keypoints import box_of_labels
from tryon.prepare.pose_model import PoseModel

POSE = Path(__file__).parents[2] / "resources" / "pose"


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return keypoints.load_model(shipped())


def shipped(**changes: object) -> KeypointsConfig:
    values = {"config": str(POSE / "pose_config.py"), "checkpoint": str(POSE / "pose.pth"), "device": "cpu"}
    return KeypointsConfig.model_validate(values | changes)


def test_the_shipped_model_finds_the_keypoints_of_renders(rendered: Path, model: PoseModel) -> None:
    scores = score(model, labelled_photos(rendered), min_score=shipped().min_score)
    assert scores["num_persons"] == 8
    assert scores["pck_005_mean"] >= 0.95
    assert scores["pck_005_garment_mean"] >= 0.9
    assert scores["visibility_accuracy_mean"] >= 0.9


def test_the_shipped_files_are_those_that_were_scored() -> None:
    facts = files.read_json(POSE / "pose.json")
    assert facts["sha256"] == files.sha256_file(POSE / "pose.pth")
    assert facts["command"].startswith("tryon fit-pose")


def test_a_photo_alone_gives_what_it_gives_in_a_batch(rendered: Path, model: PoseModel) -> None:
    photos = list(labelled_photos(rendered))[:4]
    pictures, boxes = [image for _, image in photos], [photo.box_xyxy for photo, _ in photos]
    together = model.predict(pictures, boxes)
    alone = [model.predict([picture], [box])[0] for picture, box in zip(pictures, boxes, strict=True)]
    for one, other in zip(together, alone, strict=True):
        # to the bit: an interrupted run batches the rest otherwise
        np.testing.assert_array_equal(one.keypoints_K2, other.keypoints_K2)
        np.testing.assert_array_equal(one.scores_K, other.scores_K)
    assert model.predict([], []) == []


def test_keypoints_move_with_the_picture(rendered: Path, model: PoseModel) -> None:
    photo, image_HWC = next(labelled_photos(rendered))
    padded_HWC = np.pad(image_HWC, ((37, 0), (21, 0), (0, 0)), mode="edge")
    left, top, right, bottom = photo.box_xyxy
    moved_box = (left + 21, top + 37, right + 21, bottom + 37)
    here, there = model.predict([image_HWC, padded_HWC], [photo.box_xyxy, moved_box])
    visible_K = photo.keypoints_K3[:, 2] > 0
    # half of a SimCC bin in photo pixels: beyond the photo's edge the two crops differ
    np.testing.assert_allclose(there.keypoints_K2[visible_K], here.keypoints_K2[visible_K] + (21, 37), atol=2.5)


def test_the_box_is_tight_round_what_the_role_means() -> None:
    labels_HW = np.zeros((50, 40), np.uint8)
    labels_HW[10:31, 5:21] = 1  # person
    labels_HW[12:20, 8:12] = 2  # up
    assert box_of_labels(labels_HW, "person") == (5, 10, 20, 30)
    assert box_of_labels(labels_HW, "garment") == (8, 12, 11, 19)
    with pytest.raises(BadItem, match="no garment in the label map"):
        box_of_labels(np.minimum(labels_HW, 1), "garment")
    with pytest.raises(BadItem, match="no person in the label map"):
        box_of_labels(np.zeros((50, 40), np.uint8), "person")


class Bench:
    """A data and a results folder with one shard, as the stages before leave them."""

    def __init__(self, root: Path, size_hw: tuple[int, int] = (64, 48)) -> None:
        self.root, self.data, self.results, self.size_hw = root, root / "data", root / "results", size_hw
        self.photos: list[dict[str, object]] = []
        self.masks: list[dict[str, object]] = []

    def add(self, name: str, *, filled: bool = True, given: object = None, status: str = "ok") -> None:
        """One person photo, its label map and perhaps its keypoint file."""
        id_ = f"person/{name}"
        noise_HWC = np.random.default_rng(len(name)).integers(0, 256, (*self.size_hw, 3), dtype=np.uint8)
        files.write_bytes(self.data / f"{id_}.png", images.encode_png(noise_HWC))
        labels_HW = np.zeros(self.size_hw, np.uint8)
        labels_HW[5:60, 10:40] = int(filled)
        labels_path = f"items/masks/{name}.labels.png"
        files.write_bytes(self.results / labels_path, images.encode_labels(labels_HW))
        keypoint_file = f"keypoints/{id_}.json" if given is not None else None
        if keypoint_file:
            files.write_text(self.data / keypoint_file, given if isinstance(given, str) else json.dumps(given))
        row = dict.fromkeys(COLUMNS, "x") | {"id": id_, "role": "person", "file": f"{id_}.png"}
        row |= {"width": self.size_hw[1], "height": self.size_hw[0], "keypoints": keypoint_file}
        row |= {"sha256": files.sha256_file(self.data / f"{id_}.png"), "keypoints_sha256": keypoint_file and "y"}
        self.photos.append(row)
        self.masks.append({"id": id_, "status": status, "key": name, "labels.png": labels_path})
        self.masks[-1]["reason"] = None if status == "ok" else "x.json: no person is annotated"

    def run(self, **settings: object) -> pd.DataFrame:
        """Run the command and read its table, with the photo's name as index."""
        stage = {"kind": "parallel_unet", "size": [64, 48]}
        values = {"keypoints": shipped(**settings).model_dump(), "stages": {"base": stage}, "cascade": ["base"]}
        files.write_json(self.root / "config.json", values)
        write_shard(self.root / "shard.tsv", pd.DataFrame(self.photos))
        files.write_parquet(self.root / "masks.parquet", pd.DataFrame(self.masks))
        out = self.results / "keypoints" / "shard.parquet"
        flags = {"config": "config.json", "shard": "shard.tsv", "masks": "masks.parquet", "data": "data"}
        arguments = [part for name, file in flags.items() for part in (f"--{name}", str(self.root / file))]
        code = cli.main(["keypoints", *arguments, "--results", str(self.results), "--out", str(out)])
        if code:
            raise UserError(f"exit code {code}")
        table = pd.read_parquet(out)
        return table.set_index(table["id"].str.removeprefix("person/"))

    def keypoints(self, table: pd.DataFrame, name: str) -> dict[str, list[float]]:
        return files.read_json(self.results / table.loc[name, "keypoints.json"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def given(x: float = 20.0, score: float = 0.8) -> list[dict[str, object]]:
    return [{"keypoints": [[x, 30.0]] * 17, "keypoint_scores": [score] * 16 + [0.1], "bbox_score": 1.0}]


def test_given_keypoints_are_taken_and_low_scores_count_as_invisible(bench: Bench) -> None:
    bench.add("anna", given=given())
    table = bench.run(source="given", checkpoint="absent.pth")
    value = bench.keypoints(table, "anna")
    assert value["keypoints"] == [[20.0, 30.0]] * 17
    assert value["scores"] == [0.8] * 16 + [0.0]
    assert value["raw_scores"][16] == 0.1
    assert value["bbox_xyxy"] == [10, 5, 39, 59]
    assert table.loc["anna", ["num_visible", "mean_score", "source"]].tolist() == [16, 0.8, "given"]


def test_what_cannot_be_used_is_quarantined_beside_the_rest(bench: Bench) -> None:
    bench.add("anna", given=given())
    bench.add("empty", given=given(), filled=False)
    bench.add("labelme", given={"shapes": []})
    bench.add("nothing")
    bench.add("refused", given=given(), status="quarantined")
    table = bench.run(source="given")
    assert table["status"].to_dict() == {
        "anna": "ok",
        "empty": "quarantined",
        "labelme": "quarantined",
        "nothing": "quarantined",
        "refused": "quarantined",
    }
    assert table.loc["refused", "reason"] == "x.json: no person is annotated"
    assert table.loc["empty", "reason"].startswith("no person in the label map")
    assert table.loc["labelme", "reason"].startswith("labelme.json: not an mmpose prediction")
    assert "keypoints/person/nothing.json" in table.loc["nothing", "reason"]


def test_nobody_found_is_quarantined_and_low_scores_are_flagged(bench: Bench) -> None:
    bench.add("sure", given=given(score=0.9))
    bench.add("dim", given=given(score=0.4))
    bench.add("nobody", given=given(score=0.2))
    table = bench.run(source="given")
    assert table["doubtful"].to_dict() == {"sure": False, "dim": True, "nobody": None}
    assert table.loc["nobody", "reason"].startswith("nobody found: 0 of 17 keypoints score 0.3 or more")


def test_of_several_people_the_annotated_one_is_taken_and_it_is_recorded(bench: Bench) -> None:
    def somebody(x: float) -> dict[str, object]:
        points = [[x + 2 * (index % 3), 10.0 + 2 * index] for index in range(17)]
        return {"keypoints": points, "keypoint_scores": [0.9] * 17, "bbox_score": 1.0 - x / 100}

    bench.add("group", given=[somebody(0.0), somebody(20.0), somebody(44.0)])  # annotated in x 10 to 39
    bench.add("alone", given=[somebody(20.0)])
    table = bench.run(source="given")
    assert bench.keypoints(table, "group")["keypoints"][0] == [20.0, 10.0]
    assert table.loc["group", "repairs"].startswith("several people: of 3 in group.json the one who overlaps")
    assert table.loc["alone", "repairs"] == ""


def test_a_model_that_finds_nobody_quarantines_the_photo(bench: Bench) -> None:
    bench.add("noise")
    table = bench.run(min_score=0.99)
    assert table.loc["noise", "reason"].startswith("nobody found: ")


def test_the_model_fills_in_where_nothing_is_given(bench: Bench) -> None:
    bench.add("anna", given=given())
    bench.add("ben")
    bench.add("cut")
    (bench.data / "person" / "cut.png").write_bytes(b"\x89PNG cut off")
    table = bench.run(source="given_else_mmpose", min_visible=0)  # photos of noise
    assert table.loc["anna", "source"] == "given"
    assert table.loc["ben", "source"] == "mmpose"
    assert table.loc["cut", "reason"].startswith("cut.png: ")
    assert len(bench.keypoints(table, "ben")["keypoints"]) == 17


def test_a_finished_photo_is_reused_and_a_setting_makes_it_anew(bench: Bench) -> None:
    bench.add("anna", given=given())
    first, again, other = (bench.run(source="given", min_score=level, min_visible=0) for level in (0.3, 0.3, 0.9))
    pd.testing.assert_frame_equal(first, again)
    assert first.loc["anna", "key"] != other.loc["anna", "key"]
    assert other.loc["anna", "num_visible"] == 0
    journal = (bench.results / "journal" / "keypoints.jsonl").read_text().splitlines()
    assert [json.loads(line)["num_made"] for line in journal] == [1, 0, 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sha256": "0" * 64}, "has sha256 .* expected 0000"),
        ({"checkpoint": "absent.pth"}, "keypoints.checkpoint: absent.pth: no such file"),
        ({"config": "absent.py"}, "keypoints.config: absent.py: no such file"),
    ],
)
def test_wrong_model_files_end_with_a_message(
    bench: Bench, capsys: pytest.CaptureFixture[str], settings: dict[str, object], message: str
) -> None:
    bench.add("anna")
    with pytest.raises(UserError, match="exit code 2"):
        bench.run(**settings)
    error = capsys.readouterr().err
    assert re.search(message, error), error


def test_the_masks_table_of_another_shard_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.add("anna")
    bench.masks[0]["id"] = "person/someone"
    with pytest.raises(UserError, match="exit code 2"):
        bench.run()
    assert "has no row for person/anna" in capsys.readouterr().err
