"""Layouts of known data sets: every stage up to pack runs on them, and what comes out is what was put in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import make_layouts
import numpy as np
import pytest
from make_layouts import DRESSCODE_PART, NUM_TRAIN, Sample
from stages_run import SIZE_HW, Run

from tryon.config import DatasetConfig
from tryon.dataset import formats
from tryon.errors import BadItem, UserError
from tryon.ontology import CATEGORY_BIT, LABEL_INDEX
from tryon.prepare.cutouts import GARMENTS_FILE, PERSON_FILE, REGIONS_FILE

LAYOUTS = ("viton_hd", "dresscode", "viton", "tryondiffusion_folders", "training_guide", "image_folder")


@pytest.fixture(scope="module")
def people(rendered: Path) -> list[Sample]:
    people = make_layouts.samples(rendered)
    assert {sample.category for sample in people} == {"up"}, "the studio's first six wear tops; the tests count on it"
    return people


Make = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, people: list[Sample]) -> Make:
    """A data folder of a layout."""

    def make(name: str, **options: bool) -> Path:
        return getattr(make_layouts, name)(tmp_path / "data", people, **options)

    return make


def iou(one_HW: np.ndarray, other_HW: np.ndarray) -> float:
    return float((one_HW & other_HW).sum() / (one_HW | other_HW).sum())


def assert_points(found_K3: np.ndarray, wanted_K3: np.ndarray, *, atol: float = 0.02) -> None:
    """Stored points are rounded to 0.01 px; what is not visible has score 0."""
    np.testing.assert_array_equal(found_K3[:, 2] > 0, wanted_K3[:, 2] > 0)
    shown_K = wanted_K3[:, 2] > 0
    np.testing.assert_allclose(found_K3[shown_K, :2], wanted_K3[shown_K, :2], atol=atol)


def assert_packed(run: Run) -> None:
    """Every photo got through all stages, and into the file that trainers read."""
    everything = set(run.photos.index)
    for stage in run.tables:
        assert run.ids(stage) == everything, run.tables[stage][["status", "reason"]]
    assert set(run.packed().ids) == everything
    for id_ in everything:
        assert run.packed().read(id_, SIZE_HW).image_HWC.shape == (*SIZE_HW, 3)


@pytest.mark.parametrize("dashes", [False, True], ids=["underscores", "dashes"])
def test_viton_hd_goes_through_all_stages(folder: Make, people: list[Sample], tmp_path: Path, dashes: bool) -> None:
    run = Run(folder("viton_hd", dashes=dashes), tmp_path / "r", dataset={"format": "viton_hd"})
    names = {sample.number: f"{sample.number:05d}_00" for sample in people}
    assert set(run.photos.index) == {f"{role}/{name}" for role in ("person", "garment") for name in names.values()}
    assert_packed(run)
    check_viton(run, people, names, names)


def test_viton_goes_through_all_stages(folder: Make, people: list[Sample], tmp_path: Path) -> None:
    run = Run(folder("viton"), tmp_path / "r", dataset={"format": "viton"})
    persons, garments = ({sample.number: f"{sample.number:06d}_{side}" for sample in people} for side in (0, 1))
    assert set(run.photos.index) == {
        *(f"person/{name}" for name in persons.values()),
        *(f"garment/{name}" for name in garments.values()),
    }
    assert_packed(run)
    check_viton(run, people, persons, garments)


def check_viton(run: Run, people: list[Sample], persons: dict[int, str], garments: dict[int, str]) -> None:
    """Labels, masks, keypoints, splits and pairs of the two VITON layouts."""
    for sample in people:
        person, garment = f"person/{persons[sample.number]}", f"garment/{garments[sample.number]}"
        np.testing.assert_array_equal(run.labels(person), sample.labels_HW)
        shop_HW = run.labels(garment)
        assert set(np.unique(shop_HW)) == {0, LABEL_INDEX["up"]}
        assert iou(shop_HW > 0, sample.shop_HW > 0) > 0.99
        assert_points(run.points(person), sample.keypoints_K3)
        assert run.tables["keypoints"].loc[person, ["source", "repairs"]].tolist() == ["given", ""]
        # the layout marks no points on garments, so with source `given` none is visible, and nothing is refused
        assert not run.points(garment).any()
        assert run.tables["keypoints"].loc[garment, "source"] == "none"
        np.testing.assert_array_equal(run.plane(person, PERSON_FILE) > 0, sample.labels_HW > 0)
        assert run.photos.loc[person, "garment"] == garments[sample.number]
        assert run.splits().get(person, "test") in ({"train", "val"} if sample.number < NUM_TRAIN else {"test"})
    check_pairs(run, people, persons, garments)


def check_pairs(run: Run, people: list[Sample], persons: dict[int, str], garments: dict[int, str]) -> None:
    """Everybody is paired with what is worn; the unpaired pairs are those of the layout's test list."""
    paired = run.pairs[run.pairs["kind"] == "paired"]
    assert set(paired["pair_id"]) == {f"{persons[number]}__{garments[number]}" for number in persons}
    assert {"train", "val", "test"} == set(paired["split"])
    test = [sample.number for sample in people if sample.number >= NUM_TRAIN]
    unpaired = run.pairs[run.pairs["kind"] == "unpaired"]
    listed = {f"{persons[one]}__{garments[two]}" for one, two in zip(test, [*test[1:], test[0]], strict=True)}
    assert set(unpaired["pair_id"]) == listed
    assert set(unpaired["split"]) == {"test"}


