"""The rerun table: what each kind of change reruns, and that nothing else does (reference: docs/architecture.md).

A data change is planned in two steps, because names of shards are known only after the checkpoint `pairs`.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from chain import SETTINGS, edit, make, plan, snakemake, write_settings

pytestmark = [pytest.mark.xdist_group("workflow"), pytest.mark.timeout(900)]

NUM_SHARDS = 2
PER_SHARD = ("masks", "keypoints", "cutouts", "pack")
TRAINED = Counter(train=3, sample=3, evaluate=1, report=1)


def shards(num: int, first: str = "masks") -> Counter[str]:
    """`num` shards from stage `first` on, and all that follows."""
    return Counter({stage: num for stage in PER_SHARD[PER_SHARD.index(first) :]}) + TRAINED


def test_a_first_run_makes_every_stage_once_per_shard(first_run: tuple[Path, Counter[str]]) -> None:
    _, jobs = first_run
    assert jobs == Counter(dataset=1, pairs=1) + shards(NUM_SHARDS)


def test_nothing_changed_reruns_nothing(finished: Path) -> None:
    ran = snakemake(finished, "-n").check()
    assert ran.jobs == {}
    assert "Nothing to be done" in ran.text


def test_touches_comments_docstrings_and_key_order_rerun_nothing(copy: Path) -> None:
    later = time.time() + 60
    for path in [*(copy / "photos").rglob("*"), *(copy / "tryon").rglob("*.py"), *(copy / "results").rglob("*.tsv")]:
        os.utime(path, (later, later))
    masks = copy / "tryon" / "prepare" / "masks.py"
    source = masks.read_text(encoding="utf-8")
    assert source.startswith('"""')
    masks.write_text('"""Another docstring. ' + source[3:] + "\n\n# a comment\n", encoding="utf-8")
    write_settings(copy, dict(reversed(SETTINGS.items())))
    assert plan(copy) == {}


def test_machine_settings_and_defaults_written_out_rerun_nothing(copy: Path) -> None:
    settings = yaml.safe_load((copy / "config.yaml").read_text(encoding="utf-8"))
    settings["keypoints"]["batch_size"] = 3
    settings["stages"]["base"]["train"]["threads"] = 2
    settings["cutouts"] = {"agnostic": "limbs"}  # the default
    write_settings(copy, settings)
    assert plan(copy) == {}


def test_results_and_data_may_be_named_otherwise(copy: Path) -> None:
    (copy / "photos").rename(copy / "moved")
    assert plan(copy, "--config", "data=moved") == {}


@pytest.mark.parametrize(
    ("section", "change", "expected"),
    [
        ("masks", {"unknown_label": "ignore"}, shards(NUM_SHARDS)),
        ("cutouts", {"min_agreement": 0.4}, shards(NUM_SHARDS, "cutouts")),
        ("sample", {**SETTINGS["sample"], "seed": 5}, Counter(sample=3, evaluate=1, report=1)),
        ("report", {"title": "Another"}, Counter(report=1)),
    ],
)
def test_one_setting_reruns_its_stage_and_what_follows(
    copy: Path, section: str, change: dict[str, object], expected: Counter[str]
) -> None:
    write_settings(copy, {**SETTINGS, section: change})
    assert plan(copy) == expected


def test_a_setting_of_one_training_stage_reruns_that_stage_alone(copy: Path) -> None:
    settings = yaml.safe_load((copy / "config.yaml").read_text(encoding="utf-8"))
    settings["stages"]["direct"]["train"]["lr"] = 0.5
    write_settings(copy, settings)
    # the cascade neither trains nor samples again
    assert plan(copy) == Counter(train=1, sample=1, evaluate=1, report=1)


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("tryon/prepare/cutouts.py", "import argparse\n", "import argparse\nADDED = 1\n", shards(2, "cutouts")),
        ("tryon/evaluation/report.py", "import argparse\n", "import argparse\nADDED = 1\n", Counter(report=1)),
        # a helper that only one stage imports
        ("tryon/prepare/prompts.py", "\nimport numpy", "\nADDED = 1\nimport numpy", shards(2, "cutouts")),
    ],
)
def test_code_of_one_stage_reruns_it_and_what_follows(
    copy: Path, module: str, old: str, new: str, expected: Counter[str]
) -> None:
    edit(copy / module, old, new)
    assert plan(copy) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("data", "      - six==1.17.0\n", Counter(dataset=1, pairs=1) + TRAINED),  # the rest is known after `pairs`
        ("pose", "      - six==1.17.0\n", shards(NUM_SHARDS, "keypoints")),
        ("training", "      - six==1.17.0\n", TRAINED),
        ("evaluation", "      - six==1.17.0\n", Counter(evaluate=1, report=1)),
        ("super-resolution", "      - six==1.17.0\n", Counter()),  # no stage of this chain uses it
        ("data", "# a comment\n", Counter()),
    ],
)
def test_an_environments_pins_rerun_the_stages_that_use_it_and_what_follows(
    copy: Path, name: str, text: str, expected: Counter[str]
) -> None:
    with (copy / "envs" / f"{name}.yaml").open("a", encoding="utf-8") as file:
        file.write(text)
    assert plan(copy) == expected


