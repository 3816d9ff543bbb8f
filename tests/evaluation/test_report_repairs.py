"""The report's table of repairs: grouped by kind, counted by photo, from every stage that makes some."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tryon.errors import UserError
from tryon.evaluation.page import environment
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_repairs import NUM_SHOWN, doubtful, mended


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """30 turned photos, one of them grey too; a group photo; low scores in two, one of them quarantined."""
    for stage in ("dataset", "masks", "keypoints", "cutouts"):
        (tmp_path / stage).mkdir()
    rows = [(f"person/p{index:02}", "dataset", "EXIF rotation: turned upright (orientation 6)") for index in range(30)]
    rows += [("person/p07", "dataset", "grey: one channel, so the photo has no colours")]
    pd.DataFrame(rows, columns=["id", "stage", "repair"]).to_csv(tmp_path / "dataset/repairs.csv", index=False)
    table = pd.DataFrame({"id": ["person/NA", "person/b", "person/c"], "status": ["ok", "ok", "quarantined"]})
    for stage in ("masks", "cutouts"):
        table.to_parquet(tmp_path / stage / "k.parquet")  # a stage may have nothing to say
    table.assign(
        repairs=["several people: of 2 in NA.json the one who is the largest", "", None],
        doubtful=[False, True, True],
        num_visible=[17.0, 5.0, None],
        mean_score=[0.9, 0.41, None],
    ).to_parquet(tmp_path / "keypoints/k.parquet")
    return Results(tmp_path, ("k",))


def test_repairs_are_grouped_by_kind_the_commonest_first(results: Results) -> None:
    found = mended(results)
    assert [(repair.kind, repair.stage, repair.num_photos) for repair in found] == [
        ("EXIF rotation", "dataset", 30),
        ("grey", "dataset", 1),
        ("several people", "keypoints", 1),
    ]
    assert len(found[0].examples) == NUM_SHOWN
    assert found[2].examples == (("person/NA", "of 2 in NA.json the one who is the largest"),)


def test_low_scores_of_used_photos_are_listed(results: Results) -> None:
    assert doubtful(results) == [{"id": "person/b", "num_visible": 5, "mean_score": 0.41}]


def test_the_section_names_kinds_photos_and_scores(results: Results) -> None:
    template = environment("en").get_template("repairs.html")
    text = template.render(mended=mended(results), doubtful=doubtful(results))
    assert "EXIF rotation" in text
    assert "<code>person/NA</code>" in text
    assert "0.41" in text
    assert "No photo needed mending" in template.render(mended=[], doubtful=[])


def test_a_missing_table_names_its_stage(results: Results) -> None:
    (results.root / "dataset/repairs.csv").unlink()
    with pytest.raises(UserError, match="repairs.csv: no such table; run the stage `dataset` first"):
        mended(results)
