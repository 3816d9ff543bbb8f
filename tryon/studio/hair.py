"""Hair: what lies behind head and body, what lies over the head, and strands that fall over the shoulders."""

from __future__ import annotations

import math

import skia

from tryon.ontology import LABEL_INDEX
from tryon.studio.curves import blob, outline
from tryon.studio.easel import Easel, darker, lighter
from tryon.studio.randomness import Dice
from tryon.studio.skeleton import Skeleton
from tryon.studio.specs import Person

HAIR = LABEL_INDEX["hair"]
LONG = ("long", "wavy", "ponytail")

Point = tuple[float, float]


def draw_back(easel: Easel, skeleton: Skeleton, person: Person) -> None:
    """Hair behind the head and the shoulders."""
    hair, w = person.hair, person.body.head / 0.365
    shade = darker(hair.colour, 0.28)
    with easel.moved(skeleton.head_matrix):
        if hair.style in ("long", "wavy"):
            low = hair.length
            wave = 0.05 if hair.style == "wavy" else 0.0
            side = [
                (0.3 * w, -0.45),
                (0.44 * w, -0.2),
                (0.46 * w, 0.15),
                (0.5 * w + wave, 0.5),
                (0.5 * w - wave, 0.8),
                (0.48 * w + wave, low),
            ]
            easel.fill(_both_sides(side, [(0.2, low + 0.08)]), shade, HAIR)
        elif hair.style == "bob":
            side = [(0.3 * w, -0.48), (0.47 * w, -0.2), (0.5 * w, 0.15), (0.47 * w, 0.42)]
            easel.fill(_both_sides(side, [(0.2, 0.5)]), shade, HAIR)
        elif hair.style == "bun":
            easel.fill(
                blob([(-0.2, -0.62), (0.0, -0.8), (0.2, -0.62), (0.16, -0.44), (-0.16, -0.44)]), hair.colour, HAIR
            )
        elif hair.style == "curly":
            _curls(easel, hair.colour, w)


def _both_sides(right: list[Point], bottom: list[Point]) -> skia.Path:
    mirrored = [(-x, y) for x, y in reversed(right)]
    low = bottom + [(-x, y) for x, y in reversed(bottom)]
    return outline([mirrored[-1], *right], [right[-1], *low, mirrored[0]], mirrored)


def _curls(easel: Easel, colour: str, w: float) -> None:
    path = skia.Path()
    path.addCircle(0.0, -0.17, 0.47 * w)
    for k in range(15):
        angle = math.pi * (0.86 + 1.28 * k / 14)
        path.addCircle(0.47 * w * math.cos(angle), -0.14 + 0.5 * math.sin(angle), 0.14)
    easel.fill(path, darker(colour, 0.08), HAIR)
    dice = Dice("curls")
    for _ in range(26):
        x, y = dice.between(-0.55, 0.55), dice.between(-0.72, 0.05)
        ring = outline([(x - 0.035, y), (x, y - 0.04), (x + 0.035, y)], closed=False)
        if (x / 0.58) ** 2 + ((y + 0.17) / 0.55) ** 2 < 1:
            easel.stroke(ring, lighter(colour, 0.25), 0.018, alpha=0.35)


def draw_top(easel: Easel, skeleton: Skeleton, person: Person) -> None:
    """Hair on top of the head and beside the face."""
    hair = person.hair
    if hair.style == "bald":
        return
    with easel.moved(skeleton.head_matrix):
        path = _top_path(person)
        easel.fill(path, hair.colour, HAIR)
        with easel.inside(path):
            _shine(easel, hair.colour, hair.part)
        easel.stroke(path, darker(hair.colour, 0.5), 0.012, alpha=0.35)


