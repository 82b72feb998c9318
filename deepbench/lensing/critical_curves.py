"""Critical curves and caustics of the main deflector of a plane, its Einstein radius, and where sources lie.

Critical curves are where an eigenvalue of the Jacobian 1 − ∂∇ψ/∂θ is 0: the tangential one, 1 − κ − γ, or the radial
one, 1 − κ + γ. Here they are those that go around the main deflector's centre, the outermost tangential and the
innermost radial one; islands about other deflectors are left out. Caustics are their places in the source plane. An
isothermal centre has no radial critical curve, but a cut: the circle of the deflections at the centre, in which sources
have one image more (Kormann, Schneider & Bartelmann 1994, A&A 284, 285). Where the deflection at the centre is infinite
there is neither.

The Einstein radius is √(A/π) of the area A inside of the tangential critical curve.

A curve is followed by steps along it and back to it. Between two points it is a cubic with their tangents, and the
caustic is a cubic of the same parameter (``cubics``), through cusps as well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.lensing import cubics, maps, plane, reach
from deepbench.lensing.cubics import CAUSTIC, CRITICAL
from deepbench.lensing.deflector import PREPARED_ROW
from deepbench.lensing.reach import CORE, NEAREST, REACH_ROW
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincos64

_prepare = plane.prepare
_field_at, _find_reach = reach.field_at, reach.find_reach
_write_piece, _winding = cubics.write_piece, cubics.winding
_cubic, _square_at = cubics.cubic, cubics.square_at

TANGENTIAL, RADIAL, CUT = 1.0, -1.0, 0.0
"""Sign of γ in the eigenvalue that is 0 on a curve; a cut has none."""

TURN = 0.06
"""Largest change of direction between two points of a curve, rad."""

LONGEST, SHORTEST = 0.1, 1e-7
"""Longest and shortest step along a curve, in units of the distance of its first point from the centre."""

MOST_POINTS = 4096
"""Largest number of points of a curve."""

MOST_STEPS = 20
"""Largest number of steps back to a curve."""

RAYS = 2
"""Number of directions in which curves are looked for, one after the other; each curve about a centre crosses all."""

RATIOS = (1.0 / 1.2, 1.5)
"""Ratios of the distances at which they are looked for: the tangential one inwards, the radial one outwards."""

NEAREST_CUT = 1e-9
"""Distance from a centre at which its cut is taken, arcsec."""

CUT_POINTS = 256
"""Number of points of a cut."""

EXACT = 1e-11
"""Eigenvalue at which a point lies on a curve."""

_POINT = 9
"""Numbers of a point: x and y on the critical curve, its unit tangent, the place on the caustic and its derivative, the
gradient of the eigenvalue.
"""

_GOLDEN = 0.6180339887498949


@kernel
def _eigenvalue(rows, sign, x, y):
    """Return the tangential or the radial eigenvalue of the Jacobian."""
    field = _field_at(rows, x, y)
    kappa, gamma1 = 0.5 * (field.xx + field.yy), 0.5 * (field.xx - field.yy)
    return 1.0 - kappa - sign * np.sqrt(gamma1 * gamma1 + field.xy * field.xy)


@inline
def _write_point(rows, sign, x, y, scale, point):
    """Write what a point of a curve is; larger eigenvalues are on the right."""
    h = 1e-5 * scale
    gx = _eigenvalue(rows, sign, x + h, y) - _eigenvalue(rows, sign, x - h, y)
    gy = _eigenvalue(rows, sign, x, y + h) - _eigenvalue(rows, sign, x, y - h)
    size = np.sqrt(gx * gx + gy * gy)
    tx, ty = -gy / size, gx / size
    field = _field_at(rows, x, y)
    point[0], point[1], point[2], point[3] = x, y, tx, ty
    point[4], point[5] = x - field.x, y - field.y
    point[6] = (1.0 - field.xx) * tx - field.xy * ty
    point[7] = (1.0 - field.yy) * ty - field.xy * tx
    point[8] = 0.5 * size / h


@inline
def _return_to_curve(rows, sign, x, y, nx, ny, first, slope, most):
    """Return the place of a curve on a line, and whether it is found, by the secant method.

    The line goes through x and y along a unit vector n; ``first`` is where to begin, ``slope`` the derivative there.
    """
    old = first
    old_value = _eigenvalue(rows, sign, x + old * nx, y + old * ny)
    new = old - old_value / slope
    for _ in range(MOST_STEPS):
        if not abs(new) < most:
            return 0.0, False
        value = _eigenvalue(rows, sign, x + new * nx, y + new * ny)
        if abs(value) <= EXACT or value == old_value:
            return new, abs(value) < 1e-9
        old, old_value, new = new, value, new - value * (new - old) / (value - old_value)
    return new, abs(old_value) < 1e-9


@kernel
def _follow(rows, sign, x, y, scale, points):
    """Write the points of a closed curve from one of them on, the first again at its end; return their number or 0."""
    _write_point(rows, sign, x, y, scale, points[0])
    step, curvature, count = 0.25 * LONGEST * scale, 0.0, 1
    while count < MOST_POINTS:
        last, point = points[count - 1], points[count]
        tx, ty = last[2], last[3]
        across, is_found = _return_to_curve(
            rows, sign, last[0] + step * tx, last[1] + step * ty, -ty, tx,
            0.5 * curvature * step * step, -last[8], 0.5 * step,
        )  # fmt: skip
        cosine, sine = -1.0, 0.0
        if is_found:
            new_x, new_y = last[0] + step * tx - across * ty, last[1] + step * ty + across * tx
            _write_point(rows, sign, new_x, new_y, scale, point)
            cosine, sine = tx * point[2] + ty * point[3], tx * point[3] - ty * point[2]
        if not (cosine > 0.0 and abs(sine) < TURN):
            step *= 0.5
            if step < SHORTEST * scale:
                return 0
            continue
        # the first point lies between the last one and this one
        before = (x - last[0]) * last[2] + (y - last[1]) * last[3]
        dx, dy = x - point[0], y - point[1]
        after = dx * point[2] + dy * point[3]
        is_near = dx * dx + dy * dy < 2.25 * step * step
        aligned = point[2] * points[0, 2] + point[3] * points[0, 3]
        if count > 3 and is_near and before > 0.0 and after <= 0.0 and aligned > 0.9:
            for i in range(_POINT):
                point[i] = points[0, i]
            return count + 1
        count += 1
        curvature = sine / step
        if abs(sine) < 0.7 * TURN:
            step = min(min(1.5, 0.9 * TURN / max(abs(sine), 1e-3)) * step, LONGEST * scale)
    return 0


@inline
def _write_cut(rows, x0, y0, points):
    """Write the points of the cut of a centre; return their number, 0 where the deflection there is infinite."""
    inner = _field_at(rows, x0 + NEAREST_CUT, y0)
    outer = _field_at(rows, x0 + 16.0 * NEAREST_CUT, y0)
    size = np.sqrt(outer.x * outer.x + outer.y * outer.y)
    if abs(inner.x - outer.x) + abs(inner.y - outer.y) > 1e-6 * size:
        return 0
    for k in range(CUT_POINTS + 1):
        s, c = sincos64(2.0 * math.pi / CUT_POINTS * (k % CUT_POINTS))
        x, y, point = x0 + NEAREST_CUT * c, y0 + NEAREST_CUT * s, points[k]
        field = _field_at(rows, x, y)
        # relative to the centre, so that places on the tiny circle keep their digits
        point[0], point[1], point[2], point[3] = NEAREST_CUT * c, NEAREST_CUT * s, -s, c
        point[4], point[5] = x - field.x, y - field.y
        point[6] = -(1.0 - field.xx) * s - field.xy * c
        point[7] = (1.0 - field.yy) * c + field.xy * s
    return CUT_POINTS + 1


@inline
def _cross(piece, i, k):
    return piece[i, 0] * piece[k, 1] - piece[i, 1] * piece[k, 0]


@kernel
def _enclosed_area(rows, points, count):
    """Return the area within the tangential critical curve: that of its cubics, and what they miss."""
    piece, area = np.empty((4, 2)), 0.0
    for i in range(count - 1):
        _write_piece(points, i, CRITICAL, piece)
        x = 0.125 * (piece[0, 0] + piece[3, 0]) + 0.375 * (piece[1, 0] + piece[2, 0])
        y = 0.125 * (piece[0, 1] + piece[3, 1]) + 0.375 * (piece[1, 1] + piece[2, 1])
        dx, dy = piece[3, 0] - piece[0, 0], piece[3, 1] - piece[0, 1]
        missed = -2.0 * _eigenvalue(rows, TANGENTIAL, x, y) / (points[i, 8] + points[i + 1, 8])
        # a cubic through ends and tangents errs as t² (1 − t)²
        area += 8.0 / 15.0 * missed * np.sqrt(dx * dx + dy * dy)
        for k in range(4):
            piece[k, 0] -= points[0, 0]
            piece[k, 1] -= points[0, 1]
        area += 0.3 * (_cross(piece, 0, 1) + _cross(piece, 2, 3)) + 0.05 * _cross(piece, 0, 3)
        area += 0.15 * (_cross(piece, 0, 2) + _cross(piece, 1, 2) + _cross(piece, 1, 3))
    return area


@kernel
def _distance(rows, sign, x0, y0, points, count, x, y):
    """Return the distance of a source from a caustic, arcsec: from the place of the nearest point's critical point."""
    piece, least, number, t = np.empty((4, 2)), np.inf, 0, 0.0
    for i in range(count - 1):
        dx, dy = points[i, 4] - x, points[i, 5] - y
        if dx * dx + dy * dy < least:
            least, number = dx * dx + dy * dy, i
    for i in range(count - 1):
        _write_piece(points, i, CAUSTIC, piece)
        left, right = min(piece[0, 0], piece[1, 0]), max(piece[0, 0], piece[1, 0])
        low, high = min(piece[0, 1], piece[1, 1]), max(piece[0, 1], piece[1, 1])
        for k in range(2, 4):
            left, right = min(left, piece[k, 0]), max(right, piece[k, 0])
            low, high = min(low, piece[k, 1]), max(high, piece[k, 1])
        dx, dy = max(left - x, max(x - right, 0.0)), max(low - y, max(y - high, 0.0))
        if dx * dx + dy * dy >= least:
            continue
        low, high = 0.0, 1.0
        a, b = 1.0 - _GOLDEN, _GOLDEN
        at_a, at_b = _square_at(piece, x, y, a), _square_at(piece, x, y, b)
        while high - low > 1e-7:
            if at_a < at_b:
                high, b, at_b = b, a, at_a
                a = high - _GOLDEN * (high - low)
                at_a = _square_at(piece, x, y, a)
            else:
                low, a, at_a = a, b, at_b
                b = low + _GOLDEN * (high - low)
                at_b = _square_at(piece, x, y, b)
        if min(at_a, at_b) < least:
            least, number, t = min(at_a, at_b), i, 0.5 * (low + high)
    _write_piece(points, number, CRITICAL, piece)
    at_x, at_y = _cubic(piece, t)
    if sign != CUT:
        point = points[number]
        size = max(abs(piece[3, 0] - piece[0, 0]), abs(piece[3, 1] - piece[0, 1]))
        across, is_found = _return_to_curve(
            rows, sign, at_x, at_y, -point[3], point[2], 0.0, -point[8], size
        )
        if is_found:
            at_x, at_y = at_x - across * point[3], at_y + across * point[2]
    else:
        at_x, at_y = x0 + at_x, y0 + at_y
    field = _field_at(rows, at_x, at_y)
    dx, dy = at_x - field.x - x, at_y - field.y - y
    return np.sqrt(dx * dx + dy * dy)


