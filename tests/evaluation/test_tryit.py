"""`tryon try`: the workflow's own functions on two bare photos, and clear words where that cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_world import World, prepare

from tryon import images
from tryon.config import load
from tryon.dataset.given_keypoints import read_given
from tryon.evaluation.tryit import Dresser, Wish
from tryon.methods.conditions import condition_arrays
from tryon.ontology import CATEGORY_BIT
from tryon.packed import PackedPhotos
from tryon.prepare import keypoints
from tryon.prepare.pose_model import Pose
from tryon.prepare.quality import iou

ROOT = Path(__file__).resolve().parents[2]


class KnowingModel:
    """Finds the keypoints that a rendered photo was drawn from, and nothing in photos that it does not know."""

    def __init__(self, data: Path) -> None:
        self.known = {}
        for file in sorted(data.glob("*/*.jpg")):
            picture_HWC = images.read_rgb(file)
            given = data / "keypoints" / file.parent.name / f"{file.stem}.json"
            if given.is_file():
                self.known[_digest(picture_HWC)] = read_given(given, picture_HWC.shape[:2])

    def predict(self, pictures: list[np.ndarray], boxes: list[tuple[float, ...]]) -> list[Pose]:
        nothing_K3 = np.zeros((17, 3))
        found = [self.known.get(_digest(picture_HWC), nothing_K3) for picture_HWC in pictures]
        return [Pose(points_K3[:, :2], np.clip(points_K3[:, 2], 0, 1)) for points_K3 in found]


def _digest(picture_HWC: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture_HWC).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def run(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished run whose keypoints were found and whose cut-outs were made by the shipped segmenter."""
    folder = tmp_path_factory.mktemp("try")
    world = World(rendered, folder / "results", folder / "config.json")
    world.configure(
        keypoints={"source": "mmpose", "config": str(ROOT / "resources/pose/pose_config.py"),
                   "checkpoint": str(ROOT / "resources/pose/pose.pth")},
        cutouts={"source": "sam", "checkpoint": str(ROOT / "resources/segmenter/sam.pth"), "device": "cpu"},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keypoints, "load_model", lambda _: KnowingModel(rendered))
        prepare(world)
        assert world.sample("cascade", "base", "sr64") == 0
    return world


@pytest.fixture(autouse=True)
def knowing(monkeypatch: pytest.MonkeyPatch, rendered: Path) -> None:
    monkeypatch.setattr(keypoints, "load_model", lambda _: KnowingModel(rendered))


def pair_of(run: World) -> dict[str, str]:
    pairs = pd.read_parquet(run.pairs)
    return pairs[(pairs["split"] == "test") & (pairs["kind"] == "unpaired") & (pairs["category"] == "up")].iloc[0]


def photos_of(run: World, *, annotated: bool) -> list[str]:
    pair = pair_of(run)
    options = []
    for role in ("person", "garment"):
        options += [f"--{role}", str(run.data / f"{pair[role]}.jpg")]
        if annotated:
            options += [f"--{role}-annotation", str(run.data / "annotations" / f"{pair[role]}.json")]
    return options


def dresser(run: World, folder: Path) -> Dresser:
    config = load(run.config)
    from tryon.evaluation.trained import read_trained

    weights = [run.results / "train" / name / "weights.safetensors" for name in config.cascade]
    trained = read_trained(config, config.cascade, weights, config.cutouts.agnostic)
    return Dresser(config, trained, folder, torch.device("cpu"))


def test_conditions_of_annotated_photos_are_those_of_the_packed_ones(run: World, tmp_path: Path) -> None:
    pair, packed = pair_of(run), PackedPhotos(run.packs)
    files = {role: run.data / f"{pair[role]}.jpg" for role in ("person", "garment")}
    notes = {f"{role}_annotation": run.data / "annotations" / f"{pair[role]}.json" for role in files}
    wish = Wish(**files, category="up", out=tmp_path / "o.png", **notes)
    assert wish.pair_id == pair["pair_id"]
    maker = dresser(run, tmp_path)
    person, garment = maker.prepare(wish)
    for link in maker.trained:
        size_hw, large = link.stage.size_hw, packed.read(pair["garment"], link.stage.garment_hw)
        expected = condition_arrays(*(packed.read(pair[role], size_hw) for role in files), "up", size_hw, large=large)
        made = maker.conditions(person, garment, "up", link.stage)
        assert made.keys() == expected.keys()
        for name, plane in expected.items():
            assert np.array_equal(made[name], plane), name


def test_without_annotation_the_label_map_alone_is_drafted(run: World, tmp_path: Path) -> None:
    """What differs then: outlines by a few pixels, and with them the region and the keypoints' box."""
    pair, packed = pair_of(run), PackedPhotos(run.packs)
    files = {role: run.data / f"{pair[role]}.jpg" for role in ("person", "garment")}
    maker = dresser(run, tmp_path)
    person, garment = maker.prepare(Wish(**files, category="up", out=tmp_path / "o.png"))
    true = [packed.read(pair[role], (64, 48)) for role in files]
    expected = condition_arrays(*true, "up", (64, 48))
    made = maker.conditions(person, garment, "up", maker.trained[-1].stage)
    assert iou(made["region_B1HW"], expected["region_B1HW"]) > 0.75
    assert iou(made["garment_mask_B1HW"], expected["garment_mask_B1HW"]) > 0.9
    assert np.array_equal(made["person_keypoints_BK3"], expected["person_keypoints_BK3"])
    assert {field.name for field in fields(person)} == {
        "id", "image_HWC", "labels_HW", "garments_HW", "regions_HW", "keypoints_K3",
    }  # fmt: skip


