"""Outlines of bodies' torsos and of garments on any posed body, in body units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from tryon.studio.curves import outline
from tryon.studio.skeleton import SHOULDER_EASE, SHOULDER_Y, Skeleton
from tryon.studio.specs import Body, Garment

ARMPIT_Y = 0.66  # torso coordinate of the armpit
WAIST_SHARE = 0.62  # height of the waist as a share of the torso
CROTCH = 0.34  # crotch below the hip line


def half_width(body: Body, y: float, ease: float = 0.0) -> float:
    """Half width of the torso, or of cloth around it, at a torso coordinate; loose cloth hangs straighter."""
    loose = min(max(ease / 0.22, 0.0), 1.0)
    waist = body.waist + (max(body.chest, body.hip) * 0.96 - body.waist) * loose * 0.8
    knots = [(ARMPIT_Y, body.chest), (body.torso * WAIST_SHARE, waist), (body.torso, body.hip)]
    if y <= knots[0][0]:
        return knots[0][1] + ease
    for (y0, w0), (y1, w1) in zip(knots[:-1], knots[1:], strict=True):
        if y <= y1:
            share = (y - y0) / (y1 - y0)
            share = share * share * (3 - 2 * share)
            return w0 + (w1 - w0) * share + ease
    return knots[-1][1] + ease


def _mirrored(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(-x, y) for x, y in reversed(points)]


def torso_skin(skeleton: Skeleton) -> skia.Path:
    """The bare torso with neck and pelvis, without arms and legs."""
    body = skeleton.body
    shoulder = (body.shoulder, SHOULDER_Y - body.arm)
    neck = [
        (body.neck, -0.42),
        (body.neck * 0.98, -0.2),
        (body.neck * 1.25, -0.06),
        (body.shoulder * 0.6, 0.02),
        shoulder,
    ]
    heights = np.linspace(ARMPIT_Y, body.torso + 0.12, 8)
    side = [
        (body.shoulder + body.arm * 0.6, SHOULDER_Y + 0.05),
        *[(half_width(body, float(y)), float(y)) for y in heights],
    ]
    crotch = [(0.06, body.torso + CROTCH), (-0.06, body.torso + CROTCH)]
    parts = [neck, side, crotch, _mirrored(side), _mirrored(neck)]
    return outline(*[skeleton.torso(part) for part in parts])


@dataclass(frozen=True)
class TopShape:
    """Outline of the body of an upper garment or dress, and the lines drawn on it (torso coordinates)."""

    path: skia.Path
    neckline: list[tuple[float, float]]
    hem: list[tuple[float, float]]
    armhole: list[tuple[float, float]]  # on the image's right


def neck_y(body: Body, x: float) -> float:
    """Torso coordinate of the shoulder line at a distance from the middle."""
    share = (x - body.neck) / max(body.shoulder - body.neck, 1e-6)
    return -0.08 + share * (SHOULDER_Y - body.arm + 0.04)


def neckline(garment: Garment, body: Body, *, back: bool = False) -> list[tuple[float, float]]:
    """The neck opening from the image's right to its left."""
    width = max(garment.neck_width, body.neck + 0.03)
    if garment.neckline == "turtle":
        return [(body.neck + 0.035, -0.27), (0.0, -0.2), (-body.neck - 0.035, -0.27)]
    top, depth = neck_y(body, width), (0.05 if back else garment.neck_depth)
    right = (width, top)
    if garment.neckline == "v" and not back:
        return [right, (width * 0.52, top + depth * 0.55), (0.0, top + depth)]
    if garment.neckline == "square" and not back:
        return [right, (width * 0.97, top + depth * 0.5), (width * 0.93, top + depth)]
    if garment.neckline in ("polo", "shirt") and not back:
        return [right, (width * 0.45, top + depth * 0.6), (0.0, top + depth)]
    return [right, (width * 0.88, top + depth * 0.55), (width * 0.5, top + depth * 0.92), (0.0, top + depth)]


def _hem_drop(garment: Garment) -> float:
    return 0.05 + 0.03 * garment.flare


