"""Draws garments at random."""

from __future__ import annotations

from dataclasses import replace

from tryon.studio.easel import darker, lighter, luminance, mix
from tryon.studio.lettering import EMBLEMS, WORDS
from tryon.studio.randomness import Dice
from tryon.studio.specs import Category, Garment, GarmentKind, Neckline, Pattern, PatternKind

CLOTH = (
    "#f4f1ea", "#e9e2d3", "#d8c7a9", "#c9a26b", "#b5714f", "#a8432f", "#c8352f", "#e0654f", "#ef9a8a", "#f4c4bd",
    "#e8b33c", "#f3d97a", "#8aa15a", "#4f7a4f", "#2f5944", "#8fc1b5", "#3d8b8a", "#9cc4de", "#5b8fc4", "#2f5fa5",
    "#24406e", "#1c2740", "#6c5aa5", "#b08cc4", "#7c2f4f", "#d0679c", "#3a3a40", "#6f7278", "#a9abad", "#17171b",
)  # fmt: skip
LOWER = (
    "#24406e", "#3b5f8f", "#6f93b8", "#17171b", "#3a3a40", "#6f7278", "#b59f7e", "#d8c7a9", "#4a4234", "#3d4a36",
    "#efeae0", "#5c2f33",
)  # fmt: skip
TABLES = ("#f4f3f1", "#ffffff", "#efece6", "#f0f2f4", "#f6f0ea")

PATTERNS: tuple[PatternKind, ...] = (
    "plain", "stripes_h", "stripes_v", "check", "dots", "emblem", "lettering", "gradient", "block",
)  # fmt: skip
TOP_WEIGHTS = (1.6, 1.7, 0.8, 1.2, 1.1, 1.3, 1.0, 0.7, 0.8)
DRESS_WEIGHTS = (1.6, 1.3, 0.8, 1.0, 1.6, 0.3, 0.2, 1.2, 0.7)
BOTTOM_WEIGHTS = (3.0, 0.0, 0.8, 0.9, 0.5, 0.0, 0.0, 0.5, 0.0)
NECKLINES: tuple[Neckline, ...] = ("crew", "v", "scoop", "boat", "square", "polo", "shirt", "turtle")
SLEEVELESS_WEIGHTS = (1.0, 1.2, 2.0, 0.8, 1.0, 0.0, 0.0, 0.0)
SLEEVED_WEIGHTS = (4.0, 1.6, 1.2, 0.8, 0.0, 1.2, 1.8, 0.0)
LONG_SLEEVED_WEIGHTS = (4.0, 1.6, 1.2, 0.8, 0.0, 1.2, 1.8, 0.9)
DRESS_NECK_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0)


def sample_garment(seed: int, index: int | str, category: Category, *, purpose: str = "garment") -> Garment:
    """A garment.

    Args:
        seed: of the whole data set.
        index: of the garment.
        category: what it covers.
        purpose: keeps streams apart where one index needs several garments of a category.
    """
    dice = Dice(seed, purpose, category, index)
    wrinkle, backdrop = dice.integer(0, 2**31), dice.pick(TABLES)
    turn_deg, scale = dice.around(0.0, 4.0), dice.between(0.88, 1.0)
    garment = {"up": _top, "down": _bottom, "dress": _dress}[category](dice)
    return replace(garment, wrinkle=wrinkle, backdrop=backdrop, turn_deg=turn_deg, scale=scale)


def _pattern(dice: Dice, weights: tuple[float, ...], palette: tuple[str, ...] = CLOTH) -> Pattern:
    """A pattern whose second and third colour stand off the first and second."""
    kind, base = dice.pick(PATTERNS, weights), dice.pick(palette)
    second = dice.pick([colour for colour in CLOTH if abs(luminance(colour) - luminance(base)) > 0.22])
    third = dice.pick([colour for colour in CLOTH if abs(luminance(colour) - luminance(second)) > 0.18])
    low, high = {
        "stripes_h": (0.16, 0.46),
        "stripes_v": (0.15, 0.36),
        "check": (0.26, 0.56),
        "dots": (0.18, 0.36),
        "emblem": (0.26, 0.44),
        "lettering": (0.24, 0.36),
    }.get(kind, (0.3, 0.3))
    period = dice.between(low, high)
    return Pattern(
        kind,
        (base, mix(second, base, 0.15) if kind == "check" else second, third),
        period=period,
        share=dice.between(0.3, 0.6),
        offset=dice.between(0.0, period),
        emblem=dice.pick(EMBLEMS),
        text=dice.pick(WORDS),
    )