@inline
def _find_curve(rows, sign, x0, y0, outer, points):
    """Write the points of a critical curve about a centre; return their number, 0 where there is none."""
    for ray in range(RAYS):
        s, c = sincos64(0.3 + ray * 2.0 * math.pi / RAYS)
        ratio = RATIOS[0] if sign == TANGENTIAL else RATIOS[1]
        r = outer if sign == TANGENTIAL else NEAREST
        value = _eigenvalue(rows, sign, x0 + r * c, y0 + r * s)
        while NEAREST <= r <= outer:
            old, old_value = r, value
            r *= ratio
            value = _eigenvalue(rows, sign, x0 + r * c, y0 + r * s)
            inside, outside = (value, old_value) if sign == TANGENTIAL else (old_value, value)
            if not (inside < 0.0 <= outside):
                continue
            low, high = min(r, old), max(r, old)
            for _ in range(60):
                middle = 0.5 * (low + high)
                if _eigenvalue(rows, sign, x0 + middle * c, y0 + middle * s) < 0.0:
                    low = middle
                else:
                    high = middle
            middle = 0.5 * (low + high)
            count = _follow(rows, sign, x0 + middle * c, y0 + middle * s, middle, points)
            if count > 0 and _winding(points, count, CRITICAL, x0, y0) != 0:
                return count
    return 0


