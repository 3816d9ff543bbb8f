"""Heads and faces, in head coordinates: origin in the middle, height 1."""

from __future__ import annotations

import skia

from tryon.ontology import LABEL_INDEX
from tryon.studio.curves import blob, ellipse, outline
from tryon.studio.easel import Easel, darker, lighter, linear, mix, radial, rgba
from tryon.studio.figure import blush
from tryon.studio.folds import SHADE
from tryon.studio.skeleton import Skeleton
from tryon.studio.specs import Face, Person

FACE = LABEL_INDEX["face"]
EYE_X, EYE_Y, EAR_Y, NOSE_Y, MOUTH_Y = 0.155, 0.02, 0.06, 0.19, 0.315


def skull(width: float, jaw: float) -> skia.Path:
    """Outline of a head."""
    w = width / 0.365
    right = [
        (0.0, -0.5),
        (0.2 * w, -0.465),
        (0.325 * w, -0.33),
        (0.368 * w, -0.1),
        (0.35 * w, 0.13),
        ((0.285 + 0.03 * jaw) * w, 0.32),
        ((0.17 + 0.05 * jaw) * w, 0.45),
        (0.07 + 0.05 * jaw, 0.5),
    ]
    return blob(right + [(-x, y) for x, y in reversed(right[1:])])


def keypoints(person: Person, turn: float) -> list[tuple[float, float]]:
    """Nose, left eye, right eye, left ear, right ear in head coordinates."""
    ear = person.body.head + 0.012
    return [(turn * 1.3, NOSE_Y), (EYE_X + turn, EYE_Y), (-EYE_X + turn, EYE_Y), (ear, EAR_Y), (-ear, EAR_Y)]


def draw_head(easel: Easel, skeleton: Skeleton, person: Person, light: float) -> None:
    """Head with ears and face; the hair comes before and after it."""
    skin, face, turn = person.body.skin, person.face, skeleton.pose.turn
    with easel.moved(skeleton.head_matrix):
        for side in (1, -1):
            _ear(easel, side, person)
        path = skull(person.body.head, face.jaw)
        easel.fill(path, skin, FACE)
        with easel.inside(path):
            far = -light
            shade = linear((-far * 0.1, 0), (far * 0.42, 0), [rgba(SHADE, 0.0), rgba(SHADE, 0.20)])
            easel.fill(path, shade)
            for side in (1, -1):
                cheek = (side * 0.215 + turn, 0.17)
                easel.fill(
                    ellipse(*cheek, 0.12, 0.09), radial(cheek, 0.12, [rgba(blush(skin), 0.5), rgba(blush(skin), 0.0)])
                )
            if face.beard:
                _beard(easel, person)
        _features(easel, person, turn, light)


def _ear(easel: Easel, side: int, person: Person) -> None:
    skin, x = person.body.skin, side * (person.body.head - 0.005)
    ear = blob(
        [
            (x, -0.06),
            (x + side * 0.05, -0.075),
            (x + side * 0.075, -0.02),
            (x + side * 0.06, 0.08),
            (x + side * 0.02, 0.14),
            (x - side * 0.02, 0.1),
        ]
    )
    easel.fill(ear, mix(skin, blush(skin), 0.25), FACE)
    easel.stroke(
        outline([(x + side * 0.045, -0.04), (x + side * 0.05, 0.03), (x + side * 0.02, 0.08)], closed=False),
        darker(blush(skin), 0.3),
        0.014,
        alpha=0.5,
    )


def _beard(easel: Easel, person: Person) -> None:
    w = person.body.head / 0.365
    colour = person.hair.colour
    outer = [(-0.4 * w, 0.02), (-0.36 * w, 0.3), (-0.2 * w, 0.52), (0.2 * w, 0.52), (0.36 * w, 0.3), (0.4 * w, 0.02)]
    inner = [
        (0.31 * w, 0.06),
        (0.27 * w, 0.2),
        (0.14, 0.245),
        (0.0, 0.235),
        (-0.14, 0.245),
        (-0.27 * w, 0.2),
        (-0.31 * w, 0.06),
    ]
    easel.fill(outline(outer, inner), colour, alpha=0.92)


