"""Paths from points: smooth outlines, limbs of varying thickness, and the meshes that bend cloth with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import skia

Points = Sequence[Sequence[float]] | np.ndarray


def outline(*segments: Points, closed: bool = True) -> skia.Path:
    """A path through smooth segments that meet in corners.

    Args:
        segments: point lists [N, 2]; inside a segment the curve is smooth (Catmull-Rom), between segments it
            is joined by a straight line (of no length where they share a point).
        closed: join the last point with the first.
    """
    path = skia.Path()
    for index, segment in enumerate(segments):
        points_N2 = np.asarray(segment, dtype=np.float64)
        first = points_N2[0].tolist()
        if index == 0:
            path.moveTo(*first)
        else:
            path.lineTo(*first)
        _spline(path, points_N2)
    if closed:
        path.close()
    return path


def blob(points: Points) -> skia.Path:
    """A closed path that is smooth everywhere."""
    points_N2 = np.asarray(points, dtype=np.float64)
    path = skia.Path()
    path.moveTo(*points_N2[0].tolist())
    _cubics(path, np.concatenate([points_N2[-1:], points_N2, points_N2[:2]]))
    path.close()
    return path


def _spline(path: skia.Path, points_N2: np.ndarray) -> None:
    """Continue a path, which stands on the first point, smoothly through the others."""
    if len(points_N2) == 2:
        path.lineTo(*points_N2[1].tolist())
    elif len(points_N2) > 2:
        _cubics(path, np.concatenate([points_N2[:1], points_N2, points_N2[-1:]]))


def _cubics(path: skia.Path, points_N2: np.ndarray) -> None:
    """Catmull-Rom through all points but the first and the last, as Bézier pieces."""
    tangents_N2 = (points_N2[2:] - points_N2[:-2]) / 6.0
    ends_N2 = points_N2[2:-1]
    pieces = np.concatenate([points_N2[1:-2] + tangents_N2[:-1], ends_N2 - tangents_N2[1:], ends_N2], axis=1)
    for piece in pieces.tolist():
        path.cubicTo(*piece)


def lens(
    start: Sequence[float] | np.ndarray, end: Sequence[float] | np.ndarray, bend: float, thickness: float
) -> skia.Path:
    """A sickle from `start` to `end`, bent sideways by `bend` and `thickness` wide in the middle: one fold."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    along = b - a
    normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
    middle = (a + b) / 2 + normal * bend
    path = skia.Path()
    path.moveTo(*map(float, a))
    path.quadTo(*map(float, (*(middle + normal * thickness), *b)))
    path.quadTo(*map(float, (*(middle - normal * thickness), *a)))
    path.close()
    return path


