"""`tryon check` lists every mistake at once, without a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import annotation, make_folder, person_objects, polygon, save_json

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
    assert "warning: person/a: no annotation annotations/person/a.json" in out.out


def test_good_settings_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, "keypoints: {source: given}\ncutouts: {source: annotations}\n")
    assert main(["check", "--config", config]) == 0
    assert "no mistakes found" in capsys.readouterr().out


def test_what_no_folder_is_given_for_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trusting = "keypoints: {source: given}\ncutouts: {source: annotations}\n"
    assert main(["check", "--config", write(tmp_path, trusting + "studio: {num_people: 77}\n")]) == 0
    assert "no data is given, so the studio renders 77 people to learn from" in capsys.readouterr().out
    assert main(["check", "--config", write(tmp_path, trusting + "dataset: {format: viton_hd}\n")]) == 2
    assert "data: dataset.format viton_hd reads a folder, and none is given; set data to it" in capsys.readouterr().err


def test_results_have_to_be_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["check", "--config", write(tmp_path, f"results: {tmp_path / 'file'}\n")]) == 2
    assert "file: not a folder; choose another name" in capsys.readouterr().err


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


def test_photos_and_annotations_are_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(tmp_path / "data", {"anna": "shirt", "bo": "shirt", "cy": "nosuch"}, ["shirt"])
    (root / "person/anna.jpg").write_bytes(b"no picture")
    save_json(root / "annotations/person/bo.json", annotation([*person_objects(), polygon("hiar", (1, 1, 3, 3), 9.0)]))
    rest = f"data: {root}\nkeypoints: {{source: given}}\ncutouts: {{source: annotations}}\n"
    assert main(["check", "--config", write(tmp_path, rest + "max_quarantined: 0.5\n")]) == 0
    said = capsys.readouterr().out
    assert "person/anna: anna.jpg: not a picture" in said
    assert "person/bo: bo.json: unknown label 'hiar' (did you mean 'hair'?)" in said
    assert "nobody else wears 'nosuch' and there is no garment/nosuch" in said
    assert main(["check", "--config", write(tmp_path, rest)]) == 2
    assert "2 of 4 photos that were opened cannot be used" in capsys.readouterr().err


def test_a_list_that_is_missing_hides_no_other_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder(tmp_path / "data", {"anna": "shirt"}, ["shirt"])
    (root / "photos.csv").write_text("wrong,columns\n1,2\n")
    (root / "person/anna.jpg").write_bytes(b"")
    rest = f"data: {root}\nkeypoints: {{source: given}}\ncutouts: {{source: annotations}}\n"
    assert main(["check", "--config", write(tmp_path, rest + "pairs: {unpaired_strategy: given}\n")]) == 2
    out = capsys.readouterr()
    assert "photos.csv: its columns are" in out.err
    assert "pairs.txt: no such file" in out.err
    assert "person/anna: anna.jpg" in out.out


def test_a_list_is_only_asked_for_where_it_is_wanted(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data", {"anna": "shirt"}, ["shirt"])
    rest = f"data: {root}\nkeypoints: {{source: given}}\ncutouts: {{source: annotations}}\n"
    assert main(["check", "--config", write(tmp_path, rest + "pairs: {unpaired_strategy: given_else_random}\n")]) == 0
    (root / "pairs.txt").write_text("anna.jpg gone.jpg\n")
    assert main(["check", "--config", write(tmp_path, rest + "pairs: {unpaired_strategy: given_else_random}\n")]) == 2
