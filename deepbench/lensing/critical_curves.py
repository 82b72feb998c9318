"""Critical curves of planes, on which the magnification is infinite, and the caustics that they are seen from.

A critical curve is where an eigenvalue of ∂β/∂θ is 0: the tangential ones where 1 − κ − γ is, the radial ones where
1 − κ + γ is (Schneider, Ehlers & Falco 1992, *Gravitational Lenses*, section 5.2). They are sought along rays from the
deflector with the largest Einstein radius, so that curves about others that no ray meets are missed: those of small
deflectors far from it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepbench.lensing import plane, reach
from deepbench.lensing.deflector import PREPARED_ROW
from deepbench.lensing.reach import REACH_ROW
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincos64

_prepare, _field_at, _deflection_at = plane.prepare, plane.field_at, plane.deflection_at
_find_reach, _outer_radius = reach.find_reach, reach.outer_radius

TANGENTIAL, RADIAL = range(2)
"""Kinds of critical curves."""

RAYS = 96
"""Number of rays."""

MOST_CROSSINGS = 8
"""Largest number of crossings of a ray with the curves of a kind that are kept."""

NEAREST, STEP = 1e-4, 1.5
"""Distance from the centre at which rays begin, arcsec, and ratio of the distances at which they are looked at."""

MOST_STEPS = 60
"""Largest number of steps by which a crossing is narrowed down."""

PARTS = 6
"""Number of parts between two rays at whose ends the nearest point of a caustic is looked for."""

SECTIONS = 20
"""Number of golden sections by which the nearest point of a caustic is narrowed down."""

CLOSE = 1.2
"""Ratio of distances from caustics within which the nearer one is sought between rays; and 0.01 arcsec more."""

_ANGLE = 2.0 * math.pi / RAYS
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_FAR = 1e300


@kernel
def _eigenvalues(rows, x, y):
    """Return the eigenvalues of ∂β/∂θ: those that are 0 on tangential and on radial critical curves."""
    field = _field_at(rows, x, y)
    kappa, gamma1 = 0.5 * (field.xx + field.yy), 0.5 * (field.xx - field.yy)
    gamma = np.sqrt(gamma1 * gamma1 + field.xy * field.xy)
    return 1.0 - kappa - gamma, 1.0 - kappa + gamma


@kernel
def _crossing(rows, kind, x, y, c, s, low, high, at_low, at_high):
    """Return where an eigenvalue is 0 between two distances along a ray, at which it has different signs.

    By the Illinois method: an end of the interval that stays loses weight.
    """
    side, r = 0, low
    for _ in range(MOST_STEPS):
        r = low + (high - low) * at_low / (at_low - at_high)
        value = _eigenvalues(rows, x + r * c, y + r * s)[kind]
        if abs(value) < 1e-14 or high - low < 1e-14 * high:
            break
        if (value > 0.0) == (at_high > 0.0):
            at_low *= 0.5 if side == 1 else 1.0
            high, at_high, side = r, value, 1
        else:
            at_high *= 0.5 if side == -1 else 1.0
            low, at_low, side = r, value, -1
    return r


@inline
def _source(rows, x, y):
    """Return where a point is seen from."""
    ax, ay = _deflection_at(rows, x, y)
    return x - ax, y - ay


@inline
def _trace(rows, x, y, outer, radii, counts, betas):
    """Write the crossings of all rays; return the area within which 1 − κ − γ is negative."""
    area = 0.0
    for j in range(RAYS):
        s, c = sincos64(_ANGLE * j)
        r, begin = NEAREST, 0.0
        values = _eigenvalues(rows, x + r * c, y + r * s)
        counts[TANGENTIAL, j], counts[RADIAL, j] = 0, 0
        while r < outer:
            further = r * STEP
            following = _eigenvalues(rows, x + further * c, y + further * s)
            for kind in range(2):
                if (values[kind] > 0.0) == (following[kind] > 0.0):
                    continue
                at = _crossing(rows, kind, x, y, c, s, r, further, values[kind], following[kind])
                if kind == TANGENTIAL:
                    if values[kind] <= 0.0:
                        area += 0.5 * _ANGLE * (at * at - begin * begin)
                    begin = at
                k = counts[kind, j]
                if k < MOST_CROSSINGS:
                    radii[kind, j, k], counts[kind, j] = at, k + 1
                    bx, by = _source(rows, x + at * c, y + at * s)
                    betas[kind, j, k, 0], betas[kind, j, k, 1] = bx, by
            r, values = further, following
    return area


@inline
def _to_segment(ax, ay, bx, by):
    """Return the distance of the origin from a segment."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    t = min(max(-(ax * dx + ay * dy) / square, 0.0), 1.0) if square > 0.0 else 0.0
    px, py = ax + t * dx, ay + t * dy
    return np.sqrt(px * px + py * py)


