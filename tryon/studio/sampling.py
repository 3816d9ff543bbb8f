"""Draws people, garments and scenes at random: every choice follows from (seed, kind, index) alone."""

from __future__ import annotations

from dataclasses import replace

from tryon.studio.easel import mix
from tryon.studio.randomness import Dice
from tryon.studio.specs import (
    ArmKind,
    ArmPose,
    Art,
    Backdrop,
    BackdropKind,
    Body,
    Category,
    Face,
    Front,
    Garment,
    Hair,
    HairStyle,
    Person,
    Pose,
    Scene,
)
from tryon.studio.wardrobe import sample_garment

SKINS = ("#fbdcc8", "#f3c9ab", "#ecb98f", "#dca577", "#c68a5c", "#a66d44", "#845233", "#5f3a26")
HAIRS = ("#1d1714", "#2f211a", "#4b2f1f", "#6d4527", "#93642f", "#c99a4e", "#e2c583", "#a5482a", "#8d8a86", "#d5d0c8")
EYES = ("#5a3a22", "#3c2a1c", "#6a8aa5", "#5f7d55", "#7b6a4a")
WALLS = (
    "#dcd6cc",
    "#c9d3d6",
    "#d9c8bb",
    "#c6cfbf",
    "#b9c3cf",
    "#e6e0d6",
    "#cfc2cf",
    "#a9b3b0",
    "#e3cdb8",
    "#9fa8b5",
    "#f0ece5",
    "#bfa994",
)
FLOORS = ("#a88f78", "#b9a48c", "#8d7964", "#9a9a98", "#c4b7a6", "#7a6a5c")
ACCENTS = ("#8aa0a8", "#c98f6b", "#8f9f7a", "#b57f7f", "#7f86a8", "#d6b26b", "#6f9792")
SHOES = ("#2b2b30", "#f2efe9", "#7a4a2c", "#a8432f", "#24406e", "#8f8578")

BROAD_STYLES: tuple[HairStyle, ...] = ("buzz", "short", "quiff", "curly", "bald", "bun", "long")
BROAD_WEIGHTS = (2.0, 4.0, 3.0, 1.5, 0.6, 0.7, 0.7)
NARROW_STYLES: tuple[HairStyle, ...] = ("long", "wavy", "bob", "ponytail", "bun", "curly", "short")
NARROW_WEIGHTS = (3.0, 3.0, 2.5, 1.5, 1.5, 1.2, 1.0)
BACKDROPS: tuple[BackdropKind, ...] = ("plain", "gradient", "wall", "room", "arch")


def sample_person(seed: int, index: int | str) -> Person:
    """An identity."""
    dice = Dice(seed, "person", index)
    build, weight = dice.around(0.5, 0.5), dice.around(0.35, 0.5)  # 0 narrow … 1 broad; 0 slim … 1 heavy
    body = _body(dice, build, weight)
    colour = dice.pick(HAIRS, (3, 3, 3, 2, 2, 1.5, 1, 1, 0.7, 0.4))
    is_broad = build > 0.5
    style = dice.pick(BROAD_STYLES if is_broad else NARROW_STYLES, BROAD_WEIGHTS if is_broad else NARROW_WEIGHTS)
    fronts: tuple[Front, ...] = ("none", "left", "right", "both")
    front = dice.pick(fronts, (1, 1, 1, 1.6))
    hair = Hair(style, colour, dice.between(-0.16, 0.16), dice.between(0.85, 1.55), front)
    lips = mix(body.skin, dice.pick(("#b04a4a", "#a83f55", "#93413a")), 0.42 if is_broad else 0.68)
    face = Face(
        eye=dice.pick(EYES),
        lips=lips,
        brow_thickness=dice.between(0.018, 0.036),
        eye_scale=dice.between(0.92, 1.15),
        smile=dice.between(-0.005, 0.06),
        beard=is_broad and dice.chance(0.32),
        glasses=dice.chance(0.15),
        lashes=not is_broad and dice.chance(0.8),
        jaw=build * dice.between(0.3, 1.0),
    )
    return Person(body, face, hair, dice.pick(SHOES), dice.pick(("sneaker", "boot"), (2, 1)))


def _body(dice: Dice, build: float, weight: float) -> Body:
    girth = 0.16 * (weight - 0.35)
    tall = dice.around(0.0, 0.09)
    return Body(
        shoulder=0.62 + 0.16 * build + 0.3 * girth + dice.around(0, 0.02),
        chest=0.575 + 0.12 * build + girth,
        waist=0.475 + 0.14 * build + 1.35 * girth + dice.around(0, 0.03),
        hip=0.645 + 0.0 * build + 0.9 * girth + dice.around(0, 0.04),
        neck=0.175 + 0.055 * build + 0.1 * girth,
        torso=2.2 * (1 + 0.4 * tall),
        upper_arm=1.22 * (1 + tall * 0.8),
        forearm=1.0 * (1 + tall * 0.8),
        arm=0.145 + 0.035 * build + 0.16 * girth,
        thigh=0.325 + 0.45 * girth,
        thigh_length=1.62 * (1 + tall),
        shin_length=1.62 * (1 + tall),
        head=0.355 + 0.02 * build + dice.around(0, 0.012),
        skin=dice.pick(SKINS),
    )


