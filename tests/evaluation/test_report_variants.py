"""The report's comparison of agnostic rules: who is shown, and that it shows what the stage really stored."""

import re

import numpy as np
import pytest
from tiny_world import World

from tryon import images
from tryon.config import load
from tryon.dataset.manifest import read_manifest
from tryon.evaluation import report_variants
from tryon.evaluation.report_facts import Results
from tryon.ontology import CATEGORIES, CATEGORY_BIT
from tryon.prepare.agnostic import RULES


def rows_of(world: World) -> list[report_variants.Variants]:
    results = Results.open(world.results)
    manifest = read_manifest(world.results / "dataset" / "manifest.parquet")
    return report_variants.variants(results, manifest, world.data, load(world.config))


def test_three_people_are_shown_with_every_rule_in_each_category_that_they_wear(prepared: World) -> None:
    rows = rows_of(prepared)
    assert len({row.id for row in rows}) == report_variants.NUM_PEOPLE
    worn = read_manifest(prepared.results / "dataset" / "manifest.parquet").set_index("id")["categories"]
    for row in rows:
        assert row.id.startswith("person/")
        assert row.category in worn[row.id].split(",")
        titles = [title.plain("en").removesuffix(" (in use)") for title, _ in row.figures]
        assert titles == ["photo", *RULES]
        assert [name for title, _ in row.figures if "in use" in (name := title.plain("en"))] == ["limbs (in use)"]
        assert len({figure.uri for _, figure in row.figures}) == len(row.figures), "no two rules draw the same"
    assert len(rows) == sum(len(worn[photo].split(",")) for photo in {row.id for row in rows})


def test_the_seed_of_the_report_chooses_the_people(world: World) -> None:
    chosen = []
    for seed in range(4):
        world.configure(inspect={"seed": seed})
        chosen.append(tuple(row.id for row in rows_of(world)))
        assert chosen[-1] == tuple(row.id for row in rows_of(world))
    assert len(set(chosen)) > 1


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_in_use_is_shown_as_the_stage_stored_it(world: World, rule: str) -> None:
    world.configure(cutouts={"source": "annotations", "agnostic": rule})
    key = (world.results / "pairs" / "shards.txt").read_text().split()[0]
    masks, keypoints, cutouts = (
        world.results / stage / f"{key}.parquet" for stage in ("masks", "keypoints", "cutouts")
    )
    assert world.tryon(
        "cutouts", "--shard", world.results / "pairs" / "shards" / f"{key}.tsv", "--masks", masks,
        "--keypoints", keypoints, "--data", world.data, "--results", world.results, "--out", cutouts,
    ) == 0  # fmt: skip
    results = Results(world.results, (key,))
    tables = {stage: results.table(stage).set_index("id") for stage in ("masks", "keypoints", "cutouts")}
    manifest = read_manifest(world.results / "dataset" / "manifest.parquet").set_index("id")
    people = [photo for photo in tables["cutouts"].index if photo.startswith("person/")]
    assert people
    for photo in people:
        file = world.data / manifest.loc[photo, "file"]
        person = report_variants.read_person(file, photo, tables, world.results, 0.3)
        stored_HW = images.read_mask_bits(world.results / tables["cutouts"].loc[photo, "regions.png"])
        for category in CATEGORIES:
            assert np.array_equal(person.region(rule, category), (stored_HW & CATEGORY_BIT[category]) > 0)


def test_the_page_has_the_comparison(judged: World, tmp_path) -> None:
    page = tmp_path / "page.html"
    assert judged.tryon("report", "--data", judged.data, "--results", judged.results, "--out", page) == 0
    shown = re.findall(r'data-variants="([^"]+)"', page.read_text(encoding="utf-8"))
    assert shown == [f"{row.id} {row.category}" for row in rows_of(judged)]
