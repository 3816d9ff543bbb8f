"""Draws garments on a posed body: the same code for the shop photo (on the dummy) and for a wearer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from tryon.ontology import LABEL_INDEX
from tryon.studio import folds, patterns, shapes
from tryon.studio.curves import Limb, ellipse, outline
from tryon.studio.easel import Easel, darker, lighter, luminance
from tryon.studio.folds import Drape
from tryon.studio.skeleton import HIP_JOINT, SHOULDER_Y, Skeleton
from tryon.studio.specs import STANDARD_BODY, Garment


class Tailor:
    """One garment made for one posed body."""

    def __init__(self, easel: Easel, garment: Garment, skeleton: Skeleton, drape: Drape, resolution: float) -> None:
        """Measure a body.

        Args:
            easel: where to draw; its coordinates are body units.
            garment: what to draw.
            skeleton: who wears it.
            drape: light and folds.
            resolution: pixels per body unit, which decides how finely the texture is drawn.
        """
        self.easel, self.garment, self.skeleton, self.drape = easel, garment, skeleton, drape
        self.label = LABEL_INDEX[garment.category]
        self._resolution = resolution
        self._cloth = patterns.cloth(garment, resolution)
        self._sleeves = patterns.cloth(garment, resolution, sleeve=True) if garment.sleeve > 0 else self._cloth
        self._line = darker(garment.pattern.colours[0], 0.5)
        self._line_alpha = 0.45 if luminance(garment.pattern.colours[0]) > 0.25 else 0.7

    def _body_cloth(self) -> skia.Shader:
        return patterns.shader(self._cloth, self._resolution, self.skeleton.cloth_matrix())

    def inside_back(self) -> None:
        """The inside of the back, seen through the neck of a shop photo (nobody is in it)."""
        garment, body = self.garment, self.skeleton.body
        if garment.category == "down":
            return
        shape = shapes.top_shape(garment, self.skeleton)
        back = shapes.neckline(garment, body, back=True)
        upper = back + [(-x, y) for x, y in reversed(back[:-1])]
        inner = outline(self.skeleton.torso(upper), self.skeleton.torso(list(reversed(shape.neckline))))
        self.easel.fill(inner, patterns.trim_colour(garment), self.label)
        with self.easel.inside(inner):
            tag = self.skeleton.at(0.0, upper[len(upper) // 2][1] + 0.09)
            label = skia.Path()
            label.addRect(skia.Rect.MakeXYWH(float(tag[0]) - 0.07, float(tag[1]) - 0.05, 0.14, 0.08))
            self.easel.fill(label, "#f3efe8", alpha=0.9)
            self.easel.stroke(outline(self.skeleton.torso(upper), closed=False), garment.trim, 0.07)

    def body(self, *, tucked: bool = False) -> None:
        """The trunk of an upper garment or a dress; a tucked one ends in the lower garment's waistband."""
        if tucked:
            with self.easel.inside(self._above_waistband()):
                self._trunk()
        else:
            self._trunk()

    def _above_waistband(self) -> skia.Path:
        y = shapes.waist_y(self.skeleton.body) + 0.08
        corners = self.skeleton.torso([(-3.0, -2.0), (3.0, -2.0), (3.0, y), (0.0, y + 0.04), (-3.0, y)])
        return skia.Path.Polygon([skia.Point(float(x), float(y)) for x, y in corners], True)

    def _trunk(self) -> None:
        easel, skeleton, drape, garment = self.easel, self.skeleton, self.drape, self.garment
        shape = shapes.top_shape(garment, skeleton)
        easel.fill(shape.path, self._body_cloth(), self.label)
        bottom = max(y for _, y in shape.hem)
        with easel.inside(shape.path):
            self._chest_details(shape, bottom)
            folds.shade_torso(easel, skeleton, drape, bottom)
            folds.torso_folds(easel, skeleton, drape, bottom)
            hem = skeleton.torso([(x, y - 0.07) for x, y in shape.hem])
            easel.stroke(outline(hem, closed=False), self._line, 0.012, alpha=self._line_alpha)
            if garment.sleeve == 0:
                for side in (1, -1):
                    edge = skeleton.torso([(side * x, y) for x, y in shape.armhole])
                    easel.stroke(outline(edge, closed=False), garment.trim, 0.07)
            self._neck_trim(shape)
        easel.stroke(shape.path, self._line, 0.014, alpha=0.35)

    def _neck_trim(self, shape: shapes.TopShape) -> None:
        easel, skeleton, garment = self.easel, self.skeleton, self.garment
        line = outline(skeleton.torso(shape.neckline), closed=False)
        if garment.neckline == "turtle":
            low = [(x * 1.15, y + 0.2) for x, y in shape.neckline]
            easel.stroke(outline(skeleton.torso(low), closed=False), self._line, 0.02, alpha=0.5, soft=0.01)
            return
        if garment.neckline in ("polo", "shirt"):
            return  # the collar lies over the neck and is drawn later
        easel.stroke(line, garment.trim, 0.13 if garment.neckline in ("crew", "scoop") else 0.09)
        inner = skeleton.torso([(x * 1.14, y + 0.065) for x, y in shape.neckline])
        easel.stroke(outline(inner, closed=False), self._line, 0.01, alpha=0.5)

    def _chest_details(self, shape: shapes.TopShape, bottom: float) -> None:
        easel, skeleton, garment = self.easel, self.skeleton, self.garment
        if garment.neckline in ("polo", "shirt"):
            low = bottom if garment.neckline == "shirt" else 0.85
            strip = outline(skeleton.torso([(-0.07, 0.0), (-0.07, low)]), skeleton.torso([(0.07, low), (0.07, 0.0)]))
            easel.fill(strip, darker(garment.pattern.colours[0], 0.3), alpha=0.10)
            for x in (-0.07, 0.07):
                easel.stroke(outline(skeleton.torso([(x, 0.0), (x, low)]), closed=False), self._line, 0.012, alpha=0.5)
            for y in np.arange(0.32, low - 0.08, 0.33 if garment.neckline == "shirt" else 0.24):
                button = skeleton.at(0.0, float(y))
                dot = ellipse(float(button[0]), float(button[1]), 0.028, 0.028)
                easel.fill(dot, lighter(garment.trim, 0.35))
                easel.stroke(dot, self._line, 0.008, alpha=0.7)
        if garment.pockets:
            pocket = [(0.2, 0.78), (0.5, 0.78), (0.5, 1.08), (0.35, 1.15), (0.2, 1.08)]
            path = outline(*[[a, b] for a, b in zip(pocket, pocket[1:] + pocket[:1], strict=True)])
            path.transform(skeleton.cloth_matrix())
            easel.fill(path, self._line, alpha=0.08)
            easel.stroke(path, self._line, 0.014, alpha=0.55)

    def collar(self) -> None:
        """A folded collar over the neck, after head and neck are drawn below it."""
        garment, skeleton, easel = self.garment, self.skeleton, self.easel
        if garment.neckline not in ("polo", "shirt"):
            return
        body = skeleton.body
        width = max(garment.neck_width, body.neck + 0.03)
        top, depth = shapes.neck_y(body, width), garment.neck_depth
        for side in (1, -1):
            flap = [(width + 0.02, top - 0.06), (width + 0.12, top + 0.08), (width * 0.78, top + depth + 0.17)]
            inner = [
                (width * 0.78, top + depth + 0.17),
                (0.0, top + depth),
                (width * 0.5, top + depth * 0.5),
                (width + 0.02, top - 0.06),
            ]
            path = outline(
                skeleton.torso([(side * x, y) for x, y in flap]),
                *[
                    skeleton.torso([(side * a[0], a[1]), (side * b[0], b[1])])
                    for a, b in zip(inner, inner[1:], strict=False)
                ],
            )
            if garment.neckline == "polo":
                easel.fill(path, garment.trim, self.label)
            else:
                easel.fill(path, self._body_cloth(), self.label)
            easel.stroke(path, self._line, 0.014, alpha=0.55)

    def sleeve(self, side: int) -> None:
        """The sleeve of one arm, over the bare arm."""
        garment, skeleton, easel = self.garment, self.skeleton, self.easel
        if garment.sleeve <= 0:
            return
        is_long = garment.sleeve > 0.8
        limb = skeleton.arm(side, ease=garment.sleeve_ease, flare=0.0 if is_long else garment.sleeve_ease * 0.6)
        end = shapes.sleeve_end(garment, skeleton, side)
        path = limb.tube(0.0, end, bulge=0.02)
        stretch = self._arm_stretch(limb.length)
        mesh = limb.mesh(-0.25, end + 0.05, lambda a, s: (side * STANDARD_BODY.shoulder + a, SHOULDER_Y + s * stretch))
        easel.cover(path, mesh, patterns.shader(self._sleeves, self._resolution), self.label)
        with easel.inside(path):
            folds.shade_limb(easel, limb, self.drape, 0.0, end)
            folds.limb_folds(easel, limb, self.drape, f"arm {side}", 0.0, end)
            self._cuff(limb, end, is_long)
        armhole = skeleton.torso(
            [
                (side * (skeleton.body.shoulder - 0.02), SHOULDER_Y - 0.2),
                (side * (skeleton.body.shoulder + 0.0), 0.3),
                (side * (skeleton.body.chest + garment.ease * 0.3), 0.62),
            ]
        )
        with easel.inside(path):
            easel.stroke(outline(armhole, closed=False), self._line, 0.014, alpha=0.4)
        self._open_edge(limb, end)

    def _open_edge(self, limb: Limb, end: float) -> None:
        """The outline of the sleeve below the shoulder, so that it stands off the trunk."""
        for sign in (1, -1):
            places = [limb.point(float(d), sign * limb.radius(float(d))) for d in np.linspace(0.3, end, 10) if d <= end]
            if len(places) > 1:
                self.easel.stroke(outline(np.array(places), closed=False), self._line, 0.012, alpha=0.3)

    def _cuff(self, limb: Limb, end: float, is_long: bool) -> None:
        wide, width = limb.radius(end) + 0.05, 0.17 if is_long else 0.08
        edge = [
            limb.point(end - width, wide),
            limb.point(end - width, -wide),
            limb.point(end + 0.06, -wide),
            limb.point(end + 0.06, wide),
        ]
        path = skia.Path.Polygon([skia.Point(float(x), float(y)) for x, y in edge], True)
        if self.garment.trim != self.garment.pattern.colours[0] and self.garment.neckline not in ("shirt",):
            self.easel.fill(path, self.garment.trim, alpha=0.95)
        line = np.array(
            [limb.point(end - width, wide), limb.point(end - width + 0.012, 0.0), limb.point(end - width, -wide)]
        )
        self.easel.stroke(outline(line, closed=False), self._line, 0.014, alpha=0.5)

    @staticmethod
    def _arm_stretch(length: float) -> float:
        """A sleeve's cloth stretches with the arm that wears it."""
        return (STANDARD_BODY.upper_arm + STANDARD_BODY.forearm) / length

    def bottoms(self) -> None:
        """Trousers, shorts or a skirt."""
        easel, skeleton, drape, garment = self.easel, self.skeleton, self.drape, self.garment
        shape = shapes.bottom_shape(garment, skeleton)
        if garment.kind != "skirt":
            for side in (-1, 1):
                self._trouser_leg(side)
        easel.fill(shape.path, self._body_cloth(), self.label)
        with easel.inside(shape.path):
            folds.shade_torso(
                easel,
                skeleton,
                Drape(drape.seed, drape.light, drape.strength * (1.0 if garment.kind == "skirt" else 0.6)),
                skeleton.body.torso + 3,
            )
            if garment.kind == "skirt":
                folds.skirt_folds(easel, skeleton, drape, shape.top_y, max(y for _, y in shape.hem))
                hem = skeleton.torso([(x, y - 0.08) for x, y in shape.hem])
                easel.stroke(outline(hem, closed=False), self._line, 0.012, alpha=self._line_alpha)
            else:
                self._fly(shape)
            band = skeleton.torso([(x, y + garment.waistband / 2) for x, y in shape.waist])
            easel.stroke(outline(band, closed=False), garment.trim, garment.waistband)
            low = skeleton.torso([(x, y + garment.waistband) for x, y in shape.waist])
            easel.stroke(outline(low, closed=False), self._line, 0.014, alpha=0.6)
        if garment.kind == "skirt":
            easel.stroke(shape.path, self._line, 0.014, alpha=0.35)

    def _fly(self, shape: shapes.BottomShape) -> None:
        easel, skeleton, torso = self.easel, self.skeleton, self.skeleton.body.torso
        dice_folds = [((0.05, 0.3), (0.42, 0.1)), ((0.03, 0.34), (0.3, 0.42)), ((0.1, 0.22), (0.5, 0.3))]
        for side in (1, -1):
            for (x0, y0), (x1, y1) in dice_folds:
                folds.crease(
                    easel,
                    skeleton.at(side * x0, torso + y0),
                    skeleton.at(side * x1, torso + y1),
                    side * 0.04,
                    0.025,
                    0.2 * self.drape.strength,
                    self.drape.light,
                )
        line = skeleton.torso([(0.0, shape.top_y), (0.012, torso), (0.0, torso + shapes.CROTCH)])
        easel.stroke(outline(line, closed=False), self._line, 0.016, alpha=0.6)
        if self.garment.pockets:
            for side in (1, -1):
                wide = shapes.half_width(skeleton.body, shape.top_y + 0.45)
                pocket = skeleton.torso(
                    [
                        (side * wide * 0.55, shape.top_y + 0.12),
                        (side * wide * 0.7, shape.top_y + 0.32),
                        (side * wide * 1.05, shape.top_y + 0.42),
                    ]
                )
                easel.stroke(outline(pocket, closed=False), self._line, 0.018, alpha=0.6)

    def _leg_texture(self, limb: Limb, side: int) -> Callable[[float, float], tuple[float, float]]:
        """Cloth coordinates on a leg: at the hip those of the trunk, so that the seam vanishes, below along the leg."""
        stretch = (STANDARD_BODY.thigh_length + STANDARD_BODY.shin_length) / limb.length
        middle = side * STANDARD_BODY.hip * HIP_JOINT
        to_cloth = skia.Matrix()
        if not self.skeleton.cloth_matrix().invert(to_cloth):
            raise AssertionError("a body has a width and a height")

        def texture(across: float, distance: float) -> tuple[float, float]:
            place = limb.point(distance, -across)
            trunk = to_cloth.mapXY(float(place[0]), float(place[1]))
            own = min(max((distance - 0.1) / 0.7, 0.0), 1.0)
            x, y = middle + across, STANDARD_BODY.torso + distance * stretch
            return trunk.x() + (x - trunk.x()) * own, trunk.y() + (y - trunk.y()) * own

        return texture

    def _trouser_leg(self, side: int) -> None:
        easel, skeleton, garment = self.easel, self.skeleton, self.garment
        limb = skeleton.leg(side, ease=garment.ease, flare=garment.flare)
        end = shapes.leg_end(garment, skeleton, side)
        path = limb.tube(0.0, end, bulge=0.025)
        mesh = limb.mesh(-0.3, end + 0.06, self._leg_texture(limb, side))
        easel.cover(path, mesh, patterns.shader(self._cloth, self._resolution), self.label)
        with easel.inside(path):
            folds.shade_limb(easel, limb, self.drape, 0.0, end)
            folds.limb_folds(easel, limb, self.drape, f"leg {side}", 0.0, end)
            wide = limb.radius(end) + 0.05
            line = np.array([limb.point(end - 0.08, wide), limb.point(end - 0.06, 0.0), limb.point(end - 0.08, -wide)])
            easel.stroke(outline(line, closed=False), self._line, 0.014, alpha=0.6)
        self._open_edge(limb, end)