@inline
def _main_reach(rows, reaches):
    """Return what the main deflector does about its centre."""
    count = _find_reach(rows, 0.0, 0.0, 1e-3, reaches)
    for k in range(count - 1):
        if reaches[k].is_wanted == 1:
            return reaches[k]
    return reaches[count - 1]


@kernel
def _trace(rows, kind, reaches, points):
    """Write the points of the tangential (0) or radial (1) curve of prepared rows.

    Return their number, 0 if there is none; which curve it is; the centre.
    """
    main = _main_reach(rows, reaches)
    sign = TANGENTIAL if kind == 0 else RADIAL
    # a source behind the centre has images within the disc; critical curves may go beyond
    count = _find_curve(rows, sign, main.x, main.y, 2.0 * main.disc, points)
    if kind == 1 and count == 0 and main.kind != CORE:
        count, sign = _write_cut(rows, main.x, main.y, points), CUT
    return count, sign, main.x, main.y


@kernel
def _measure(offsets, rows, prepared, sources, starts, radii, distances):
    """Write Einstein radii of planes, and distances of their sources, in the order of the planes, from the caustics."""
    reaches, points = np.zeros(prepared.size + 1, REACH_ROW), np.empty((MOST_POINTS, _POINT))
    for i in range(radii.size):
        low, high = offsets[i], offsets[i + 1]
        own = prepared[: high - low]
        _prepare(rows[low:high], own)
        for kind in range(2):
            count, sign, x0, y0 = _trace(own, kind, reaches, points)
            if kind == 0:
                area = _enclosed_area(own, points, count) if count > 0 else np.nan
                radii[i] = np.sqrt(area / math.pi)
            for k in range(starts[i], starts[i + 1]):
                x, y = sources[k, 0], sources[k, 1]
                distances[k, kind] = np.nan
                if count > 0:
                    distance = _distance(own, sign, x0, y0, points, count, x, y)
                    is_inside = _winding(points, count, CAUSTIC, x, y) != 0
                    distances[k, kind] = distance if is_inside else -distance