def test_dresscode_goes_through_all_stages(people: list[Sample], tmp_path: Path) -> None:
    categories = ("up", "dress", "down", "dress", "up", "up")
    people = [make_layouts.as_category(sample, name) for sample, name in zip(people, categories, strict=True)]
    root = make_layouts.dresscode(tmp_path / "data", people)
    run = Run(root, tmp_path / "r", dataset={"format": "dresscode"})
    names = {sample.number: f"{DRESSCODE_PART[sample.category]}-{sample.number:06d}" for sample in people}
    assert set(run.photos.index) == {f"{role}/{name}" for role in ("person", "garment") for name in names.values()}
    assert_packed(run)
    for sample in people:
        person, garment = (f"{role}/{names[sample.number]}" for role in ("person", "garment"))
        np.testing.assert_array_equal(run.labels(person), sample.labels_HW)
        shop_HW = run.labels(garment)
        assert set(np.unique(shop_HW)) == {0, LABEL_INDEX[sample.category]}
        assert iou(shop_HW > 0, sample.shop_HW > 0) > (0.999 if sample.number % 2 == 0 else 0.97)
        assert_points(run.points(person), sample.keypoints_K3)
        assert run.photos.loc[garment, "categories"] == sample.category
        split = run.splits()[person]
        assert (split == "test") == (sample.number >= NUM_TRAIN)
    reader = formats.reader(DatasetConfig(format="dresscode"))
    for id_, row in run.photos.iterrows():
        repairs = reader.annotate(root, row["annotation"], row["role"]).repairs
        flooded = row["role"] == "garment" and int(str(id_)[-6:]) % 2 == 1
        assert [("flood" in repair) for repair in repairs] == ([True] if flooded else []), id_


