"""Kept embeddings: the encoder runs once per photo, however often rules and thresholds change, and damage shows."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from cutout_rig import ROOT, WEIGHTS, Results
from segment_anything.modeling import ImageEncoderViT

from tryon import files, images
from tryon.config import CutoutsConfig
from tryon.dataset.folder import scan
from tryon.errors import UserError
from tryon.fit.segmenter_data import Example, read_example
from tryon.prepare import prompts
from tryon.prepare.cutouts import load_cutter
from tryon.prepare.cutter import SamCutter
from tryon.prepare.embeddings import CODE, Embeddings
from tryon.prepare.encoder import Encoder
from tryon.prepare.parts import rough_masks
from tryon.prepare.quality import iou

PLANES = ("garments.png", "regions.png", "person.png", "parts.png")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cutter() -> SamCutter:
    return load_cutter(CutoutsConfig(checkpoint=str(WEIGHTS), device="cpu"))


@pytest.fixture(scope="module")
def examples(rendered: Path) -> list[Example]:
    return [read_example(rendered, photo) for photo in scan(rendered).photos if photo.annotation][:5]


@pytest.fixture
def results(tmp_path: Path, rendered: Path, examples: list[Example]) -> Results:
    return Results(tmp_path / "results", rendered, examples)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch size of every encoder pass since."""
    sizes: list[int] = []
    forward = ImageEncoderViT.forward

    def counted(self: ImageEncoderViT, x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(ImageEncoderViT, "forward", counted)
    return sizes


def contents(results: Results) -> dict[str, bytes]:
    """Bytes of every plane, by photo and name."""
    table = results.table()
    return {
        f"{id_} {name}": (results.root / table.loc[id_, name]).read_bytes() for id_ in table.index for name in PLANES
    }


def kept(results: Results) -> list[Path]:
    return sorted((results.root / "items" / "embeddings").rglob("*.safetensors"))


def test_every_photo_is_encoded_once_and_kept_as_float16(results: Results, passes: list[int]) -> None:
    assert results.run() == 0
    assert passes == [1] * 5
    table = results.table()
    assert sorted(path.stem for path in kept(results)) == sorted(table["embedding"])
    assert all(130_000 < path.stat().st_size < 132_000 for path in kept(results)), "0.13 MB, as the docs say"


@pytest.mark.parametrize(
    "change",
    [
        {"parts": ["arms", "head"]},
        {"min_agreement": 0.4},
        {"doubtful_agreement": 0.99},
        {"doubtful_stability": 0.99},
        {"agnostic": "hr_viton"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_rule_or_threshold_runs_no_encoder(
    results: Results, passes: list[int], change: dict[str, object]
) -> None:
    assert results.run() == 0
    before = results.table()
    passes.clear()
    assert results.run(**change) == 0
    assert passes == []
    after = results.table()
    assert (after["key"] != before["key"]).all(), "every photo was cut anew"
    assert (after["embedding"] == before["embedding"]).all()


def test_another_prompt_rule_runs_no_encoder(
    results: Results, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert results.run() == 0
    before = contents(results)
    shutil.rmtree(results.root / "items" / "cutouts")  # as another digest of the code would do
    passes.clear()
    monkeypatch.setattr(prompts, "BOX_MARGIN", 0.3)
    assert results.run() == 0
    assert passes == []
    assert contents(results) != before


def test_the_key_depends_on_no_prompt_rule_or_decoder() -> None:
    assert not {"prompts", "cutter", "cutouts", "quality", "agnostic"} & {name.rpartition(".")[2] for name in CODE}
    folder = ROOT / "tryon" / "prepare"
    for name in (name.rpartition(".")[2] for name in CODE if name.startswith("tryon.prepare")):
        tree = ast.parse((folder / f"{name}.py").read_text())
        ours = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {module for module in ours if module and module.startswith("tryon")} <= {"tryon.errors"}


def test_fresh_reused_and_unkept_embeddings_give_the_same_bytes(results: Results, passes: list[int]) -> None:
    assert results.run() == 0
    fresh = contents(results)
    shutil.rmtree(results.root / "items" / "cutouts")
    assert results.run() == 0
    assert len(passes) == 5
    assert contents(results) == fresh
    shutil.rmtree(results.root / "items")
    assert results.run(keep_embeddings=False) == 0
    assert len(passes) == 10
    assert contents(results) == fresh
    assert kept(results) == []


@pytest.mark.parametrize("damage", ["cut short", "empty", "one bit"])
def test_a_damaged_embedding_is_made_again(results: Results, passes: list[int], damage: str) -> None:
    assert results.run() == 0
    good, files_before = contents(results), {path: path.read_bytes() for path in kept(results)}
    victim, content = next(iter(files_before.items()))
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    victim.write_bytes({"cut short": content[:3000], "empty": b"", "one bit": flipped}[damage])
    shutil.rmtree(results.root / "items" / "cutouts")
    passes.clear()
    assert results.run() == 0
    assert passes == [1]
    assert contents(results) == good
    assert victim.read_bytes() == content


def test_a_batch_gives_the_masks_of_single_passes(results: Results, passes: list[int]) -> None:
    assert results.run() == 0
    single, table = {id_: results.bits(id_, "garments.png") for id_ in results.table().index}, results.table()
    shutil.rmtree(results.root / "items")
    passes.clear()
    assert results.run(batch_size=3) == 0
    assert passes == [3, 2]
    for id_, bits_HW in single.items():
        assert iou(results.bits(id_, "garments.png") > 0, bits_HW > 0) >= 0.999
    assert results.table()["agreement"].to_numpy() == pytest.approx(table["agreement"].to_numpy(), abs=1e-3)


def test_pictures_of_different_sizes_share_a_batch(cutter: SamCutter, examples: list[Example]) -> None:
    pictures = [examples[0].image_HWC, examples[1].image_HWC[:100], examples[2].image_HWC[:, :60]]
    together = cutter.encoder.encode(pictures)
    for picture_HWC, embedding_CGG in zip(pictures, together, strict=True):
        assert embedding_CGG.dtype == np.float16
        np.testing.assert_allclose(embedding_CGG, cutter.encoder.encode([picture_HWC])[0], atol=5e-3)


def test_bad_photos_leave_the_rest_of_their_batch_alone(
    results: Results, examples: list[Example], passes: list[int], tmp_path: Path
) -> None:
    results.refuse("masks", examples[0].id, "x.json: unknown label 'hat'")
    data = tmp_path / "data"
    shutil.copytree(results.data, data)
    results.data = data
    photo = data / next(photo.file for photo in scan(data).photos if photo.id == examples[1].id)
    photo.write_bytes(photo.read_bytes()[:2000])
    assert results.run(batch_size=8) == 0
    table = results.table()
    assert passes == [3], "what cannot be used is not encoded"
    assert table.loc[examples[0].id, "reason"] == "x.json: unknown label 'hat'"
    assert photo.name in table.loc[examples[1].id, "reason"]
    assert (table["status"] == "ok").sum() == 3


def test_a_photo_without_a_garment_is_not_encoded(results: Results, examples: list[Example], passes: list[int]) -> None:
    name = examples[0].id.replace("/", "-")
    bare_HW = (examples[0].labels_HW > 0).astype(np.uint8)
    files.write_bytes(results.root / f"{name}.labels.png", images.encode_labels(bare_HW))
    assert results.run() == 0
    assert passes == [1] * 4
    assert "no garment is annotated" in results.table().loc[examples[0].id, "reason"]


def test_another_precision_photo_or_model_has_another_embedding(tmp_path: Path) -> None:
    def key(sha256: str = "a" * 64, **changes: object) -> str:
        return Embeddings(tmp_path, CutoutsConfig(**{"sha256": "b" * 64, **changes})).key(sha256)  # type: ignore[arg-type]

    changed = [key("c" * 64), key(precision="bf16"), key(sha256="d" * 64), key(model_type="vit_b")]
    assert len({key(), *changed}) == 5
    assert key(min_agreement=0.1, parts=["hands"], device="cuda", batch_size=4) == key()


def test_bf16_is_near_fp32(cutter: SamCutter, examples: list[Example]) -> None:
    coarse = SamCutter(cutter.sam, "bf16")
    for example in examples:
        rough = rough_masks(example.labels_HW, example.keypoints_K3, example.id.split("/")[0], ())
        exact = cutter.cut(example.image_HWC, rough, example.keypoints_K3)
        for part, cut in coarse.cut(example.image_HWC, rough, example.keypoints_K3).items():
            assert iou(cut.mask_HW, exact[part].mask_HW) > 0.98
    assert not np.array_equal(
        coarse.encoder.encode([examples[0].image_HWC])[0], cutter.encoder.encode([examples[0].image_HWC])[0]
    ), "bf16 was computed"


def test_fp16_on_a_cpu_is_refused_with_the_fix(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert results.run(precision="fp16") == 2
    assert "cutouts.precision: fp16 needs a GPU, but the encoder runs on the CPU; set bf16" in capsys.readouterr().err


def test_an_overflow_is_refused_and_not_kept(cutter: SamCutter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cutter.sam.image_encoder,
        "forward",
        lambda x: torch.full((len(x), 64, 32, 32), 1e6),  # over float16's 65504
    )
    with pytest.raises(UserError, match="the image encoder's answer is not finite; set fp32 or bf16"):
        Encoder(cutter.sam).encode([np.zeros((32, 24, 3), np.uint8)])