def test_an_added_photo_costs_one_item_per_stage_and_undoing_it_none(copy: Path) -> None:
    photo, annotation = add_garment(copy)
    # before `pairs` has run, the new shard's name is not known
    assert plan(copy) == Counter(dataset=1, pairs=1) + TRAINED
    assert make_shards(copy, "pack") == Counter(dataset=1, pairs=1) + Counter(dict.fromkeys(PER_SHARD, 1))
    assert plan(copy) == TRAINED
    # in the new shard, every photo but the new one came from the item store
    assert items_made(copy) == {"masks": 1, "keypoints": 1, "cutouts": 1}

    photo.unlink()
    annotation.unlink()
    assert make(copy, "--until", "pairs") == Counter(dataset=1, pairs=1)
    assert plan(copy) == {}  # nothing was trained on it, so all is as it was


def make_shards(tree: Path, stage: str) -> Counter[str]:
    """Run up to a stage for every shard: `pairs` first, which says what the shards are called."""
    jobs = make(tree, "--until", "pairs")
    keys = (tree / "results" / "pairs" / "shards.txt").read_text(encoding="utf-8").split()
    return jobs + make(tree, *(f"results/{stage}/{key}.parquet" for key in keys))


def add_garment(tree: Path) -> tuple[Path, Path]:
    """Add a garment photo of its own content, with its annotation."""
    garments = sorted((tree / "photos" / "garment").glob("*.jpg"))
    photo = garments[0].with_name("added.jpg")
    content = garments[0].read_bytes()
    photo.write_bytes(content[:2] + b"\xff\xfe\x00\x09another" + content[2:])  # a JPEG comment
    annotation = tree / "photos" / "annotations" / "garment" / "added.json"
    value = json.loads(annotation.with_name(f"{garments[0].stem}.json").read_text(encoding="utf-8"))
    value["info"]["note"] = "added"  # a label map is known by its annotation's content, so this one is new too
    annotation.write_text(json.dumps(value), encoding="utf-8")
    return photo, annotation


def items_made(tree: Path) -> dict[str, int]:
    """Items that the last job of each stage computed, from the journal."""
    made = {}
    for stage in ("masks", "keypoints", "cutouts"):
        last = (tree / "results" / "journal" / f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        made[stage] = json.loads(last)["num_made"]
    return made


def test_a_changed_photo_costs_one_item_per_stage_that_reads_it(copy: Path) -> None:
    photo = sorted((copy / "photos" / "person").glob("*.jpg"))[0]
    content = photo.read_bytes()
    photo.write_bytes(content[:2] + b"\xff\xfe\x00\x09another" + content[2:])
    assert make_shards(copy, "pack") == Counter(dataset=1, pairs=1) + Counter(dict.fromkeys(PER_SHARD, 1))
    assert items_made(copy) == {"masks": 0, "keypoints": 1, "cutouts": 1}  # a label map depends on the annotation
    assert plan(copy) == TRAINED


def test_a_changed_photo_leaves_other_shards_alone_however_large_they_are(copy: Path) -> None:
    """Snakemake compares the content of small files only; of large ones, time alone decides."""
    photo = sorted((copy / "photos" / "person").glob("*.jpg"))[0]
    content = photo.read_bytes()
    photo.write_bytes(content[:2] + b"\xff\xfe\x00\x09another" + content[2:])
    make(copy, "--until", "pairs")
    planned = plan(copy, "--max-checksum-file-size", "0")
    assert {stage: planned[stage] for stage in PER_SHARD} == dict.fromkeys(PER_SHARD, 1)


def test_a_removed_photo_leaves_its_shard_and_computes_nothing_anew(copy: Path) -> None:
    photos = copy / "photos"
    pairs = (photos / "pairs.txt").read_text(encoding="utf-8")
    # one that no given pair names: a pair without its photo is refused before the run (test_errors.py)
    photo = next(path for path in sorted((photos / "garment").glob("*.jpg")) if path.name not in pairs)
    lines = (photos / "photos.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"garment/{photo.name},")]
    assert len(kept) == len(lines) - 1
    (photos / "photos.csv").write_text("".join(kept), encoding="utf-8")
    annotation = photos / "annotations" / "garment" / f"{photo.stem}.json"
    keypoints = photos / "keypoints" / "garment" / f"{photo.stem}.json"
    for path in (photo, annotation, keypoints):
        path.unlink()
    assert make_shards(copy, "cutouts") == Counter(dataset=1, pairs=1, masks=1, keypoints=1, cutouts=1)
    assert items_made(copy) == {"masks": 0, "keypoints": 0, "cutouts": 0}