def test_the_folders_of_tryondiffusion_go_through_all_stages(
    folder: Make, people: list[Sample], tmp_path: Path
) -> None:
    root = folder("tryondiffusion_folders")
    split = {"train": 0.7, "val": 0.3, "test": 0.0}
    run = Run(
        root,
        tmp_path / "r",
        dataset={"format": "tryondiffusion_folders"},
        pairs={"unpaired_strategy": "random", "split": split},
        cutouts={"source": "annotations"},
    )
    assert set(run.photos.index) == {f"{role}/{s.number:07d}" for role in ("person", "garment") for s in people}
    assert_packed(run)
    for sample in people:
        person, garment = (f"{role}/{sample.number:07d}" for role in ("person", "garment"))
        worn_HW = sample.labels_HW == LABEL_INDEX["up"]
        assert iou(run.labels(person) == LABEL_INDEX["up"], worn_HW) > 0.9
        assert iou(run.labels(garment) == LABEL_INDEX["up"], worn_HW) > 0.95
        for id_ in (person, garment):
            found_K3 = run.points(id_)
            # a flat list has no scores: what was not visible stands there as (0, 0)
            shown_K = sample.keypoints_K3[:, 2] > 0
            np.testing.assert_allclose(found_K3[shown_K, :2], sample.keypoints_K3[shown_K, :2], atol=0.02)
        assert run.splits()[person] == ("train" if sample.number < NUM_TRAIN else "val")
        # without a silhouette the rule still repaints the garment, and more, but not the picture
        region_HW = run.plane(person, REGIONS_FILE) & CATEGORY_BIT["up"] > 0
        assert (region_HW | ~(run.labels(person) > 0)).all()
        assert worn_HW.sum() < region_HW.sum() < 0.8 * region_HW.size


@pytest.mark.parametrize("layout", ["tryondiffusion_folders", "training_guide"])
def test_an_annotation_of_a_single_picture_is_refused_where_two_say_what_is_worn(layout: str, tmp_path: Path) -> None:
    """Such as the .json beside a true picture."""
    reader = formats.reader(DatasetConfig(format=layout))
    with pytest.raises(BadItem, match=r"truth/a__b\.json: this layout .* of a single picture; delete it"):
        reader.annotate(tmp_path, "truth/a__b.json", "person")


def test_the_folders_of_the_training_guide_go_through_all_stages(
    folder: Make, people: list[Sample], tmp_path: Path
) -> None:
    root = folder("training_guide")
    run = Run(
        root,
        tmp_path / "r",
        dataset={"format": "training_guide"},
        pairs={"unpaired_strategy": "random", "split": {"train": 0.6, "val": 0.4, "test": 0.0}},
    )
    assert set(run.photos.index) == {f"{role}/item{s.number}" for role in ("person", "garment") for s in people}
    assert_packed(run)
    for sample in people:
        person, garment = (f"{role}/item{sample.number}" for role in ("person", "garment"))
        assert iou(run.labels(person) > 0, sample.labels_HW == LABEL_INDEX["up"]) > 0.9
        assert iou(run.labels(garment) > 0, sample.shop_HW > 0) > 0.97
        assert_points(run.points(person), sample.keypoints_K3)
        assert_points(run.points(garment), sample.shop_K3)
    assert set(run.splits().values()) == {"train", "val"}


def test_a_folder_of_pictures_goes_through_all_stages(folder: Make, people: list[Sample], tmp_path: Path) -> None:
    run = Run(
        folder("image_folder"),
        tmp_path / "r",
        dataset={"format": "image_folder"},
        keypoints={"source": "given_else_mmpose", "checkpoint": __file__, "config": __file__},
    )
    assert set(run.photos.index) == {f"picture/{sample.category}/{sample.number}" for sample in people}
    assert set(run.photos["role"]) == {"picture"}
    assert_packed(run)
    assert run.pairs.empty
    for id_ in run.photos.index:
        photo = run.packed().read(id_, SIZE_HW)
        assert photo.image_HWC.std() > 0
        assert not any(plane.any() for plane in (photo.labels_HW, photo.garments_HW, photo.regions_HW))
        assert not photo.keypoints_K3.any()
        assert not run.plane(id_, GARMENTS_FILE).any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_folder_is_told_the_tree_that_is_expected(tmp_path: Path, layout: str) -> None:
    (tmp_path / "holiday").mkdir()
    reader = formats.reader(DatasetConfig(format=layout))
    with pytest.raises(UserError, match=f"{layout} holds|layout {layout}, it holds holiday/") as refused:
        reader.scan(tmp_path)
    assert "NAME.jpg" in str(refused.value) or "NUMBER_0.jpg" in str(refused.value)
    with pytest.raises(UserError, match="no such data folder"):
        reader.scan(tmp_path / "gone")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_file_that_is_read_is_watched(folder: Make, layout: str) -> None:
    """Else a changed file would rerun nothing."""
    from tryon.dataset.fingerprint import file_digests

    root = folder(layout)
    reader = formats.reader(DatasetConfig(format=layout))
    watched = file_digests(root, root.parent / "stamps.json", reader.watched)
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert set(watched) == there
    for photo in reader.scan(root).photos:
        assert {photo.file, photo.keypoints} - {None} <= there
        assert reader.annotation_sha256(root, str(photo.annotation), watched)


