"""What the studio can draw, as plain frozen values: bodies, poses, faces, hair, garments, backdrops, scenes.

Units: one body unit is one head height; x grows to the image's right, y downwards. `left` is the person's own
left, which faces the image's right. Colours are "#rrggbb".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Category = Literal["up", "down", "dress"]
GarmentKind = Literal["top", "trousers", "shorts", "skirt", "dress"]
PatternKind = Literal["plain", "stripes_h", "stripes_v", "check", "dots", "emblem", "lettering", "gradient", "block"]
Neckline = Literal["crew", "v", "scoop", "boat", "square", "polo", "shirt", "turtle"]
HairStyle = Literal["bald", "buzz", "short", "quiff", "bob", "long", "wavy", "curly", "bun", "ponytail"]
BackdropKind = Literal["plain", "gradient", "wall", "room", "arch"]
ArmKind = Literal["hang", "raise", "across", "hip"]
Art = Literal["sun", "hills", "arches", "lines"]
Front = Literal["none", "left", "right", "both"]
Colour = str


@dataclass(frozen=True)
class Body:
    """Proportions in body units (half widths where a width is meant) and the skin."""

    shoulder: float = 0.68  # neck centre to shoulder joint
    chest: float = 0.64
    waist: float = 0.55
    hip: float = 0.66
    neck: float = 0.21
    torso: float = 2.2  # neck base to hip line
    upper_arm: float = 1.22
    forearm: float = 1.0
    arm: float = 0.165  # radius at the shoulder
    thigh: float = 0.33  # radius at the hip
    thigh_length: float = 1.62
    shin_length: float = 1.62
    head: float = 0.365
    skin: Colour = "#e8b896"


STANDARD_BODY = Body()
"""The dummy on which a shop photo's garment is cut; textures are measured on it."""


@dataclass(frozen=True)
class ArmPose:
    """`hang` and `raise`: two angles in degrees (upper arm outward from straight down, then the forearm's own).

    `across` and `hip`: the wrist's place in torso coordinates, as shares of the body's half waist and torso.
    """

    kind: ArmKind
    first: float
    second: float


@dataclass(frozen=True)
class Pose:
    """How a body stands."""

    left_arm: ArmPose
    right_arm: ArmPose
    lean_deg: float = 0.0  # torso about the hips
    head_deg: float = 0.0
    turn: float = 0.0  # face features to the image's right, in body units
    left_leg_deg: float = 5.0
    right_leg_deg: float = 5.0
    left_knee_deg: float = 0.0
    right_knee_deg: float = 0.0


@dataclass(frozen=True)
class Face:
    """Features of a face."""

    eye: Colour = "#5a3a22"
    lips: Colour = "#b5645a"
    brow_thickness: float = 0.024
    eye_scale: float = 1.0
    smile: float = 0.03
    beard: bool = False
    glasses: bool = False
    lashes: bool = False
    jaw: float = 0.0  # 0 narrow … 1 square


@dataclass(frozen=True)
class Hair:
    """A hair style."""

    style: HairStyle
    colour: Colour = "#4a3020"
    part: float = 0.1  # place of the parting, in body units
    length: float = 1.2  # of long styles, below the head's centre
    front: Front = "none"  # strands that fall over the shoulder


@dataclass(frozen=True)
class Pattern:
    """What is printed on or woven into the cloth; lengths in body units on the standard body."""

    kind: PatternKind
    colours: tuple[Colour, Colour, Colour]
    period: float = 0.3
    share: float = 0.5  # of the period that the second colour takes
    offset: float = 0.0
    emblem: str = "circle"
    text: str = ""


@dataclass(frozen=True)
class Garment:
    """A garment, independent of who wears it."""

    category: Category
    kind: GarmentKind
    pattern: Pattern
    ease: float = 0.08  # cloth beyond the body, per side
    length: float = 2.3  # torso coordinate of the hem; for trousers the share of the leg
    flare: float = 0.0  # extra half width at the hem
    neckline: Neckline = "crew"
    neck_width: float = 0.3
    neck_depth: float = 0.16
    sleeve: float = 0.3  # share of the arm; 0 = sleeveless
    sleeve_ease: float = 0.06
    trim: Colour = "#333333"
    sleeve_colour: Colour | None = None  # plain contrast sleeves
    waistband: float = 0.12
    pockets: bool = False
    wrinkle: int = 0  # seed of the creases in the shop photo
    backdrop: Colour = "#f4f3f1"  # of the shop photo
    turn_deg: float = 0.0  # how the garment lies in the shop photo
    scale: float = 1.0


@dataclass(frozen=True)
class Person:
    """An identity: what stays the same in all photos of one human."""

    body: Body
    face: Face
    hair: Hair
    shoes: Colour = "#2b2b30"
    shoe_kind: Literal["sneaker", "boot"] = "sneaker"


@dataclass(frozen=True)
class Backdrop:
    """What stands behind the person."""

    kind: BackdropKind
    wall: Colour = "#d9d4cc"
    floor: Colour = "#a88f78"
    accent: Colour = "#8aa0a8"
    horizon: float = 0.85  # height of the floor line as a share of the picture
    side: int = 1  # of window and plant: 1 the image's right; light comes from the window
    art: Art = "sun"
    has_plant: bool = True


@dataclass(frozen=True)
class Scene:
    """A photograph of a person: who, how, where, and in what."""

    person: Person
    pose: Pose
    backdrop: Backdrop
    garments: tuple[Garment, ...]  # from the skin outwards; exactly one of them is from the catalogue
    folds: int  # seed of the folds: they belong to the photograph, not to the garment
    tucked: bool = False  # the upper garment inside the lower one
    light: float = -1.0  # -1 from the image's left, 1 from the right
    zoom: float = 1.0  # 1 = whole figure
    centre: float = 0.0  # shift of the figure to the right, in body units