def ellipse(x: float, y: float, half_width: float, half_height: float) -> skia.Path:
    """An axis-parallel ellipse."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - half_width, y - half_height, x + half_width, y + half_height))
    return path


class Limb:
    """A chain of straight bones with a thickness along it: an arm, a leg, or the cloth around one.

    Distances along the limb are measured from its first joint in body units.
    """

    def __init__(self, joints_N2: np.ndarray, knots: Sequence[tuple[float, float]]) -> None:
        """Make a limb.

        Args:
            joints_N2: joints in order, [N, 2].
            knots: (distance, radius) pairs, rising; the radius runs smoothly between them.
        """
        self.joints_N2 = np.asarray(joints_N2, dtype=np.float64)
        self._bones = np.diff(self.joints_N2, axis=0)
        self._lengths = np.hypot(self._bones[:, 0], self._bones[:, 1])
        self._starts = np.concatenate([[0.0], np.cumsum(self._lengths)])
        self._at = [knot[0] for knot in knots]
        self._radii = [knot[1] for knot in knots]

    @property
    def length(self) -> float:
        """Length of the whole chain."""
        return float(self._starts[-1])

    def radius(self, distance: float) -> float:
        """Half thickness at a distance, eased between the knots."""
        at, radii = self._at, self._radii
        if distance <= at[0]:
            return radii[0]
        for i in range(1, len(at)):
            if distance <= at[i]:
                share = (distance - at[i - 1]) / (at[i] - at[i - 1])
                share = share * share * (3 - 2 * share)
                return radii[i - 1] + (radii[i] - radii[i - 1]) * share
        return radii[-1]

    def direction(self, distance: float) -> np.ndarray:
        """Unit vector along the bone at a distance."""
        bone = self._bone(distance)
        direction: np.ndarray = self._bones[bone] / self._lengths[bone]
        return direction

    def point(self, distance: float, across: float = 0.0) -> np.ndarray:
        """Place at a distance, `across` units to the image's left of a limb that points down."""
        bone = self._bone(distance)
        direction = self.direction(distance)
        normal = np.array([-direction[1], direction[0]])
        place: np.ndarray = self.joints_N2[bone] + direction * (distance - self._starts[bone]) + normal * across
        return place

    def _bone(self, distance: float) -> int:
        return min(int(np.searchsorted(self._starts[1:], distance, side="left")), len(self._lengths) - 1)

    def tube(self, start: float, end: float, *, round_start: bool = True, bulge: float = 0.0) -> skia.Path:
        """Outline from one distance to another; joints are round, the end is flat (or bulges outwards).

        All parts turn the same way round: with the winding rule a part turning the other way would cut a hole.
        """
        path = skia.Path()
        for bone in range(len(self._lengths)):
            low, high = max(start, self._starts[bone]), min(end, self._starts[bone + 1])
            if high <= low:
                continue
            is_last = end <= self._starts[bone + 1] + 1e-9
            self._segment(path, bone, low, high, bulge if is_last else 0.0)
            if bone > 0 and low == self._starts[bone]:
                joint = self.joints_N2[bone]
                path.addCircle(float(joint[0]), float(joint[1]), self.radius(float(low)))
        if round_start:
            first = self.point(start)
            path.addCircle(float(first[0]), float(first[1]), self.radius(start))
        return path

    def _segment(self, path: skia.Path, bone: int, low: float, high: float, bulge: float) -> None:
        direction = self._bones[bone] / self._lengths[bone]
        normal = np.array([-direction[1], direction[0]])
        origin = self.joints_N2[bone] - direction * self._starts[bone]
        distances = np.linspace(low, high, 9)
        radii = np.array([self.radius(float(d)) for d in distances])
        centres_N2 = origin + distances[:, None] * direction
        one_N2, two_N2 = centres_N2 - normal * radii[:, None], centres_N2 + normal * radii[:, None]
        tip = centres_N2[-1] + direction * bulge
        end = [one_N2[-1], tip, two_N2[-1]] if bulge else [one_N2[-1], two_N2[-1]]
        # one side down, across the end, the other side up: clockwise on screen like skia's circles
        path.addPath(outline(one_N2, end, two_N2[::-1]))

    def mesh(self, start: float, end: float, texture: Callable[[float, float], tuple[float, float]]) -> skia.Vertices:
        """Triangles that carry a texture along the limb.

        Args:
            start: first distance.
            end: last distance.
            texture: (across, distance) in body units → coordinates in the texture.
        """
        inner = [float(s) for s in self._starts[1:-1] if start < s < end]
        cuts = sorted({start, end, *np.linspace(start, end, 14).tolist(), *inner})
        positions: list[skia.Point] = []
        coordinates: list[skia.Point] = []
        for distance in cuts:
            half = self.radius(distance) * 1.35 + 0.03
            normal = self._normal(distance)
            centre = self.point(distance)
            for across in (-half, half):
                place = centre + normal * across
                positions.append(skia.Point(float(place[0]), float(place[1])))
                coordinates.append(skia.Point(*texture(-across, distance)))
        return skia.Vertices(skia.Vertices.kTriangleStrip_VertexMode, positions, coordinates)

    def _normal(self, distance: float) -> np.ndarray:
        """Across the limb; at a joint half-way between its two bones, so that the mesh bends without a gap."""
        for bone in range(1, len(self._lengths)):
            if abs(distance - self._starts[bone]) < 1e-9:
                both = self._bones[bone - 1] / self._lengths[bone - 1] + self._bones[bone] / self._lengths[bone]
                norm = math.hypot(*both)
                if norm > 0.3:
                    return np.array([-both[1], both[0]]) / norm
        direction = self.direction(distance)
        return np.array([-direction[1], direction[0]])