@kernel
def _caustic_at(rows, kind, x, y, angle, guess, out):
    """Write the point of the caustic that is seen along a ray near a distance; return whether there is one."""
    s, c = sincos64(angle)
    width = 0.01
    while width < 0.7:
        low, high = guess * (1.0 - width), guess * (1.0 + width)
        at_low = _eigenvalues(rows, x + low * c, y + low * s)[kind]
        at_high = _eigenvalues(rows, x + high * c, y + high * s)[kind]
        if (at_low > 0.0) != (at_high > 0.0):
            r = _crossing(rows, kind, x, y, c, s, low, high, at_low, at_high)
            out[0], out[1] = _source(rows, x + r * c, y + r * s)
            return True
        width *= 2.0
    return False


@inline
def _distance_at(rows, kind, x, y, ray, part, first, second, sx, sy, out):
    """Return the distance of a source from the caustic that is seen between two rays, given their crossings."""
    guess = first + part * (second - first)
    if not _caustic_at(rows, kind, x, y, _ANGLE * (ray + part), guess, out):
        return _FAR
    return np.sqrt((out[0] - sx) ** 2 + (out[1] - sy) ** 2)


@kernel
def _nearest_between(rows, kind, x, y, ray, first, second, sx, sy, out):
    """Return the least distance of a source from the caustic that is seen between two rays, and write its point."""
    middle, least = 0.5, _FAR
    for i in range(PARTS + 1):  # a cusp makes more than one minimum
        found = _distance_at(rows, kind, x, y, ray, i / PARTS, first, second, sx, sy, out)
        if found < least:
            middle, least = i / PARTS, found
    low, high = max(middle - 1.0 / PARTS, 0.0), min(middle + 1.0 / PARTS, 1.0)
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_one = _distance_at(rows, kind, x, y, ray, one, first, second, sx, sy, out)
    at_other = _distance_at(rows, kind, x, y, ray, other, first, second, sx, sy, out)
    for _ in range(SECTIONS):
        if at_one < at_other:
            high, other, at_other = other, one, at_one
            one = high - _GOLDEN * (high - low)
            at_one = _distance_at(rows, kind, x, y, ray, one, first, second, sx, sy, out)
        else:
            low, one, at_one = one, other, at_other
            other = low + _GOLDEN * (high - low)
            at_other = _distance_at(rows, kind, x, y, ray, other, first, second, sx, sy, out)
    if min(at_one, at_other) < least:
        middle = one if at_one < at_other else other
    return _distance_at(rows, kind, x, y, ray, middle, first, second, sx, sy, out)


@inline
def _winding(ax, ay, bx, by):
    """Return by how much a segment changes the number of turns about the origin."""
    cross = ax * by - ay * bx
    if ay <= 0.0 < by and cross > 0.0:
        return 1
    return -1 if by <= 0.0 < ay and cross < 0.0 else 0


@inline
def _along(counts, kind, ray):
    """Return whether the curves of a kind lead from a ray to the next one."""
    return counts[kind, ray] == counts[kind, (ray + 1) % RAYS]


@inline
def _coarsely(counts, betas, kind, sx, sy):
    """Return the distances of a source from points of a caustic and from lines between them, ray and order of such a
    line.
    """
    nearest, closest, ray, order = _FAR, _FAR, 0, 0
    for j in range(RAYS):
        after = (j + 1) % RAYS if _along(counts, kind, j) else j
        for k in range(counts[kind, j]):
            one, other = betas[kind, j, k], betas[kind, after, k]
            nearest = min(nearest, np.sqrt((one[0] - sx) ** 2 + (one[1] - sy) ** 2))
            distance = _to_segment(one[0] - sx, one[1] - sy, other[0] - sx, other[1] - sy)
            if distance < closest:
                closest, ray, order = distance, j, k
    return nearest, closest, ray, order


