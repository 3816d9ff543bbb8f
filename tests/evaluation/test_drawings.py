"""Overlays show what they are given; curves are drawn where their numbers are."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from tryon.evaluation import drawings
from tryon.evaluation.report_text import same
from tryon.ontology import LABEL_INDEX, PALETTE


def grey(height: int = 48, width: int = 36) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def test_a_figure_is_the_picture_itself_no_taller_than_asked() -> None:
    figure = drawings.figure(grey(96, 72), same("a photo"), height_px=48)
    header, data = figure.uri.split(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert header == "data:image/jpeg;base64"
    assert picture.size == (figure.width, figure.height) == (36, 48)
    assert np.abs(np.asarray(picture).astype(int) - 120).max() <= 2
    assert drawings.figure(grey(), same("a photo"), height_px=480).height == 48


def test_labels_take_their_palette_colour_and_the_background_fades() -> None:
    labels_HW = np.zeros((48, 36), np.uint8)
    labels_HW[:24] = LABEL_INDEX["up"]
    painted_HWC = drawings.labels_over(grey(), labels_HW, strength=1.0)
    assert tuple(painted_HWC[0, 0]) == PALETTE[LABEL_INDEX["up"]]
    assert (painted_HWC[30] > 200).all()


def test_only_visible_keypoints_are_drawn() -> None:
    keypoints_K3 = np.zeros((17, 3))
    keypoints_K3[5] = (10, 12, 1)
    keypoints_K3[7] = (30, 40, 0)
    changed_HW = (drawings.keypoints_over(grey(), keypoints_K3) != 120).any(axis=-1)
    assert changed_HW[12, 10]
    assert not changed_HW[20:].any()
    assert not changed_HW[:5].any()  # invisible points lie at (0, 0)


def test_cut_out_and_region_leave_the_rest_alone() -> None:
    mask_HW = np.zeros((48, 36), np.uint8)
    mask_HW[10:20] = 4
    assert (drawings.cut_out(grey(), mask_HW)[10:20] == 120).all()
    assert (drawings.cut_out(grey(), mask_HW)[20:] == drawings.PAPER).all()
    assert (drawings.agnostic(grey(), mask_HW)[20:] == 120).all()
    assert not (drawings.agnostic(grey(), mask_HW)[10:20] == 120).any()


def points_of(svg: str, name: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)  # noqa: S314 (our own drawing)
    found = [line for line in root.iter("polyline") if line.get("class") == name]
    assert len(found) == 1
    return [tuple(map(float, point.split(","))) for point in found[0].get("points", "").split()]


def test_curves_span_their_frame_and_fall_when_the_loss_falls() -> None:
    curves = drawings.loss_curves([(step, 1 / step) for step in range(1, 101)], [(50, 0.03), (100, 0.02)])
    assert curves is not None
    raw = points_of(curves.svg, "curve-raw")
    assert len(raw) == 100
    assert raw[-1][0] == drawings.CURVE_WIDTH - drawings.RIGHT
    assert [y for _, y in raw] == sorted(y for _, y in raw)  # y grows downwards
    assert drawings.TOP <= raw[0][1] < raw[-1][1] <= drawings.CURVE_HEIGHT - drawings.BOTTOM
    val = points_of(curves.svg, "curve-val")
    by_step = dict(zip(range(1, 101), raw, strict=True))
    assert val[1][1] == pytest.approx(by_step[50][1], abs=0.1)  # 0.02 = 1 / 50, on one scale
    assert curves.best_val == 0.02


def test_the_running_mean_averages_a_window() -> None:
    curves = drawings.loss_curves([(step, 1.0 + step % 2) for step in range(1, 41)], [])
    assert curves is not None
    assert curves.last == pytest.approx(1.5)
    assert curves.best_val is None


def test_no_losses_no_curve() -> None:
    assert drawings.loss_curves([], [(1, 0.5)]) is None


def test_one_single_loss_is_drawn() -> None:
    curves = drawings.loss_curves([(7, 0.5)], [])
    assert curves is not None
    ElementTree.fromstring(curves.svg)  # noqa: S314 (our own drawing)