def _trim(dice: Dice, pattern: Pattern) -> str:
    base = pattern.colours[0]
    if dice.chance(0.3) and pattern.kind not in ("check", "stripes_v"):
        return pattern.colours[1]
    return darker(base, 0.14) if luminance(base) > 0.2 else lighter(base, 0.12)


def _neck(dice: Dice, weights: tuple[float, ...]) -> tuple[Neckline, float, float]:
    """A neckline with its half width and depth."""
    kind = dice.pick(NECKLINES, weights)
    wide, narrow = dice.between(0.32, 0.44), dice.between(0.24, 0.3)
    depth = {
        "crew": dice.between(0.12, 0.19),
        "v": dice.between(0.35, 0.6),
        "scoop": dice.between(0.26, 0.42),
        "boat": 0.08,
        "square": dice.between(0.28, 0.4),
        "polo": 0.26,
        "shirt": 0.24,
        "turtle": 0.1,
    }[kind]
    return kind, wide if kind in ("scoop", "boat", "square") else narrow, depth


def _top(dice: Dice) -> Garment:
    pattern = _pattern(dice, TOP_WEIGHTS)
    sleeves = (0.0, dice.between(0.24, 0.36), dice.between(0.45, 0.62), dice.between(0.9, 0.97))
    sleeve = dice.pick(sleeves, (1.2, 3.6, 0.9, 3.2))
    weights = SLEEVELESS_WEIGHTS if sleeve == 0 else LONG_SLEEVED_WEIGHTS if sleeve > 0.8 else SLEEVED_WEIGHTS
    neckline, neck_width, neck_depth = _neck(dice, weights)
    if neckline == "shirt" and pattern.kind in ("emblem", "lettering"):
        pattern = replace(pattern, kind="plain")  # a print would lie across the buttons
    lengths = (dice.between(1.75, 2.0), dice.between(2.1, 2.45), dice.between(2.45, 2.75))
    ease = dice.between(0.02, 0.2)
    is_contrast = pattern.kind in ("plain", "emblem", "lettering", "block", "dots") and sleeve > 0 and dice.chance(0.22)
    return Garment(
        "up",
        "top",
        pattern,
        ease=ease,
        length=dice.pick(lengths, (1, 4, 1.2)),
        flare=dice.between(-0.02, 0.10),
        neckline=neckline,
        neck_width=neck_width,
        neck_depth=neck_depth,
        sleeve=sleeve,
        sleeve_ease=0.02 + ease * dice.between(0.3, 0.6),
        trim=_trim(dice, pattern),
        sleeve_colour=pattern.colours[1] if is_contrast else None,
        pockets=neckline == "shirt" or dice.chance(0.12),
    )


def _bottom(dice: Dice) -> Garment:
    kinds: tuple[GarmentKind, ...] = ("trousers", "shorts", "skirt")
    kind = dice.pick(kinds, (2.4, 1.2, 1.3))
    pattern = _pattern(dice, BOTTOM_WEIGHTS, LOWER + CLOTH[::3])
    length, flare = {
        "trousers": (dice.between(0.88, 0.985), dice.pick((0.0, 0.06, 0.12))),
        "shorts": (dice.between(0.24, 0.46), dice.between(0.0, 0.06)),
        "skirt": (dice.between(3.2, 4.9), dice.between(0.05, 0.6)),
    }[kind]
    return Garment(
        "down",
        kind,
        pattern,
        ease=dice.between(0.02, 0.12),
        length=length,
        flare=flare,
        sleeve=0.0,
        trim=_trim(dice, pattern),
        waistband=dice.between(0.1, 0.17),
        pockets=dice.chance(0.7),
    )


def _dress(dice: Dice) -> Garment:
    pattern = _pattern(dice, DRESS_WEIGHTS)
    sleeve = dice.pick((0.0, dice.between(0.22, 0.36), dice.between(0.9, 0.97)), (2.2, 2, 1))
    neckline, neck_width, neck_depth = _neck(dice, DRESS_NECK_WEIGHTS)
    return Garment(
        "dress",
        "dress",
        pattern,
        ease=dice.between(0.01, 0.07),
        length=dice.between(3.3, 4.9),
        flare=dice.between(0.12, 0.55),
        neckline=neckline,
        neck_width=neck_width,
        neck_depth=neck_depth,
        sleeve=sleeve,
        sleeve_ease=dice.between(0.02, 0.06),
        trim=_trim(dice, pattern),
    )