@inline
def _is_inside(counts, betas, kind, sx, sy, ray, order, point):
    """Return whether a caustic winds about a source; ``point`` lies on it between a ray and the next."""
    turns = np.zeros(MOST_CROSSINGS, np.int64)
    for j in range(RAYS):
        for k in range(counts[kind, j] if _along(counts, kind, j) else 0):
            one, other = betas[kind, j, k], betas[kind, (j + 1) % RAYS, k]
            ax, ay, bx, by = one[0] - sx, one[1] - sy, other[0] - sx, other[1] - sy
            if j == ray and k == order:
                mx, my = point[0] - sx, point[1] - sy
                turns[k] += _winding(ax, ay, mx, my) + _winding(mx, my, bx, by)
            else:
                turns[k] += _winding(ax, ay, bx, by)
    return np.any(turns != 0)


@inline
def _caustic_distance(rows, x, y, radii, counts, betas, sx, sy, point, out):
    """Return the signed distance of a source from the nearest caustic; ``point`` and ``out`` are scratch."""
    coarse = _coarsely(counts, betas, 0, sx, sy), _coarsely(counts, betas, 1, sx, sy)
    nearest, near = _FAR, CLOSE * min(coarse[0][1], coarse[1][1]) + 0.01
    inside = False
    for kind in range(2):
        best, closest, ray, order = coarse[kind]
        if closest == _FAR:
            continue
        of_best = -1
        for j in range(ray - 1, ray + 2) if closest < near else range(0):
            before, after = j % RAYS, (j + 1) % RAYS
            if not _along(counts, kind, before) or order >= counts[kind, before]:
                continue
            first, second = radii[kind, before, order], radii[kind, after, order]
            found = _nearest_between(rows, kind, x, y, before, first, second, sx, sy, out)
            if found < best:
                best, of_best = found, before
                point[0], point[1] = out[0], out[1]
        nearest = min(nearest, best)
        inside |= _is_inside(counts, betas, kind, sx, sy, of_best, order, point)
    if nearest == _FAR:
        return np.nan
    return nearest if inside else -nearest


@kernel
def _measure(offsets, rows, sources, firsts, prepared, reaches, einstein_radii, distances):
    """Write what ``measure`` returns; plane i has the sources firsts[i] … firsts[i + 1] − 1."""
    radii, counts = np.empty((2, RAYS, MOST_CROSSINGS)), np.empty((2, RAYS), np.int64)
    betas, point, out = np.empty((2, RAYS, MOST_CROSSINGS, 2)), np.empty(2), np.empty(2)
    for i in range(offsets.size - 1):
        own = prepared[: offsets[i + 1] - offsets[i]]
        _prepare(rows[offsets[i] : offsets[i + 1]], own)
        count, main = _find_reach(own, 0.0, 0.0, 1e-3, reaches), 0
        for j in range(count):
            main = j if reaches[j].einstein > reaches[main].einstein else main
        x, y = reaches[main].x, reaches[main].y
        outer = 4.0 * _outer_radius(own, 0.0, 0.0) + np.sqrt(x * x + y * y)
        area = _trace(own, x, y, outer, radii, counts, betas)
        einstein_radii[i] = np.sqrt(area / math.pi) if area > 0.0 else np.nan
        for j in range(firsts[i], firsts[i + 1]):
            distances[j] = _caustic_distance(
                own, x, y, radii, counts, betas, sources[j, 0], sources[j, 1], point, out
            )


def measure(
    offsets: NDArray[np.int64],
    rows: NDArray[np.void],
    sources: NDArray[np.float64],
    owners: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Einstein radii of planes, and the distances of sources from caustics.

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

    Returns
    -------
    radii : float64[n]
        √(A / π), A the area within which 1 − κ − γ is negative, arcsec; NaN where there is none. Of an isothermal
        ellipsoid it is right to 1e-8, of one of an axis ratio of 0.1 to 1e-4.
    distances : float64[k]
        From the nearest caustic, arcsec; negative outside of all caustics, NaN where there are none.
    """
    room = max(1, int(np.diff(offsets).max(initial=1)))
    prepared, reaches = np.empty(room, PREPARED_ROW), np.empty(room + 1, REACH_ROW)
    order = np.argsort(owners, kind="stable")
    firsts = np.searchsorted(owners[order], np.arange(len(offsets)))
    radii, found, distances = (
        np.empty(len(offsets) - 1),
        np.empty(len(owners)),
        np.empty(len(owners)),
    )
    _measure(offsets, rows, sources[order], firsts, prepared, reaches, radii, found)
    distances[order] = found
    return radii, distances
