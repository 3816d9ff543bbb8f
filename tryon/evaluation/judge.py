"""One pair judged: every system's and every baseline's picture against the truth, by the same function.

At each size that a stage makes, that stage is judged beside the baselines; at the final size also the earlier
stages and the references, enlarged bicubically and with the person's own pixels put back outside the region, so the
table shows what each further stage adds to the garment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from tryon.config import CASCADE, ORACLE
from tryon.dataset.formats.interface import Reader
from tryon.evaluation.baselines import BASELINES, baseline_pictures
from tryon.evaluation.metrics import colour_drift, compare, garment_delta_e, outside_error
from tryon.evaluation.pair_lists import Pair
from tryon.evaluation.pictures import read_picture
from tryon.evaluation.truths import Truth
from tryon.methods.conditions import packed_arrays
from tryon.methods.prealign import prealign
from tryon.packed import PackedPhoto, PackedPhotos

if TYPE_CHECKING:
    from tryon.evaluation.extras import Extras
    from tryon.evaluation.learned import Lpips

Size = tuple[int, int]
ROW = ("system", "stage", "size", "list", "pair_id", "category", "metric", "region", "value")


@dataclass(frozen=True)
class Entry:
    """One line of the metric table.

    Attributes:
        kind: cascade (all stages), stage (the cascade cut off there), oracle (a stage fed with the truth), reference or
            baseline.
        system: "cascade", "oracle", name of a reference, or name of a baseline.
        stage: stage whose picture is judged; empty for baselines.
        made_hw: size of that picture; for a baseline, the size it is judged at.
        judged_hw: size at which it is judged.
    """

    kind: str
    system: str
    stage: str
    made_hw: Size
    judged_hw: Size


def entries(cascade: Mapping[str, Size], references: Mapping[str, Size]) -> list[Entry]:
    """Everything that is judged, small sizes first; at each size cascade, stages, oracle, references, baselines.

    Args:
        cascade: size of each stage, coarse to fine.
        references: size of each reference stage.
    """
    final_hw = list(cascade.values())[-1]
    last = list(cascade)[-1]
    table: list[Entry] = []
    for judged_hw in sorted({*cascade.values(), *references.values()}):
        is_final = judged_hw == final_hw
        for stage, made_hw in reversed(list(cascade.items())):
            if made_hw == judged_hw or is_final:
                kind = "cascade" if is_final and stage == last else "stage"
                table.append(Entry(kind, CASCADE, stage, made_hw, judged_hw))
        for stage, made_hw in list(cascade.items())[1:]:
            if made_hw == judged_hw:
                table.append(Entry(ORACLE, ORACLE, stage, made_hw, judged_hw))
        for name, made_hw in references.items():
            if made_hw == judged_hw or is_final:
                table.append(Entry("reference", name, name, made_hw, judged_hw))
        table += [Entry("baseline", name, "", judged_hw, judged_hw) for name in BASELINES]
    return table


def shown(size_hw: Size) -> str:
    """``"128x96"``, height first."""
    return f"{size_hw[0]}x{size_hw[1]}"


def enlarged(picture_HWC: np.ndarray, person_HWC: np.ndarray, region_HW: np.ndarray) -> np.ndarray:
    """A stage's picture at the size of `person_HWC`: bicubic inside the region, the person's own pixels outside.

    A picture of that size stays as it is: should it differ from the person outside the region, that shall show.
    """
    if picture_HWC.shape == person_HWC.shape:
        return picture_HWC
    height, width = region_HW.shape
    grows = height > picture_HWC.shape[0]
    scaled_HWC = cv2.resize(picture_HWC, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)
    return np.where(region_HW[..., None] > 0, scaled_HWC, person_HWC)


@dataclass(frozen=True, eq=False)
class View:
    """Everything that is judged of a pair at one size.

    Attributes:
        pictures: of every line of the table at that size, uint8 RGB.
        person: the person photo.
        garment: the garment photo.
        region_HW: where the picture was repainted, bool.
        expected_HW: where the garment should lie (it is warped there by keypoints), bool.
        cutout_HW: the garment in its photo, float.
    """

    pictures: dict[Entry, np.ndarray]
    person: PackedPhoto
    garment: PackedPhoto
    region_HW: np.ndarray
    expected_HW: np.ndarray
    cutout_HW: np.ndarray


@dataclass(frozen=True)
class Judge:
    """Judges pairs one by one; holds no pictures, so memory does not grow with their number.

    Attributes:
        table: what is judged.
        packed: photos at every judged size.
        sampled: {(system, stage, pair_id): picture file}.
        data: the data folder, where truths lie.
        reader: of their annotations.
        fill: grey level of borders, as packed.
        garment_hw: size of the garment photo that baselines warp, by judged size; the same size where it lacks.
        lpips: where weights are given.
        extras: metrics of the final size that need models or label maps, where given.
    """

    table: Sequence[Entry]
    packed: PackedPhotos
    sampled: Mapping[tuple[str, str, str], Path]
    data: Path
    reader: Reader
    fill: int
    garment_hw: Mapping[Size, Size]
    lpips: Lpips | None = None
    extras: Extras | None = None

    @property
    def final_hw(self) -> Size:
        """Size of the cascade's pictures."""
        return next(entry.judged_hw for entry in self.table if entry.kind == "cascade")

    def pictures(self, pair: Pair, size_hw: Size) -> dict[Entry, np.ndarray]:
        """Every picture of a pair that is judged at a size, uint8 RGB; no oracle without a truth."""
        return self.view(pair, size_hw).pictures

    def views(self, pair: Pair) -> dict[Size, View]:
        """A pair at every judged size."""
        return {size_hw: self.view(pair, size_hw) for size_hw in sorted({entry.judged_hw for entry in self.table})}

    def view(self, pair: Pair, size_hw: Size) -> View:
        """A pair at one size."""
        person = self.packed.read(pair.person, size_hw)
        garment = self.packed.read(pair.garment, size_hw)
        garment_hw = self.garment_hw.get(size_hw, size_hw)
        arrays = packed_arrays(self.packed, pair, size_hw, garment_hw)
        affine = packed_arrays(self.packed, pair, size_hw, garment_hw, partial(prealign, limbs=False))
        free = baseline_pictures(person.image_HWC, arrays, affine)
        pictures = {}
        for entry in self.table:
            if entry.judged_hw != size_hw:
                continue
            if entry.kind == "baseline":
                pictures[entry] = free[entry.system]
            elif entry.kind != ORACLE or (entry.system, entry.stage, pair.pair_id) in self.sampled:
                file = self.sampled[entry.system, entry.stage, pair.pair_id]
                pictures[entry] = enlarged(
                    read_picture(file, entry.made_hw), person.image_HWC, arrays["region_B1HW"][0]
                )
        region_HW = arrays["region_B1HW"][0] > 0
        expected_HW = region_HW & (arrays["prealigned_mask_B1HW"][0] > 0.5)
        return View(pictures, person, garment, region_HW, expected_HW, arrays["garment_mask_B1HW"][0])

    def rows(self, pair: Pair, truth: Truth | None, views: Mapping[Size, View]) -> list[tuple[Any, ...]]:
        """All numbers of one pair, as tuples of the columns `ROW`.

        Args:
            pair: what is judged.
            truth: its true picture, where somebody knows it.
            views: `views` of the pair.
        """
        rows: list[tuple[Any, ...]] = []
        for size_hw, view in views.items():
            on_canvas = truth.on_canvas(pair.category, size_hw, self.fill) if truth is not None else None
            extras = self.extras if size_hw == self.final_hw else None
            about_person = extras.of_person(view) if extras is not None else None
            for entry, picture_HWC in view.pictures.items():
                values: dict[tuple[str, str], float | None] = {
                    ("outside_error", "kept"): outside_error(picture_HWC, view.person.image_HWC, view.region_HW),
                    ("garment_delta_e", "expected"): garment_delta_e(
                        picture_HWC, view.expected_HW, view.garment.image_HWC, view.cutout_HW
                    ),
                }
                if on_canvas is not None:
                    true_HWC, regions = on_canvas
                    values |= compare(picture_HWC, true_HWC, regions)
                    values |= colour_drift(picture_HWC, true_HWC, view.region_HW)
                    if self.lpips is not None:
                        values |= self.lpips(picture_HWC, true_HWC, regions)
                if extras is not None and about_person is not None and entry.kind != ORACLE:
                    values |= extras.values(view, picture_HWC, about_person, entry, pair.pair_id)
                about = (entry.system, entry.stage, shown(size_hw))
                pair_of = (pair.list, pair.pair_id, pair.category)
                rows += [
                    (*about, *pair_of, metric, region, value)
                    for (metric, region), value in values.items()
                    if value is not None
                ]
        return rows