def top_shape(garment: Garment, skeleton: Skeleton) -> TopShape:
    """Cut an upper garment or a dress for a posed body."""
    body = skeleton.body
    half_neck = neckline(garment, body)
    neck = half_neck + _mirrored(half_neck if half_neck[-1][0] > 0 else half_neck[:-1])
    if garment.neckline == "turtle":
        neck = half_neck
    if garment.sleeve > 0:
        tip = (body.shoulder, SHOULDER_Y - body.arm - garment.sleeve_ease * SHOULDER_EASE)
        armhole = [
            (body.shoulder + 0.06, SHOULDER_Y - 0.02),
            (body.shoulder + 0.0, 0.5),
            (body.chest + garment.ease, ARMPIT_Y + 0.04),
        ]
    else:
        strap = min(garment.neck_width + 0.16, body.shoulder - 0.02)
        tip = (strap, neck_y(body, strap) - 0.005)
        armhole = [tip, (strap + 0.02, 0.38), (strap + 0.08, 0.52), (body.chest + min(garment.ease, 0.06), ARMPIT_Y)]
    shoulder = (
        [neck[0], tip]
        if garment.neckline != "turtle"
        else [neck[0], (body.neck + 0.06, -0.1), (body.neck + 0.14, -0.03), tip]
    )
    side, hem = _side(garment, body, armhole[-1])
    right = [part for part in (shoulder, armhole, side)]
    bottom = [hem, (hem[0] * 0.5, hem[1] + _hem_drop(garment) * 0.8), (0.0, hem[1] + _hem_drop(garment))]
    bottom = bottom + _mirrored(bottom[:-1])
    pieces = [*right, bottom, *[_mirrored(part) for part in reversed(right)], _reverse(neck)]
    path = outline(*[skeleton.torso(piece) for piece in pieces])
    return TopShape(path, neck, bottom, armhole)


def _reverse(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The neckline from the image's left to its right, where the outline arrives from the left shoulder."""
    return list(reversed(points))


def _side(
    garment: Garment, body: Body, armpit: tuple[float, float]
) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Side seam below the armpit, and the hem's corner. A hem below the hips flares from the hips on."""
    stretch = body.torso / 2.2
    length = (
        garment.length * stretch if garment.length <= 2.8 else body.torso + (garment.length - 2.2) * _leg_stretch(body)
    )
    ease = garment.ease
    points = [armpit]
    for y in np.linspace(ARMPIT_Y, min(length, body.torso), 6)[1:]:
        points.append((half_width(body, float(y), ease) + _flare_at(garment, float(y), length, body), float(y)))
    if length > body.torso + 0.05:
        wide = half_width(body, body.torso, ease)
        for y in np.linspace(body.torso, length, 4)[1:]:
            points.append((wide + _flare_at(garment, float(y), length, body), float(y)))
    return points, points[-1]


def _leg_stretch(body: Body) -> float:
    return (body.thigh_length + body.shin_length) / 3.24


def _flare_at(garment: Garment, y: float, length: float, body: Body) -> float:
    start = body.torso * WAIST_SHARE
    return garment.flare * min(max((y - start) / max(length - start, 0.2), 0.0), 1.0)


@dataclass(frozen=True)
class BottomShape:
    """Outline of the upper part of a lower garment: waistband, hips, and the whole skirt."""

    path: skia.Path
    waist: list[tuple[float, float]]  # upper edge, torso coordinates
    hem: list[tuple[float, float]]  # of a skirt
    top_y: float


def waist_y(body: Body) -> float:
    """Torso coordinate of a lower garment's upper edge."""
    return body.torso * 0.74


def bottom_shape(garment: Garment, skeleton: Skeleton) -> BottomShape:
    """Cut the waist and hips of trousers or shorts, or a skirt, for a posed body."""
    body = skeleton.body
    top = waist_y(body)
    ease = 0.015 + garment.ease * 0.35
    waist = [(half_width(body, top, 0.02), top), (0.0, top + 0.04), (-half_width(body, top, 0.02), top)]
    side = [
        (half_width(body, float(y), 0.02 + (ease - 0.02) * k), float(y))
        for k, y in zip((0, 0.5, 1), np.linspace(top, body.torso, 3), strict=True)
    ]
    if garment.kind == "skirt":
        bottom_y = body.torso + (garment.length - 2.2) * _leg_stretch(body)
        hips = side[-1][0]
        side += [
            (hips + garment.flare * share, body.torso + (bottom_y - body.torso) * share) for share in (0.35, 0.7, 1.0)
        ]
        corner = side[-1]
        hem = [corner, (corner[0] * 0.5, corner[1] + 0.07), (0.0, corner[1] + 0.09)]
        hem = hem + _mirrored(hem[:-1])
    else:
        leg = skeleton.leg(1, ease=garment.ease)
        side.append((skeleton.legs[1][0][0] + leg.radius(0.15), body.torso + 0.15))
        hem = [side[-1], (0.1, body.torso + CROTCH), (0.0, body.torso + CROTCH + 0.03)]
        hem = hem + _mirrored(hem[:-1])
    pieces = [side, hem, _mirrored(side), _reverse(waist)]
    return BottomShape(outline(*[skeleton.torso(piece) for piece in pieces]), waist, hem, top)


def leg_end(garment: Garment, skeleton: Skeleton, side: int) -> float:
    """Distance along the leg at which a trouser leg ends."""
    return skeleton.leg(side).length * garment.length


def sleeve_end(garment: Garment, skeleton: Skeleton, side: int) -> float:
    """Distance along the arm at which a sleeve ends."""
    return skeleton.arm(side).length * garment.sleeve