def sample_pose(dice: Dice) -> Pose:
    """A standing pose; each arm hangs, lies across the trunk, rests on the hip or is raised."""
    arms = [_arm(dice) for _ in range(2)]
    if arms[0].kind == arms[1].kind == "across":
        arms[1] = replace(arms[1], second=arms[1].second + 0.09)  # one forearm above the other
    return Pose(
        arms[0],
        arms[1],
        lean_deg=dice.around(0.0, 6.0),
        head_deg=dice.around(0.0, 9.0),
        turn=dice.around(0.0, 0.045),
        left_leg_deg=dice.between(1.0, 7.0),
        right_leg_deg=dice.between(1.0, 7.0),
        left_knee_deg=dice.around(0.0, 5.0),
        right_knee_deg=dice.around(0.0, 5.0),
    )


def _arm(dice: Dice) -> ArmPose:
    kinds: tuple[ArmKind, ...] = ("hang", "across", "hip", "raise")
    kind = dice.pick(kinds, (5.0, 2.2, 1.8, 1.2))
    if kind == "hang":
        return ArmPose(kind, dice.between(7.0, 24.0), dice.between(-14.0, 4.0))
    if kind == "across":
        return ArmPose(kind, dice.between(-0.55, 0.25), dice.between(0.5, 0.76))
    if kind == "hip":
        return ArmPose(kind, dice.between(1.08, 1.2), dice.between(0.74, 0.84))
    return ArmPose("raise", dice.between(70.0, 140.0), dice.between(20.0, 80.0))


def sample_backdrop(dice: Dice) -> Backdrop:
    """A studio wall or a room."""
    arts: tuple[Art, ...] = ("sun", "hills", "arches", "lines")
    kind = dice.pick(BACKDROPS, (2, 1.6, 1.6, 1.8, 1))
    return Backdrop(
        kind,
        dice.pick(WALLS),
        dice.pick(FLOORS),
        dice.pick(ACCENTS),
        dice.between(0.8, 0.9),
        dice.pick((1, -1)),
        dice.pick(arts),
        dice.chance(0.6),
    )


def sample_scene(
    seed: int,
    index: int | str,
    *,
    person: Person | None = None,
    garment: Garment | None = None,
    category: Category = "up",
) -> Scene:
    """A photograph.

    Args:
        seed: of the whole data set.
        index: of the photograph.
        person: who; a person of the photograph's own where none is given.
        garment: the garment to show; one of the photograph's own where none is given.
        category: of the photograph's own garment.
    """
    dice = Dice(seed, "scene", index)
    person = person or sample_person(seed, f"scene {index}")
    garment = garment or sample_garment(seed, f"scene {index}", category)
    pose, backdrop = sample_pose(dice), sample_backdrop(dice)
    # Lower clothes, light, zoom … are drawn whatever the garment is: another garment changes nothing else
    lower = sample_garment(seed, index, "down", purpose="lower clothes")
    if dice.chance(0.65):  # most people pair a garment worth showing with plain trousers
        lower = replace(lower, pattern=replace(lower.pattern, kind="plain"))
    upper = sample_garment(seed, index, "up", purpose="upper clothes")
    close = dice.between(1.12, 1.62)
    wide = dice.between(0.98, 1.06)
    folds, tucked = dice.integer(0, 2**31), dice.chance(0.22)
    light, centre = float(dice.pick((-1, 1))), dice.around(0.0, 0.22)
    if backdrop.kind == "room":
        light = float(backdrop.side)  # the window is there
    worn = {"up": (lower, garment), "down": (upper, garment), "dress": (garment,)}[garment.category]
    zoom = close if garment.category == "up" else wide
    return Scene(person, pose, backdrop, worn, folds, tucked, light, zoom, centre)


def in_other_garment(scene: Scene, garment: Garment) -> Scene:
    """The same photograph with the garment of the same category exchanged: the true try-on picture."""
    if not any(worn.category == garment.category for worn in scene.garments):
        raise ValueError(f"nobody wears {garment.category} in this scene, so it cannot be exchanged")
    worn = tuple(garment if old.category == garment.category else old for old in scene.garments)
    return replace(scene, garments=worn)


__all__ = ["in_other_garment", "sample_garment", "sample_person", "sample_pose", "sample_scene"]