def test_the_picture_of_annotated_photos_is_the_sampled_one(run: World, tmp_path: Path) -> None:
    out = tmp_path / "o.png"
    assert run.tryon("try", "--results", run.results, *photos_of(run, annotated=True), "--out", out, "--canvas") == 0
    sampled = run.results / "sample" / "cascade" / "sr64" / f"{pair_of(run)['pair_id']}.png"
    made, expected = (np.array(Image.open(path)).astype(int) for path in (out, sampled))
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= 1  # another batch size may round otherwise


def test_the_result_has_the_photos_framing_and_its_own_pixels_outside_the_region(run: World, tmp_path: Path) -> None:
    out, show = tmp_path / "o.png", tmp_path / "show.png"
    wide = tmp_path / "wide"
    shutil.copytree(run.data / "person", wide)
    name = Path(pair_of(run)["person"]).name
    assert run.tryon(
        "try", "--results", run.results, *photos_of(run, annotated=True), "--out", out, "--show", show
    ) == 0  # fmt: skip
    photo_HWC, made_HWC = images.read_rgb(wide / f"{name}.jpg"), images.read_rgb(out)
    assert made_HWC.shape == photo_HWC.shape
    table = pd.concat([pd.read_parquet(path) for path in sorted((run.results / "cutouts").glob("*.parquet"))])
    row = table[table["id"] == pair_of(run)["person"]].iloc[0]
    region_HW = (images.read_mask_bits(run.results / row["regions.png"]) & CATEGORY_BIT["up"]) > 0
    assert np.array_equal(made_HWC[~region_HW], photo_HWC[~region_HW])
    assert (made_HWC[region_HW] != photo_HWC[region_HW]).any()
    assert images.read_rgb(show).shape[0] == 512


def test_a_list_is_made_as_far_as_it_can_be(run: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = pair_of(run)
    person, garment = (run.data / f"{pair[role]}.jpg" for role in ("person", "garment"))
    Image.new("RGB", (60, 80), "white").save(tmp_path / "blank.png")
    lines = [f"{person},{garment},up", f"{person},{tmp_path / 'blank.png'},up", f"{person},{tmp_path / 'no.jpg'},up"]
    (tmp_path / "list.csv").write_text("\n".join(["person,garment,category", *lines]))
    out = tmp_path / "out"
    assert run.tryon("try", "--results", run.results, "--pairs", tmp_path / "list.csv", "--out", out) == 2
    assert [path.name for path in out.iterdir()] == [f"{person.stem}__{garment.stem}.png"]
    said = capsys.readouterr().err
    assert "blank.png: no garment found: 0% of the photo differs from its borders" in said
    assert "no.jpg: no such file" in said
    assert "Traceback" not in said


def test_bad_photos_of_one_process_do_not_end_the_work_of_another(run: World, tmp_path: Path) -> None:
    """The second process is through with its photos, all of which are missing, long before the first."""
    garment = run.data / f"{pair_of(run)['garment']}.jpg"
    persons = sorted((run.data / "person").glob("*.jpg"))[:6]
    lines = ["person,garment"]
    for person in persons:  # they take turns
        lines += [f"{person},{garment}", f"{tmp_path / 'no'}{person.name},{garment}"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    settings = json.loads(run.config.read_text())
    settings["sample"] |= {"batch_size": 1}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    command = [
        *(sys.executable, "-m", "tryon.launch", "--gpus", 2, "--threads", 1, "--", "try"),
        *("--config", tmp_path / "config.json", "--results", run.results),
        *("--pairs", tmp_path / "list.csv", "--out", tmp_path / "out"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 2, ran.stderr
    assert f"no{persons[0].name}: no such file" in ran.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {f"{person.stem}__{garment.stem}.png" for person in persons}


@pytest.mark.parametrize(
    ("person", "told"),
    [
        ("absent.jpg", "absent.jpg: no such file"),
        ("text.jpg", "text.jpg: not a picture that can be decoded"),
        ("nobody.png", "nobody.png: no person found: neither shoulders nor hips are seen (keypoints found: none)"),
    ],
)
def test_bad_photos_are_told(
    run: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], person: str, told: str
) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    Image.new("RGB", (60, 80), "white").save(tmp_path / "nobody.png")
    garment = run.data / f"{pair_of(run)['garment']}.jpg"
    photos = ("--person", tmp_path / person, "--garment", garment)
    assert run.tryon("try", "--results", run.results, *photos, "--out", tmp_path / "o.png") == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert not (tmp_path / "o.png").exists()


def test_two_people_are_told(
    run: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tryon.prepare import draft

    monkeypatch.setattr(draft, "others", lambda *_: 1)
    photos = photos_of(run, annotated=False)
    assert run.tryon("try", "--results", run.results, *photos, "--out", tmp_path / "o.png") == 2
    assert "more than one person; cut the photo down to one" in capsys.readouterr().err


def test_a_run_without_weights_and_one_of_other_settings_are_refused(
    run: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = photos_of(run, annotated=True)
    assert run.tryon("try", "--results", tmp_path, *photos, "--out", tmp_path / "o.png") == 2
    assert "has no weights of base, sr64" in capsys.readouterr().err
    other = World(run.data, run.results, tmp_path / "config.json")
    other.configure(cutouts={"agnostic": "ootd"})
    assert other.tryon("try", "--results", run.results, *photos, "--out", tmp_path / "o.png") == 2
    assert "trained for regions of rule 'limbs'" in capsys.readouterr().err


def test_a_list_with_mistakes_is_refused_whole(run: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.csv").write_text("person,garment,category\na.jpg,,up\na.jpg,b.jpg,upp\n")
    assert run.tryon("try", "--pairs", tmp_path / "list.csv", "--out", tmp_path) == 2
    said = capsys.readouterr().err
    assert "line 2: no person or no garment" in said
    assert "line 3: category 'upp' (did you mean 'up'?)" in said
