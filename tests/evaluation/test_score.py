"""`tryon score`: other people's folders judged as they judge them, and a clear word where that has no meaning."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "protocols"))

from stand_ins import backbones, draw, weights, write_pairs  # noqa: E402

from tryon import cli  # noqa: E402
from tryon.evaluation import score  # noqa: E402
from tryon.evaluation.folders import couples  # noqa: E402
from tryon.evaluation.protocols import catalogue  # noqa: E402
from tryon.evaluation.protocols.features import CleanFid, FeatureCache, identity  # noqa: E402
from tryon.evaluation.protocols.interface import Weights  # noqa: E402
from tryon.evaluation.protocols.prepare import prepare, refusal  # noqa: E402
from tryon.evaluation.protocols.scoring import Scorer  # noqa: E402

__all__ = ["backbones", "weights"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Six pairs; read them, do not write to them."""
    return write_pairs(tmp_path_factory.mktemp("score"), (64, 48), (96, 72), "{stem}.png", num=6)


def call(results: Path, truths: Path, *arguments: str) -> int:
    return cli.main(["score", "--results", str(results), "--truth", str(truths), "--jobs", "1", *arguments])


def test_scores_come_with_everything_that_decides_them(
    folders: tuple[Path, Path], tmp_path: Path, weights: dict[Weights, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.json"
    squeeze = str(weights["lpips_squeeze_weights"])
    assert call(*folders, "--protocol", "catvton", "--lpips-squeeze-weights", squeeze, "--out", str(out)) == 0
    report = json.loads(out.read_text())
    said = capsys.readouterr().out
    assert report["protocol"] == "catvton"
    assert report["settings"]["lpips"]["backbone"] == "squeeze"
    assert report["settings"]["truth"]["resize"]["filter"] == "lanczos"
    assert set(report["packages"]) == {"clean-fid", "torchmetrics", "pillow", "torch"}
    assert len(report["weights_sha256"]["lpips_squeeze_weights"]) == 64
    assert report["weights_sha256"]["inception_weights"] is None
    scores = report["scores"]
    assert 0 < scores["ssim"]["low"] < scores["ssim"]["value"] < scores["ssim"]["high"] < 1
    assert scores["lpips"]["num"] == 6
    reason = "not computed: weights not given (evaluate.inception_weights)"
    assert scores["fid"] == scores["kid"]
    assert (scores["fid"]["value"], scores["fid"]["reason"]) == (None, reason)
    for part in ("protocol catvton", "eval.py", "torchmetrics 1.", reason, "own pixels are put back"):
        assert part in said


def test_any_number_of_processes_gives_the_same_numbers(
    folders: tuple[Path, Path], weights: dict[Weights, Path]
) -> None:
    found = []
    for jobs in (1, 2):
        pairs = couples(catalogue.TRYON, *folders)
        scorer = Scorer(catalogue.TRYON, weights)
        found.append(score.score(scorer, pairs, is_paired=True, jobs=jobs, num_resamples=100, seed=0))
    assert found[0] == found[1]


def test_an_unpaired_folder_gets_no_comparison_pair_by_pair(
    folders: tuple[Path, Path], tmp_path: Path, weights: dict[Weights, Path]
) -> None:
    out = tmp_path / "scores.json"
    for protocol, expected in (("tryon", {"fid", "kid"}), ("tpd", {"fid"}), ("hrviton", set())):
        assert call(*folders, "--protocol", protocol, "--unpaired", "--out", str(out)) == 0
        assert set(json.loads(out.read_text())["scores"]) == expected


def test_sizes_that_a_protocol_does_not_know_are_not_scored(
    folders: tuple[Path, Path], tmp_path: Path, weights: dict[Weights, Path]
) -> None:
    out = tmp_path / "scores.json"
    alex = str(weights["lpips_weights"])
    assert call(*folders, "--protocol", "tpd", "--lpips-weights", alex, "--out", str(out)) == 0
    scores = json.loads(out.read_text())["scores"]
    assert scores["ssim"]["reason"] == "not computed: tpd is defined for 512x384, these results are 64x48"
    assert {scores[metric]["value"] for metric in scores} == {None}
    assert refusal(catalogue.HRVITON, (256, 192)) is None
    assert "1024x768, 512x384, 256x192" in refusal(catalogue.DCI, (128, 96))


def spoil(kind: str, results: Path, truths: Path) -> None:
    """One mistake in a pair of folders."""
    if kind == "missing truth":
        (truths / "00002_00.jpg").unlink()
    elif kind == "missing result":
        (results / "00004_00.png").unlink()
    elif kind == "duplicate":
        shutil.copy(truths / "00001_00.jpg", truths / "00001_00_1.jpg")  # as a garment photo beside its wearer
    elif kind == "empty":
        shutil.rmtree(results)
        results.mkdir()
    elif kind == "no folder":
        shutil.rmtree(truths)
    elif kind == "another size":
        draw((80, 60), 3).save(results / "00003_00.png")
    elif kind == "another shape":
        draw((96, 96), 3).save(truths / "00003_00.jpg")
    elif kind == "damaged":
        (results / "00003_00.png").write_bytes(b"not a picture")


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("missing truth", ["different names", "truths: nothing for 1 of 6", "00002_00"]),
        ("missing result", ["results: nothing for 1 of 6", "00004_00", "another number"]),
        ("duplicate", ["00001_00.jpg and 00001_00_1.jpg are both '00001_00'", "garment photos"]),
        ("empty", ["results: no pictures", "give the folder"]),
        ("no folder", ["truths: no such folder"]),
        ("another size", ["00003_00.png: 80x60, but the first result is 64x48"]),
        ("another shape", ["00003_00.png and", "the truth is 96x96 and becomes 64x64", "tryon"]),
        ("damaged", ["00003_00.png", "not a picture"]),
    ],
)
def test_mistakes_are_named_and_give_no_number(
    kind: str, parts: list[str], folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, truths = (Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in folders)
    spoil(kind, results, truths)
    assert call(results, truths, "--protocol", "catvton", "--out", str(tmp_path / "scores.json")) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message
    assert not (tmp_path / "scores.json").exists()


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--num-bootstrap", "0", "0 is less than 1"),
        ("--seed", "-1", "-1 is less than 0"),
        ("--jobs", "none", "invalid whole_number value: 'none'"),
        ("--out", ".", "a folder; name the file to write"),
        ("--cache", __file__, "a file; name a folder"),
    ],
)
def test_options_are_refused_before_anything_is_judged(
    option: str, value: str, told: str, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = call(*folders, option, value)
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["lpips_weights", "inception_weights", "fid_inception_weights"])
@pytest.mark.parametrize("content", ["nothing", "garbage", "another network"])
def test_wrong_weights_are_named(
    setting: str,
    content: str,
    folders: tuple[Path, Path],
    tmp_path: Path,
    weights: dict[Weights, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "wrong.pth"
    if content == "garbage":
        path.write_bytes(b"not a checkpoint")
    if content == "another network":
        shutil.copy(weights["lpips_squeeze_weights"], path)
    protocol = {"lpips_weights": "ladi", "inception_weights": "ladi", "fid_inception_weights": "dci"}[setting]
    options = ["--protocol", protocol, f"--{setting.replace('_', '-')}", str(path)]
    results, truths = write_pairs(tmp_path, (256, 192), (256, 192), "{stem}.png", num=2)
    assert call(results, truths, *options) == 2
    message = capsys.readouterr().err
    assert "wrong.pth" in message
    assert setting.replace("_", "-") in message.replace("_", "-")


def test_weights_with_another_digest_are_refused(
    folders: tuple[Path, Path], weights: dict[Weights, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--lpips-weights", str(weights["lpips_weights"]), "--lpips-sha256", "0" * 64]
    assert call(*folders, "--protocol", "ladi", *options) == 2
    assert "expected 0000" in capsys.readouterr().err


def test_a_name_without_a_number_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("results", "truths"):
        (tmp_path / name).mkdir()
        draw((64, 48), 0).save(tmp_path / name / "anna.png")
    assert call(tmp_path / "results", tmp_path / "truths", "--protocol", "catvton") == 2
    assert "looks for a number in the name" in capsys.readouterr().err
    assert call(tmp_path / "results", tmp_path / "truths", "--protocol", "tryon") == 0


def test_features_of_truths_are_computed_once(
    folders: tuple[Path, Path], weights: dict[Weights, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    extract = CleanFid.__call__

    def counted(self: CleanFid, pictures: list[np.ndarray]) -> np.ndarray:
        asked.append(len(pictures))
        return extract(self, pictures)

    monkeypatch.setattr(CleanFid, "__call__", counted)
    pairs = couples(catalogue.TRYON, *folders)
    for results in (12, 6):  # first results and truths, then results alone
        score.score(
            Scorer(catalogue.TRYON, weights, tmp_path), pairs, is_paired=False, jobs=1, num_resamples=100, seed=0
        )
        assert sum(asked) == results
        asked.clear()


def test_features_are_remembered_by_content_and_network(weights: dict[Weights, Path], tmp_path: Path) -> None:
    image_HWC, features = np.asarray(draw((16, 12), 0)), np.arange(8, dtype=np.float32)
    declared, file = catalogue.LADI.features, weights["inception_weights"]
    cache = FeatureCache(tmp_path, identity(declared, file))
    assert cache.read(image_HWC) is None
    cache.keep(image_HWC, features)
    np.testing.assert_array_equal(FeatureCache(tmp_path, identity(declared, file)).read(image_HWC.copy()), features)
    assert cache.read(255 - image_HWC) is None
    assert cache.read(image_HWC.reshape(12, 16, 3)) is None, "the same bytes in another shape"
    other = identity(catalogue.DCI.features, weights["fid_inception_weights"])
    assert FeatureCache(tmp_path, other).read(image_HWC) is None, "another network's features are not these"


def test_a_cache_changes_no_number(folders: tuple[Path, Path], weights: dict[Weights, Path], tmp_path: Path) -> None:
    from dataclasses import replace

    protocol = replace(
        catalogue.LADI, fid=replace(catalogue.LADI.fid, min_pictures=2), compared_hw=None,
        truth=replace(catalogue.LADI.truth, size_hw="result"),
    )  # fmt: skip
    pairs = couples(protocol, *folders)
    found = [
        score.score(Scorer(protocol, weights, cache), pairs, is_paired=True, jobs=1, num_resamples=100, seed=0)
        for cache in (None, tmp_path, tmp_path)
    ]
    assert found[0]["scores"]["fid"]["value"] > 0
    assert found[0] == found[1] == found[2]


def test_a_truth_of_the_results_height_is_not_saved_anew() -> None:
    """CatVTON re-saves truths only where their height differs: a JPEG saved twice is another picture."""
    image_HWC, other_HWC = np.asarray(draw((64, 48), 1)), np.asarray(draw((96, 72), 1))
    same = prepare(catalogue.CATVTON, image_HWC, image_HWC, ".jpg")
    assert same.truth_HWC is image_HWC
    as_jpeg, as_png = (prepare(catalogue.CATVTON, image_HWC, other_HWC, suffix) for suffix in (".jpg", ".png"))
    assert (as_jpeg.truth_HWC != as_png.truth_HWC).any()