def _top_path(person: Person) -> skia.Path:
    hair, w, part = person.hair, person.body.head / 0.365, person.hair.part
    if hair.style == "buzz":
        return _cap(
            w,
            0.52,
            0.375,
            -0.02,
            [(0.32 * w, -0.05), (0.3 * w, -0.24), (0.12, -0.3), (-0.12, -0.3), (-0.3 * w, -0.24), (-0.32 * w, -0.05)],
        )
    if hair.style == "curly":
        return _cap(
            w,
            0.6,
            0.42,
            -0.02,
            [
                (0.34 * w, -0.06),
                (0.3 * w, -0.2),
                (0.15, -0.27),
                (0.0, -0.24),
                (-0.15, -0.27),
                (-0.3 * w, -0.2),
                (-0.34 * w, -0.06),
            ],
        )
    if hair.style == "short":
        return _cap(
            w,
            0.58,
            0.405,
            0.0,
            [
                (0.345 * w, -0.03),
                (0.32 * w, -0.2),
                (part + 0.1, -0.3),
                (part - 0.12, -0.2),
                (-0.28 * w, -0.22),
                (-0.345 * w, -0.03),
            ],
        )
    if hair.style == "quiff":
        return outline(
            [
                (0.385 * w, 0.0),
                (0.4 * w, -0.25),
                (0.36 * w, -0.5),
                (0.12, -0.68),
                (-0.18, -0.66),
                (-0.38 * w, -0.48),
                (-0.4 * w, -0.22),
                (-0.385 * w, 0.0),
            ],
            [
                (-0.385 * w, 0.0),
                (-0.335 * w, -0.12),
                (-0.27 * w, -0.3),
                (-0.05, -0.36),
                (0.2, -0.33),
                (0.3 * w, -0.22),
                (0.335 * w, -0.1),
                (0.385 * w, 0.0),
            ],
        )
    if hair.style in ("bun", "ponytail"):
        return _cap(
            w,
            0.545,
            0.385,
            0.02,
            [(0.345 * w, -0.02), (0.31 * w, -0.2), (part, -0.35), (-0.31 * w, -0.2), (-0.345 * w, -0.02)],
        )
    low = 0.42 if hair.style == "bob" else 0.55
    return outline(
        [
            (0.44 * w, low),
            (0.475 * w, 0.1),
            (0.45 * w, -0.25),
            (0.3 * w, -0.5),
            (0.0, -0.59),
            (-0.3 * w, -0.5),
            (-0.45 * w, -0.25),
            (-0.475 * w, 0.1),
            (-0.44 * w, low),
        ],
        [(-0.44 * w, low), (-0.345 * w, 0.24), (-0.33 * w, 0.0), (-0.22 * w, -0.2), (part, -0.36)],
        [(part, -0.36), (0.22 * w, -0.2), (0.33 * w, 0.0), (0.345 * w, 0.24), (0.44 * w, low)],
    )


def _cap(w: float, top: float, side: float, low: float, hairline: list[Point]) -> skia.Path:
    """Hair that ends at the ears: from ear to ear over the top, back along the hairline."""
    over = [
        (side * w, low),
        (side * 1.02 * w, -0.22),
        (0.3 * w, -top * 0.86),
        (0.0, -top),
        (-0.3 * w, -top * 0.86),
        (-side * 1.02 * w, -0.22),
        (-side * w, low),
    ]
    return outline(over, hairline[::-1])


def _shine(easel: Easel, colour: str, part: float) -> None:
    bright, dark = lighter(colour, 0.35), darker(colour, 0.45)
    for k in range(5):
        x = -0.36 + 0.17 * k
        strand = outline(
            [(part, -0.46), (x * 0.9 + part * 0.2, -0.38), (x * 1.1, -0.12), (x * 1.15, 0.3)], closed=False
        )
        easel.stroke(strand, bright if k % 2 else dark, 0.022, alpha=0.30, soft=0.006)
    easel.stroke(
        outline([(-0.3, -0.36), (-0.08, -0.47), (0.16, -0.46)], closed=False), bright, 0.06, alpha=0.28, soft=0.03
    )


def draw_strands(easel: Easel, skeleton: Skeleton, person: Person) -> None:
    """Long hair that falls in front of the shoulders, over the clothes."""
    hair, w = person.hair, person.body.head / 0.365
    if hair.style not in LONG or hair.front == "none":
        return
    sides = {"left": (1,), "right": (-1,), "both": (1, -1)}[hair.front]
    with easel.moved(skeleton.head_matrix):
        for side in sides:
            for path in _strand(hair.style, side, hair.length, w):
                easel.fill(path, hair.colour, HAIR)
                with easel.inside(path):
                    for k in range(3):
                        x = side * (0.3 + 0.09 * k) * w
                        line = outline(
                            [(x, 0.0), (x + side * 0.03, 0.5), (x - side * 0.03, hair.length + 0.1)], closed=False
                        )
                        easel.stroke(
                            line, lighter(hair.colour, 0.3) if k % 2 else darker(hair.colour, 0.4), 0.02, alpha=0.35
                        )
                easel.stroke(path, darker(hair.colour, 0.5), 0.012, alpha=0.35)


def _strand(style: str, side: int, low: float, w: float) -> list[skia.Path]:
    wave = 0.06 if style == "wavy" else 0.015
    if style == "ponytail":
        outer = [(0.3 * w, 0.3), (0.46 * w, 0.5), (0.5 * w, 0.8), (0.4 * w, low)]
        inner = [(0.4 * w, low), (0.28 * w, 0.85), (0.22 * w, 0.55), (0.3 * w, 0.3)]
    else:
        outer = [
            (0.44 * w, 0.1),
            (0.49 * w + wave, 0.45),
            (0.5 * w - wave, 0.75),
            (0.49 * w + wave, low - 0.15),
            (0.36 * w, low + 0.08),
        ]
        inner = [
            (0.36 * w, low + 0.08),
            (0.27 * w + wave, low - 0.2),
            (0.24 * w - wave, 0.8),
            (0.29 * w + wave, 0.5),
            (0.345 * w, 0.1),
        ]
    return [outline([(side * x, y) for x, y in outer], [(side * x, y) for x, y in inner])]