def test_names_that_train_and_test_share_get_their_part_and_others_keep_theirs(folder: Make, tmp_path: Path) -> None:
    root = folder("viton_hd")
    for file in list((root / "train").glob("*/00000_00*")):
        shutil.copy(file, root / "test" / file.relative_to(root / "train"))
    with (root / "test_pairs.txt").open("a") as stream:
        stream.write("00000_00.jpg 00004_00.jpg\n")
    reader = formats.reader(DatasetConfig(format="viton_hd"))
    listing = reader.scan(root)
    names = sorted(photo.id for photo in listing.photos if photo.role == "person")
    assert names[-2:] == ["person/test-00000_00", "person/train-00000_00"]
    assert names[:-2] == [f"person/0000{number}_00" for number in range(1, 6)]
    facts = reader.facts(root, listing)
    assert facts is not None
    assert facts["person/test-00000_00"].garment == "test-00000_00"
    assert facts["person/test-00000_00"].split == "test"
    assert facts["person/train-00000_00"].garment == "train-00000_00"
    pairs, mistakes = reader.given_pairs(root, listing)
    assert not mistakes
    assert [(pair.person, pair.garment) for pair in pairs if "-" in pair.person] == [
        ("train-00000_00", "train-00000_00"),
        ("test-00000_00", "00004_00"),
    ]


def test_mistakes_of_a_list_are_named_with_file_and_line(folder: Make) -> None:
    root = folder("viton_hd")
    (root / "test_pairs.txt").write_text("00004_00.jpg 00005_00.jpg\n00004_00.jpg\n\n00004_00.jpg 00001_00.jpg\n")
    reader = formats.reader(DatasetConfig(format="viton_hd"))
    pairs, mistakes = reader.given_pairs(root, reader.scan(root))
    assert [(pair.file, pair.line) for pair in pairs][-1] == ("test_pairs.txt", 1)
    assert len(mistakes) == 2
    assert mistakes[0] == "test_pairs.txt line 2: expected 'person.jpg garment.jpg', found '00004_00.jpg'"
    assert mistakes[1].startswith("test_pairs.txt line 4: garment '00001_00.jpg' does not exist in test/")


@pytest.mark.parametrize("layout", ["viton_hd", "dresscode", "tryondiffusion_folders"])
def test_given_pairs_without_a_list_say_what_to_choose(folder: Make, layout: str) -> None:
    root = folder(layout)
    for path in root.rglob("*pairs*.txt"):
        path.unlink()
    reader = formats.reader(DatasetConfig(format=layout))
    with pytest.raises(UserError, match=r"no list of pairs.*choose another\s+pairs.train_strategy"):
        reader.given_pairs(root, reader.scan(root))


def test_what_lacks_its_partner_is_named(folder: Make) -> None:
    root = folder("viton_hd")
    (root / "train/image-parse-v3/00000_00.png").unlink()
    (root / "train/image/00001_00.jpg").unlink()
    (root / "test/image/notes.txt").touch()
    reader = formats.reader(DatasetConfig(format="viton_hd"))
    listing = reader.scan(root)
    problems = dict(listing.problems)
    assert problems["person/00000_00"] == (
        "train/image/00000_00.jpg: no parse map train/image-parse-v3/00000_00.png; take it from the data set, or "
        "remove the photo"
    )
    assert "1 files belong to no photo, such as 00001_00.png" in problems["train/image-parse-v3"]
    assert "00001_00_keypoints.json" in problems["train/openpose_json"]
    assert "not a photo by its name" in problems["test/image/notes.txt"]
    assert "person/00000_00" not in {photo.id for photo in listing.photos}
    facts = reader.facts(root, listing)
    assert facts is not None
    assert facts["garment/00001_00"].split == "trainval"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_linked_folder_is_refused_before_its_photos_are(folder: Make, tmp_path: Path, layout: str) -> None:
    """What `tryon check` lets pass, a run has to be able to use."""
    root = folder(layout)
    linked = next(path for path in sorted(root.iterdir()) if path.is_dir() and any(path.rglob("*.jpg")))
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"{linked}: a link to .*elsewhere, out of .*dataset.follow_links: true"):
        formats.reader(DatasetConfig(format=layout)).scan(root)
    assert formats.reader(DatasetConfig(format=layout, follow_links=True)).scan(root).photos