class Caustics(NamedTuple):
    """Einstein radius of each plane, NaN where there is none, and distances of each source from the caustics, arcsec.

    Distances are positive inside of a caustic, and NaN where there is none: ``tangential``, and ``radial`` or the cut.
    """

    einstein_radius: NDArray[np.float64]
    tangential: NDArray[np.float64]
    radial: NDArray[np.float64]


def measure_caustics(
    offsets: NDArray[np.int64],
    rows: NDArray[np.void],
    sources: NDArray[np.float64],
    owners: NDArray[np.int64],
) -> Caustics:
    """Return Einstein radii of planes, and where sources lie relative to the caustics.

    Parameters
    ----------
    offsets : int64[n + 1]
        Those of the deflectors of each plane in ``rows``.
    rows : DEFLECTOR_ROW
        Deflectors of n planes.
    sources : float64[k, 2]
        x and y of each source, arcsec.
    owners : int64[k]
        Plane of each source.
    """
    n = offsets.size - 1
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(n + 1))
    prepared = np.zeros(int(np.diff(offsets).max(initial=0)), PREPARED_ROW)
    radii, sorted_distances = np.zeros(n), np.empty((owners.size, 2))
    _measure(offsets, rows, prepared, sources[order], starts, radii, sorted_distances)
    distances = np.empty_like(sorted_distances)
    distances[order] = sorted_distances
    return Caustics(radii, distances[:, 0], distances[:, 1])


def trace_curves(rows: NDArray[np.void]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the tangential and the radial critical curve of one plane, each with its caustic, as closed polygons.

    Each is float64[m, 2] in arcsec, of no points where there is none; beside a cut the critical curve is the centre.
    """
    prepared, points = maps.prepare(rows), np.empty((MOST_POINTS, _POINT))
    reaches, curves = np.zeros(rows.size + 1, REACH_ROW), []
    for kind in range(2):
        count, sign, x0, y0 = _trace(prepared, kind, reaches, points)
        found = points[:count].copy()
        if sign == CUT:
            found[:, :2] += x0, y0
        curves.append((found[:, :2], found[:, 4:6]))
    return curves
