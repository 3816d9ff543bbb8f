"""The report: complete, honest and self-contained; tests/evaluation/test_report_browser.py opens it."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pages import Page
from PIL import Image
from tiny_world import World

from tryon.evaluation import report_quality as quality
from tryon.evaluation.metrics import METRIC


def report_of(world: World) -> Path:
    out = world.results / "report" / "index.html"
    assert world.tryon("report", "--data", world.data, "--results", world.results, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def page_file(judged: World) -> Path:
    return report_of(judged)


@pytest.fixture(scope="module")
def page(page_file: Path) -> Page:
    return Page(page_file.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_from_anywhere(page_file: Path, page: Page) -> None:
    text = page_file.read_text(encoding="utf-8")
    assert not re.findall(r"https?://", text)
    assert not re.findall(r"url\((?!data:)", text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "object", "embed"})
    assert page.values("link", "href") == ["data:,"]
    assert page.values("script", "src") == []
    assert all(href.startswith("#") for href in page.values("a", "href"))
    assert any(content.startswith("default-src 'none'; img-src data:") for content in page.values("meta", "content"))


def test_every_embedded_picture_decodes_to_its_stated_size(page: Page) -> None:
    images = [attrs for tag, attrs in page.tags if tag == "img" and "width" in attrs]
    assert len(images) > 80
    used = {attrs["data-picture"] for attrs in images if "data-picture" in attrs}
    assert used == set(page.pictures), "nothing is stored that no image shows"
    for attrs in images:
        assert attrs["alt"]
        data = page.pictures[attrs["data-picture"]] if "data-picture" in attrs else attrs["src"].split(",")[1]
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (str(picture.width), str(picture.height)) == (attrs["width"], attrs["height"])


def test_every_photo_of_a_small_data_set_appears(page: Page, judged: World) -> None:
    manifest = pd.read_parquet(judged.results / "dataset" / "manifest.parquet")
    assert sorted(page.values("article", "data-photo")) == sorted(manifest["id"])


def test_every_judged_pair_appears_once_in_the_gallery(page: Page, judged: World) -> None:
    pairs = pd.read_parquet(judged.pairs)
    tested = sorted(pairs[pairs["split"] == "test"]["pair_id"])
    shown = page.values("article", "data-pair")
    side_by_side = sorted(pairs[(pairs["split"] == "test") & (pairs["kind"] == "unpaired")]["pair_id"])
    assert sorted(shown) == sorted([*tested, *side_by_side])


def test_sections_and_every_digest_are_there(page: Page, judged: World) -> None:
    ids = {attrs["id"] for _, attrs in page.tags if attrs.get("id")}
    assert {link[1:] for link in page.values("a", "href")} <= ids
    assert {
        "summary",
        "stages",
        "results",
        "scores",
        "protocol",
        "repairs",
        "quarantine",
        "photos",
        "provenance",
    } <= ids
    for path in [
        *judged.results.glob("sample/*/*.provenance.json"),
        *judged.results.glob("evaluate/*.provenance.json"),
    ]:
        origin = json.loads(path.read_text())
        assert origin["config_digest"] in page.text
        assert origin["code_digest"] in page.text


def test_every_mean_of_the_final_size_is_printed(page: Page, judged: World) -> None:
    summary = json.loads((judged.results / "evaluate" / "summary.json").read_text())
    for row in summary["means"]:
        if (row["metric"], row["region"]) not in quality.LEFT_OUT:
            assert f"{row['mean']:.{METRIC[row['metric']].digits}f}" in page.text
    assert "FID, KID and LPIPS not computed: weights not given" in page.text
    assert "too few to trust" in page.text


def test_a_clean_run_says_so(page: Page) -> None:
    assert "None: every photo went through every stage." in page.text


def test_quarantined_photos_are_shown_with_stage_and_reason(copied: World) -> None:
    """One torn file that never reached the manifest, one photo refused later, one name that wants to be HTML."""
    table = pd.read_csv(copied.results / "dataset" / "quarantine.csv")
    rows = [("person/torn", "dataset", "torn.jpg: cannot be decoded"), ("garment/<b>odd", "dataset", "a & b <script>")]
    table = pd.concat([table, pd.DataFrame(rows, columns=["id", "stage", "reason"])])
    table.to_csv(copied.results / "dataset" / "quarantine.csv", index=False)
    shard = next((copied.results / "pack").glob("*.parquet"))
    packed = pd.read_parquet(shard).astype({"stage": object, "reason": object})
    refused = packed.loc[0, "id"]
    packed.loc[0, ["status", "stage", "reason"]] = ["quarantined", "keypoints", "no person found"]
    packed.to_parquet(shard, index=False)
    page = Page(report_of(copied).read_text(encoding="utf-8"))
    for text in ("torn.jpg: cannot be decoded", "keypoints: no person found", "a & b <script>", "garment/<b>odd"):
        assert text in page.text
    assert {"person/torn", "garment/<b>odd", refused} <= set(page.values("article", "data-photo"))
    assert [attrs.get("id") for tag, attrs in page.tags if tag == "script"] == ["pictures", None], "no third one"


def test_a_refused_pair_is_listed_and_is_no_photo(copied: World) -> None:
    photos = Page(report_of(copied).read_text(encoding="utf-8")).values("article", "data-photo")
    path = copied.results / "pairs" / "quarantine.csv"
    row = {"id": "anna__coat", "stage": "pairs", "reason": "coat has no photo"}
    pd.concat([pd.read_csv(path), pd.DataFrame([row])]).to_csv(path, index=False)
    page = Page(report_of(copied).read_text(encoding="utf-8"))
    assert "anna__coat" in page.text
    assert "coat has no photo" in page.text
    assert page.values("article", "data-photo") == photos
    assert f"All {len(photos)} photos." in re.sub(r"\s+", " ", page.text)


def test_dropped_pairs_are_listed(copied: World) -> None:
    path = copied.results / "sample" / "regression" / "index.parquet"
    index = pd.read_parquet(path)
    index.loc[0, ["status", "reason"]] = ["dropped", "nothing to put on"]
    index.to_parquet(path, index=False)
    assert copied.evaluate() == 0
    text = Page(report_of(copied).read_text(encoding="utf-8")).text
    assert "nothing to put on" in text
    assert index["pair_id"][0] in text


def test_without_truth_the_page_still_stands_and_says_so(copied: World) -> None:
    pairs = pd.read_parquet(copied.pairs)
    pairs[["truth", "truth_annotation"]] = None
    pairs.to_parquet(copied.pairs, index=False)
    assert copied.evaluate() == 0
    text = Page(report_of(copied).read_text(encoding="utf-8")).text
    assert "No pair of these lists has a true picture" in text
    assert "No truth is known for these pairs: only numbers that need none." in text


def test_a_large_data_set_is_sampled_from_its_seed(copied: World) -> None:
    copied.configure(inspect={"num_photos": 3})
    first = Page(report_of(copied).read_text(encoding="utf-8"))
    assert len(first.values("article", "data-photo")) == 3
    assert "3 of 16 photos: a random sample (seed 0)." in re.sub(r"\s+", " ", first.text)
    copied.configure(inspect={"num_photos": 3, "seed": 5})
    other = Page(report_of(copied).read_text(encoding="utf-8"))
    assert other.values("article", "data-photo") != first.values("article", "data-photo")


def test_missing_results_name_the_stage_to_run(copied: World, capsys: pytest.CaptureFixture[str]) -> None:
    (copied.results / "evaluate" / "summary.json").unlink()
    arguments = ("report", "--data", copied.data, "--results", copied.results, "--out", copied.results / "page.html")
    assert copied.tryon(*arguments) == 2
    assert "run `tryon evaluate` first" in capsys.readouterr().err
    (copied.results / "pairs" / "shards.txt").unlink()
    assert copied.tryon(*arguments) == 2
    assert "run the stage `pairs` first" in capsys.readouterr().err


# ---- what it says


def made_summary(verdicts: dict[str, str], *, num: int = 40) -> dict[str, Any]:
    """A summary in which the cascade meets opponents with given verdicts in PSNR and texture."""
    lines = [{"kind": "cascade", "system": "cascade", "stage": "sr", "made": "64x48", "judged": "64x48"}]
    lines += [
        {"kind": "baseline", "system": name, "stage": "", "made": "64x48", "judged": "64x48"} for name in verdicts
    ]
    differences = [
        {
            "list": "test_unpaired", "size": "64x48", "system": "cascade", "stage": "sr", "opponent": name,
            "metric": metric, "region": "garment", "mean": -1.5 if verdict == "worse" else 1.5, "low": 1.0, "high": 2.0,
            "num": num, "verdict": verdict,
        }
        for name, verdict in verdicts.items() for metric in ("psnr", "gms")
    ]  # fmt: skip
    lists = {"test_unpaired": {"num_judged": num, "num_with_truth": num, "num_dropped": 0}}
    return {"final_size": "64x48", "table": lines, "differences": differences, "means": [], "lists": lists}


def test_the_headline_says_who_wins_and_who_does_not() -> None:
    summary = made_summary({"keep": "better", "paste": "worse", "mean_colour": "undecided"})
    first, second = (sentence.plain("en") for sentence in quality.headline(summary))
    assert first == (
        "On 40 held-out unpaired pairs, inside the garment, by PSNR the cascade beats keep (+1.50 dB); "
        "it loses to paste (−1.50 dB); it is not told apart from mean colour (+1.50 dB)."
    )
    assert second.startswith("By texture (GMS) the cascade beats keep (+1.500); it loses to paste")


def test_few_pairs_are_called_few() -> None:
    last = quality.headline(made_summary({"keep": "better"}, num=3))[-1]
    assert last.plain("en").startswith("3 pairs are too few")
    assert last.plain("zh").startswith("只有 3 对")


def test_the_best_of_a_column_is_marked_and_keep_does_not_win_paired_lists() -> None:
    summary = made_summary({"keep": "worse", "paste": "better"})
    summary["lists"]["test_paired"] = summary["lists"]["test_unpaired"]
    values = {"cascade": 20.0, "keep": 60.0, "paste": 19.0}
    sharpness = {"cascade": 1.3, "keep": 1.0, "paste": 0.8}
    summary["means"] = [
        {
            "list": name, "size": "64x48", "system": system, "stage": "sr" if system == "cascade" else "",
            "metric": metric, "region": "garment", "mean": mean, "low": mean - 1, "high": mean + 1, "num": 40,
        }
        for name in ("test_paired", "test_unpaired")
        for metric, column in (("psnr", values), ("gradient_ratio", sharpness))
        for system, mean in column.items()
    ]  # fmt: skip

    def winners(list_name: str) -> list[list[str]]:
        table = quality.metric_table(summary, list_name, "64x48")
        assert table is not None
        columns = range(len(table.columns))
        return [
            [line.title.plain("en") for line in table.lines if (cell := line.cells[k]) and cell.is_best]
            for k in columns
        ]

    assert winners("test_unpaired") == [["keep"], ["keep"]]
    assert winners("test_paired") == [["cascade"], ["paste"]]  # 0.8 is nearer to 1 than 1.3 by its ratio
    assert quality.metric_table(summary, "test_paired", "32x24") is None


def test_the_opening_shows_the_best_and_the_worst_pair(page: Page, judged: World) -> None:
    metrics = pd.read_parquet(judged.results / "evaluate" / "metrics.parquet")
    final = metrics.query(
        "stage == 'sr64' and size == '64x48' and list == 'test_unpaired' and metric == 'psnr' and region == 'garment'"
    )
    best, worst = (final.loc[final["value"].agg(end), "pair_id"] for end in ("idxmax", "idxmin"))
    at_once = [attrs["alt"] for tag, attrs in page.tags if tag == "img" and "src" in attrs]
    assert at_once[0] == f"{best}: after sr64"
    assert at_once[2] == f"{worst}: after sr64"
    assert np.isfinite(final["value"]).all()


def test_the_gallery_is_ordered_from_the_worst(page: Page, judged: World) -> None:
    metrics = pd.read_parquet(judged.results / "evaluate" / "metrics.parquet")
    cards = [attrs for tag, attrs in page.tags if tag == "article" and "data-rank" in attrs]
    for name in ("test_unpaired", "test_paired"):
        final = metrics.query(
            "system == 'cascade' and stage == 'sr64' and size == '64x48' and list == @name and metric == 'psnr'"
            " and region == 'garment'"
        ).sort_values(["value", "pair_id"])
        assert [card["data-pair"] for card in cards if card["data-list"] == name] == final["pair_id"].tolist()


def test_a_page_may_open_in_chinese(copied: World) -> None:
    copied.configure(report={"language": "zh"})
    text = report_of(copied).read_text(encoding="utf-8")
    page = Page(text)
    assert page.values("html", "lang") == ["zh-CN"]
    assert "重画区域" in text
    assert page.values("img", "alt")[0].endswith("sr64 之后")
    assert page.values("img", "data-other-alt")[0].endswith("after sr64")


def test_doubtful_photos_are_told_at_their_pairs(copied: World) -> None:
    pairs = pd.read_parquet(copied.pairs)
    row = pairs[(pairs["split"] == "test") & (pairs["kind"] == "unpaired")].iloc[0]
    for path in (copied.results / "cutouts").glob("*.parquet"):
        table = pd.read_parquet(path)
        table["doubtful"] = table["id"] == row["person"]
        table["doubts"] = np.where(table["doubtful"], "up: agreement 0.60 < 0.85", "")
        table.to_parquet(path)
    page = Page(report_of(copied).read_text(encoding="utf-8"))
    doubtful = [attrs["data-pair"] for tag, attrs in page.tags if tag == "article" and "data-doubtful" in attrs]
    assert row["pair_id"] in doubtful
    assert sorted(doubtful) == sorted(
        pairs[(pairs["split"] == "test") & ((pairs["person"] == row["person"]) | (pairs["garment"] == row["person"]))][
            "pair_id"
        ]
    )
    assert f"Doubtful cut-out of {row['person']}: up: agreement 0.60 < 0.85" in page.text


def test_no_leak_is_said_and_a_leak_is_shown_with_both_pictures(copied: World, page: Page) -> None:
    assert "None: no photo of one split shows a picture of another" in page.text
    manifest = pd.read_parquet(copied.results / "dataset" / "manifest.parquet")
    one, other = manifest["id"][:2]
    path = copied.results / "pairs" / "leaks.csv"
    head = path.read_text().splitlines()[0]
    path.write_text(f"{head}\nacross splits,{one},test,{other},train,alike,7,3\n")
    shown = Page(report_of(copied).read_text(encoding="utf-8"))
    assert shown.values("article", "data-leak") == [f"{one} · {other}"]
    alts = shown.values("img", "alt")
    assert one in alts
    assert other in alts
    assert "7 of 256 bits differ" in shown.text
    assert "1 photo of a later split shows a picture that an earlier split holds too" in shown.text
    path.unlink()
    assert copied.tryon("report", "--data", copied.data, "--results", copied.results, "--out", path) == 2
