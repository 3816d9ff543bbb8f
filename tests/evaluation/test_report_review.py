"""The report's review sheet: doubtful cut-outs first, with both outlines and the reasons."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_world import World

from tryon import config as configuration
from tryon.dataset.manifest import read_manifest
from tryon.evaluation import report_review
from tryon.evaluation.report_facts import Results
from tryon.evaluation.report_review import ANNOTATION_COLOUR, CUT_OUT_COLOUR, Review, review

SCORES = {"up": {"agreement": 0.9, "predicted_iou": 0.95, "stability": None}}


@pytest.fixture
def scored(copied: World) -> World:
    """The tiny world, as if a model had cut its photos; the first three by name are doubtful, the second most."""
    for path in (copied.results / "cutouts").glob("*.parquet"):
        table = pd.read_parquet(path).astype({"backend": object, "doubts": object, "quality": object})
        table[["backend", "doubtful", "doubts", "quality"]] = ["tryon_small", False, "", json.dumps(SCORES)]
        table["predicted_iou"] = 0.95
        table["agreement"] = [0.9 + 0.001 * (hash_of(id_) % 50) for id_ in table["id"]]
        for place, id_ in enumerate(ids(copied)[:3]):
            worst = [0.8, 0.6, 0.99][place]
            doubt = f"up: agreement {worst:.2f} < 0.85; up: stability 0.50 < 0.82"
            table.loc[table["id"] == id_, ["agreement", "doubtful", "doubts"]] = [worst, True, doubt]
        table.to_parquet(path, index=False)
    return copied


def hash_of(text: str) -> int:
    return sum(map(ord, text))


def ids(world: World) -> list[str]:
    return sorted(read_manifest(world.results / "dataset" / "manifest.parquet")["id"])


def sheet(world: World) -> Review:
    manifest = read_manifest(world.results / "dataset" / "manifest.parquet")
    config = configuration.load(world.config)
    return review(Results.open(world.results), manifest, world.data, config)


def page(world: World) -> str:
    out = world.results / "report" / "index.html"
    assert world.tryon("report", "--data", world.data, "--results", world.results, "--out", out) == 0
    return out.read_text(encoding="utf-8")


def test_doubtful_cut_outs_come_first_the_worst_agreement_leading(scored: World) -> None:
    found = sheet(scored)
    names = ids(scored)
    assert [entry.id for entry in found.entries[:3]] == [names[1], names[0], names[2]]
    assert [bool(entry.doubts) for entry in found.entries[:4]] == [True, True, True, False]
    assert found.entries[0].doubts == ["up: agreement 0.60 < 0.85", "up: stability 0.50 < 0.82"]
    assert [line.plain("en") for line in found.entries[0].scores] == ["up: agreement 0.90, predicted IoU 0.95"]
    assert (found.num_doubtful, found.num_cut) == (3, len(names))
    agreement = {row.id: row.agreement for row in Results.open(scored.results).table("cutouts").itertuples()}
    rest = [agreement[entry.id] for entry in found.entries[3:]]
    assert rest == sorted(rest)


def test_the_sheet_is_as_long_as_asked_for(scored: World) -> None:
    scored.configure(inspect={"num_review": 2})
    found = sheet(scored)
    assert len(found.entries) == 2
    assert found.num_doubtful == 3
    text = re.sub(r"\s+", " ", page(scored))
    assert f"3 of {len(ids(scored))} photos have a doubtful cut-out" in text
    assert re.findall(r'data-review="([^"]+)"', text) == [ids(scored)[1], ids(scored)[0]]
    assert "up: agreement 0.60 &lt; 0.85" in text


def test_trusted_annotations_need_no_review_and_the_page_says_so(copied: World) -> None:
    assert sheet(copied) == Review([], 0, 0, {"annotation": "#ffb000", "cutout": "#0052ff"})
    assert "The cut-outs are the annotations themselves" in page(copied)


def test_a_run_whose_photos_were_all_refused_has_an_empty_sheet(copied: World) -> None:
    for path in (copied.results / "cutouts").glob("*.parquet"):
        table = pd.read_parquet(path)[["id", "status", "reason", "key"]].astype({"status": object})
        table.assign(status="quarantined").to_parquet(path, index=False)
    assert sheet(copied).num_cut == 0


def test_both_outlines_are_drawn(scored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []
    figure = report_review.figure
    monkeypatch.setattr(report_review, "figure", lambda image, alt: drawn.append(image) or figure(image, alt))
    table = Results.open(scored.results).table("cutouts").set_index("id")
    first = ids(scored)[1]
    shift(scored.results / table.loc[first, "garments.png"])
    sheet(scored)
    for colour in (ANNOTATION_COLOUR, CUT_OUT_COLOUR):
        assert (drawn[0] == colour).all(axis=-1).sum() > 50
    annotation_HW, cut_out_HW = ((drawn[0] == colour).all(axis=-1) for colour in (ANNOTATION_COLOUR, CUT_OUT_COLOUR))
    assert not (annotation_HW & cut_out_HW).any()
    assert np.flatnonzero(cut_out_HW.any(axis=0))[-1] > np.flatnonzero(annotation_HW.any(axis=0))[-1] + 5


def shift(path: Path) -> None:
    """Move a plane 12 px to the right."""
    from tryon import images

    bits_HW = np.roll(images.read_mask_bits(path), 12, axis=1)
    path.write_bytes(images.encode_mask_bits(bits_HW))
