"""Presets of known data sets: `tryon check` says what it found, or shows the folders that it expects."""

from __future__ import annotations

from pathlib import Path

import make_layouts
import pytest
import yaml

from tryon import config
from tryon.cli import main

ROOT = Path(__file__).resolve().parents[3]
PRESETS = {name: ROOT / "config" / "presets" / f"{name}.yaml" for name in ("viton_hd", "dresscode")}


def check(preset: str, data: Path) -> int:
    return main(["check", "--config", str(PRESETS[preset]), "--data", str(data)])


@pytest.fixture(autouse=True)
def in_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets name weights relative to the clone."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_whole_folder_has_no_mistakes(
    preset: str, rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = getattr(make_layouts, preset)(tmp_path, make_layouts.samples(rendered))
    if preset == "dresscode":  # all of the studio's first people wear tops
        for name in ("lower_body", "dresses"):
            assert [path.name for path in (data / name).iterdir() if path.suffix != ".txt"] == []
    assert check(preset, data) == 0, capsys.readouterr().err
    assert "no mistakes found, 0 photos or files to look at" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("viton_hd", ("image-parse-v3/NAME.png", "or openpose-json", "cloth-mask/NAME.jpg", "train_pairs.txt")),
        ("dresscode", ("label_maps/NUMBER_4.png", "in pixels of 384x512", "masks/NUMBER_1.png", "lower_body/")),
    ],
)
def test_a_wrong_folder_is_shown_the_tree(
    preset: str, told: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zalando-hd-resized").mkdir()
    assert check(preset, tmp_path) == 2
    said = capsys.readouterr().err
    assert f"not the layout {preset}, it holds zalando-hd-resized/" in said
    assert all(part in said for part in told)


def test_a_wrong_line_of_the_list_is_told(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_layouts.viton_hd(tmp_path, make_layouts.samples(rendered))
    (data / "test_pairs.txt").write_text("00004_00.jpg 00005_00.jpg\n00004_00.jpg 99999_00.jpg\n")
    (data / "train/image-parse-v3/00002_00.png").unlink()
    assert check("viton_hd", data) == 2
    said = capsys.readouterr()
    assert f"{data}: test_pairs.txt line 2: garment '99999_00.jpg' does not exist in test/" in said.err
    assert "warning: person/00002_00: train/image/00002_00.jpg: no parse map" in said.out


def test_the_training_stages_are_the_papers() -> None:
    paper = config.load(ROOT / "config" / "presets" / "paper.yaml")
    for path in PRESETS.values():
        settings = config.load(path)
        assert settings.stages == paper.stages
        assert settings.cascade == paper.cascade
        assert settings.dataset.format == path.stem
        assert yaml.safe_load(path.read_text())["pairs"]["unpaired_strategy"] == "given"