def _features(easel: Easel, person: Person, turn: float, light: float) -> None:
    face, skin = person.face, person.body.skin
    for side in (1, -1):
        _eye(easel, side * EYE_X + turn, side, face, skin)
        x = side * EYE_X + turn
        brow = outline([(x - side * 0.075, -0.088), (x + side * 0.02, -0.12), (x + side * 0.1, -0.088)], closed=False)
        brow_colour = darker(person.hair.colour, 0.35) if person.hair.style != "bald" else darker(skin, 0.65)
        easel.stroke(brow, brow_colour, face.brow_thickness, alpha=0.9)
    line = darker(blush(skin), 0.35)
    nose = outline(
        [
            (turn * 1.2 - light * 0.028, 0.05),
            (turn * 1.3 - light * 0.05, 0.16),
            (turn * 1.3 - light * 0.035, 0.205),
            (turn * 1.3 + light * 0.03, 0.212),
        ],
        closed=False,
    )
    easel.stroke(nose, line, 0.017, alpha=0.6)
    _mouth(easel, turn * 1.15, face, line)
    if face.glasses:
        _glasses(easel, person, turn)


def _eye(easel: Easel, x: float, side: int, face: Face, skin: str) -> None:
    size = face.eye_scale
    w, h = 0.072 * size, 0.042 * size
    corners = (
        [(x - w, EYE_Y + 0.006), (x, EYE_Y - h), (x + w, EYE_Y)]
        if side > 0
        else [(x - w, EYE_Y), (x, EYE_Y - h), (x + w, EYE_Y + 0.006)]
    )
    eye = outline(corners, [corners[-1], (x, EYE_Y + h * 0.85), corners[0]])
    easel.fill(eye, "#fbf9f6")
    with easel.inside(eye):
        easel.fill(ellipse(x, EYE_Y - 0.002, 0.04 * size, 0.042 * size), face.eye)
        easel.fill(ellipse(x, EYE_Y - 0.002, 0.019 * size, 0.02 * size), "#15100e")
        easel.fill(ellipse(x + 0.014, EYE_Y - 0.016, 0.010, 0.010), "#ffffff")
        easel.stroke(outline(corners, closed=False), SHADE, 0.02, alpha=0.35, soft=0.008)
    easel.stroke(outline(corners, closed=False), "#221812", 0.022 if face.lashes else 0.015)
    if face.lashes:
        tip = corners[-1] if side > 0 else corners[0]
        easel.stroke(outline([tip, (tip[0] + side * 0.022, tip[1] - 0.018)], closed=False), "#221812", 0.014)
    lid = outline([(x - w * 0.8, EYE_Y - h * 1.1), (x, EYE_Y - h * 1.75), (x + w * 0.8, EYE_Y - h * 1.1)], closed=False)
    easel.stroke(lid, darker(blush(skin), 0.4), 0.009, alpha=0.5)


def _mouth(easel: Easel, x: float, face: Face, line: str) -> None:
    lift = face.smile
    left, right = (x - 0.1, MOUTH_Y - lift * 0.6), (x + 0.1, MOUTH_Y - lift * 0.6)
    middle = [(x - 0.05, MOUTH_Y + lift * 0.25), (x, MOUTH_Y + lift * 0.4), (x + 0.05, MOUTH_Y + lift * 0.25)]
    upper = outline(
        [left, (x - 0.035, MOUTH_Y - 0.026), (x, MOUTH_Y - 0.016), (x + 0.035, MOUTH_Y - 0.026), right],
        [right, *middle[::-1], left],
    )
    lower = outline(
        [left, *middle, right],
        [right, (x + 0.045, MOUTH_Y + 0.042 + lift * 0.4), (x - 0.045, MOUTH_Y + 0.042 + lift * 0.4), left],
    )
    easel.fill(lower, lighter(face.lips, 0.12))
    easel.fill(upper, face.lips)
    easel.stroke(outline([left, *middle, right], closed=False), darker(face.lips, 0.55), 0.011, alpha=0.85)
    easel.stroke(
        outline([(x - 0.035, MOUTH_Y + 0.075), (x, MOUTH_Y + 0.083), (x + 0.035, MOUTH_Y + 0.075)], closed=False),
        line,
        0.012,
        alpha=0.3,
    )


def _glasses(easel: Easel, person: Person, turn: float) -> None:
    frame = "#26262c"
    for side in (1, -1):
        lens_path = skia.Path()
        x = side * EYE_X + turn
        lens_path.addRoundRect(skia.Rect.MakeLTRB(x - 0.115, EYE_Y - 0.085, x + 0.115, EYE_Y + 0.095), 0.07, 0.07)
        easel.fill(lens_path, "#ffffff", alpha=0.12)
        easel.stroke(lens_path, frame, 0.018)
        arm = outline([(x + side * 0.115, EYE_Y - 0.02), (side * person.body.head, EYE_Y - 0.01)], closed=False)
        easel.stroke(arm, frame, 0.018)
    easel.stroke(
        outline([(turn - 0.042, EYE_Y - 0.01), (turn, EYE_Y - 0.025), (turn + 0.042, EYE_Y - 0.01)], closed=False),
        frame,
        0.016,
    )
