"""`tryon check` lists every mistake at once, without a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import make_folder

from tryon.cli import main

STAGES = "cascade: [base]\nstages: {base: {kind: parallel_unet, size: [64, 48]}}\n"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "my.yaml"
    path.write_text(STAGES + text)
    return str(path)


def test_all_mistakes_are_listed_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(
        tmp_path,
        f"data: {tmp_path / 'gone'}\nkeypoints: {{config: no.py, checkpoint: no.pth}}\n"
        "cutouts: {checkpoint: 'https://example.org/sam.pth'}\nevaluate: {lpips_weights: no.pth}\n",
    )
    assert main(["check", "--config", config]) == 2
    said = capsys.readouterr().err
    assert "5 mistakes would stop the run" in said
    for part in ("gone: no such data folder", "keypoints.checkpoint: no.pth", "keypoints.config", "URL", "lpips"):
        assert part in said


def test_a_wrong_weights_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sam.pth").write_bytes(b"x")
    config = write(
        tmp_path,
        f"keypoints: {{source: given}}\ncutouts: {{checkpoint: {tmp_path / 'sam.pth'}, sha256: '{'0' * 64}'}}\n",
    )
    assert main(["check", "--config", config]) == 2
    assert "sam.pth has sha256" in capsys.readouterr().err


def test_a_pair_partner_that_is_absent_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for role in ("person", "garment"):
        (data / role).mkdir(parents=True)
        (data / role / "a.jpg").touch()
        (data / "annotations" / role).mkdir(parents=True)
    (data / "pairs.txt").write_text("a.jpg a.jpg\na.jpg bb.jpg\n")
    config = write(
        tmp_path,
        f"data: {data}\nkeypoints: {{source: given}}\ncutouts: {{source: annotations}}\n"
        "pairs: {unpaired_strategy: given}\n",
    )
    assert main(["check", "--config", config]) == 2
    out = capsys.readouterr()
    assert "pairs.txt: line 2: garment/bb does not exist" in out.err
    assert "warning: person/a.jpg: no annotation" in out.out


def test_good_settings_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, "keypoints: {source: given}\ncutouts: {source: annotations}\n")
    assert main(["check", "--config", config]) == 0
    assert "no mistakes found" in capsys.readouterr().out


def test_rows_of_an_unpaired_list_that_are_in_fact_paired_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(tmp_path / "data", {"a": "x", "b": "y"}, ["x", "y"])
    (data / "pairs.txt").write_text("a.jpg y.jpg\nb.jpg y.jpg\n")
    settings = f"data: {data}\nkeypoints: {{source: given}}\ncutouts: {{source: annotations}}\n"
    config = write(tmp_path, settings + "pairs: {unpaired_strategy: given}\n")
    assert main(["check", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "warning: pairs.txt line 2: b wears y in its photo" in said
    assert "line 1" not in said
    config = write(tmp_path, settings + "pairs: {unpaired_strategy: given, train_strategy: given}\n")
    assert main(["check", "--config", config]) == 0
    assert "wears" not in capsys.readouterr().out, "the list is what is learned from, too"