@pytest.mark.parametrize(
    ("layout", "file", "id_"),
    [
        ("viton_hd", "train/image-parse-v3/00000_00.png", "person/00000_00"),
        ("viton_hd", "train/openpose_json/00000_00_keypoints.json", "person/00000_00"),
        ("viton_hd", "test/cloth-mask/00004_00.jpg", "garment/00004_00"),
        # without its mask the garment would be taken from the photo, as if nobody had drawn one
        ("dresscode", "upper_body/masks/000000_1.png", "garment/upper_body-000000"),
        ("tryondiffusion_folders", "train/ia/0000000.jpg", "person/0000000"),
    ],
)
def test_a_linked_file_beside_a_photo_is_the_reason_and_not_called_missing(
    folder: Make, tmp_path: Path, layout: str, file: str, id_: str
) -> None:
    root = folder(layout)
    (root / file).rename(tmp_path / "elsewhere")
    (root / file).symlink_to(tmp_path / "elsewhere")
    listing = formats.reader(DatasetConfig(format=layout)).scan(root)
    assert dict(listing.problems) == {
        id_: f"{file}: a link out of the data folder; copy the file here, or set dataset.follow_links: true"
    }
    assert id_ not in {photo.id for photo in listing.photos}
    followed = formats.reader(DatasetConfig(format=layout, follow_links=True)).scan(root)
    assert not followed.problems
    assert id_ in {photo.id for photo in followed.photos}


def test_equal_masks_of_two_categories_are_two_annotations(people: list[Sample], tmp_path: Path) -> None:
    """The category of a garment stands in its path alone: a label map of the one is wrong for the other."""
    top = people[0]
    dress = replace(make_layouts.as_category(top, "dress"), number=2)
    root = make_layouts.dresscode(tmp_path / "data", [top, dress])
    masks = [root / "upper_body/masks/000000_1.png", root / "dresses/masks/000002_1.png"]
    assert masks[0].read_bytes() == masks[1].read_bytes()
    split = {"train": 0.5, "val": 0.5, "test": 0.0}
    pairs = {"unpaired_strategy": "random", "split": split}
    run = Run(root, tmp_path / "r", dataset={"format": "dresscode"}, pairs=pairs)
    garments = {"up": "garment/upper_body-000000", "dress": "garment/dresses-000002"}
    for category, id_ in garments.items():
        assert set(np.unique(run.labels(id_))) == {0, LABEL_INDEX[category]}
    digests = run.photos.loc[list(garments.values()), "annotation_sha256"]
    assert digests.is_unique


def test_pictures_keep_the_split_whose_folder_they_lie_in(tmp_path: Path, people: list[Sample]) -> None:
    for split, numbers in (("train", people[:3]), ("test", people[2:4])):
        make_layouts.image_folder(tmp_path / split, numbers)
    reader = formats.reader(DatasetConfig(format="image_folder"))
    listing = reader.scan(tmp_path)
    facts = reader.facts(tmp_path, listing)
    assert facts is not None
    shared = people[2]
    assert {f"picture/{shared.category}/train-2", f"picture/{shared.category}/test-2"} <= set(facts)
    assert sorted(fact.split for fact in facts.values()) == ["test", "test", "train", "train", "train"]
