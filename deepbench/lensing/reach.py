"""How far the deflectors of a plane reach: where images can be, and at what scales each of them matters."""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing import plane
from deepbench.lensing.deflector import EXTERNAL
from deepbench.numerics.kernels import inline, kernel

_deflection_at, _sum_fields = plane.deflection_at, plane.field_at

NEAREST, FURTHEST = 1e-7, 1e4
"""Least distance from a centre at which a deflector is looked at, and largest radius of a plane, arcsec."""

STEP = 4.0
"""Ratio of the distances from a centre at which a deflector is looked at."""

FAINT = 10.0
"""How many times fainter than the least magnification images near a centre are that are not looked for."""

EVEN, WEAK = 0.2, 1e-3
"""Largest changes of the second derivatives of ψ between two distances in a core: relative to the eigenvalues of the
Jacobian in that of the main deflector, absolute in others, which may lie where an eigenvalue is small.
"""

DIRECTIONS = 16
"""Number of directions in which the radius that holds all images is sought."""

SEPARATE = 0.4
"""Radius of a deflector's disc, relative to the distance of the next centre."""

_COSINE, _SINE = math.cos(2.0 * math.pi / DIRECTIONS), math.sin(2.0 * math.pi / DIRECTIONS)

SINGULAR, CORE = range(2)
"""Kinds of centres: images inside of the inner radius are too faint, or the field there is even."""

REACH_ROW = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("inner", np.float64),
        ("kind", np.int64),
        ("most", np.float64),
        ("einstein", np.float64),
        ("fine", np.float64),
        ("disc", np.float64),
        ("is_wanted", np.int64),
    ],
    align=True,
)
"""Row of what a deflector does about its centre, arcsec.

``inner`` is the radius inside of which nothing happens, ``kind`` says why; ``most`` is the largest deflection outside
of it; ``einstein`` lies between a quarter of the deflector's own Einstein radius and that radius, or is 0; ``fine`` is
the scale to be resolved; ``disc`` is the radius of the disc that is searched in coordinates about the centre, 0 where
there is none, and ``is_wanted`` becomes 1 when it is to be searched.
"""


@kernel
def field_at(rows, x, y):
    """Return the ``Field`` of a plane, as ``plane.field_at`` does: one piece of machine code for all that calls it."""
    return _sum_fields(rows, x, y)


@kernel
def _scan(rows, row, is_main, outer, least, out):
    """Write what rows do about the centre of one of them, in one direction, from there to a radius."""
    x, y = row.x, row.y
    # a direction at 45 degrees to the axes of the deflector
    c, s = math.sqrt(0.5) * (row.cosine - row.sine), math.sqrt(0.5) * (row.cosine + row.sine)
    inner, kind, most, einstein = NEAREST, CORE, 0.0, 0.0
    is_inside, was_beyond = True, False
    old = field_at(rows, x + NEAREST / STEP * c, y + NEAREST / STEP * s)
    r = NEAREST
    while r < outer:
        field = field_at(rows, x + r * c, y + r * s)
        kappa, gamma1 = 0.5 * (field.xx + field.yy), 0.5 * (field.xx - field.yy)
        gamma = np.sqrt(gamma1 * gamma1 + field.xy * field.xy)
        if is_inside:
            change = max(
                abs(field.xx - old.xx), max(abs(field.xy - old.xy), abs(field.yy - old.yy))
            )
            allowed = WEAK
            if is_main:
                allowed = EVEN * min(abs(1.0 - kappa - gamma), abs(1.0 - kappa + gamma))
            is_even = change <= allowed
            is_faint = abs((1.0 - kappa) ** 2 - gamma * gamma) * least > FAINT
            # images on a radial critical curve are bright, however near to the centre
            is_beyond = 1.0 - kappa + gamma >= 0.0
            if r == NEAREST:
                kind, was_beyond = CORE if is_even else SINGULAR, is_beyond
            is_faint = is_faint and is_beyond == was_beyond
            is_inside = is_even if kind == CORE else is_faint
        size = np.sqrt(field.x * field.x + field.y * field.y)
        if is_inside:
            inner = r
        most = size if is_inside and kind == SINGULAR else max(most, size)
        if field.x * c + field.y * s > r:
            einstein = r
        old = field
        r *= STEP
    out.x, out.y, out.inner, out.kind, out.most, out.einstein = x, y, inner, kind, most, einstein
    out.fine, out.disc, out.is_wanted = 0.0, 0.0, 0


@inline
def _write_empty(outer, out):
    """Write what a plane without deflectors does about its origin: nothing, up to the last distance within a radius."""
    inner = NEAREST
    while inner * STEP < outer:
        inner *= STEP
    out.x, out.y, out.inner, out.kind, out.most, out.einstein = 0.0, 0.0, inner, CORE, 0.0, 0.0
    out.fine, out.disc, out.is_wanted = 0.0, 0.0, 0


@kernel
def outer_radius(rows, x, y):
    """Return the radius of a circle about the origin that holds all images of a source at x and y, arcsec.

    External convergence and shear must not sum to 1 or more.
    """
    needed = 1.05 * np.sqrt(x * x + y * y)
    r = max(0.1, needed)
    for i in range(rows.shape[0]):
        if rows[i].family != EXTERNAL:
            r = max(r, 1.25 * np.sqrt(rows[i].x * rows[i].x + rows[i].y * rows[i].y))
    is_outside = False
    while not is_outside and r < FURTHEST:
        r *= 1.25
        is_outside = True
        c, s = 1.0, 0.0
        for _ in range(DIRECTIONS):
            ax, ay = _deflection_at(rows, r * c, r * s)
            if 0.95 * r - (ax * c + ay * s) < needed:
                is_outside = False
                break
            c, s = _COSINE * c - _SINE * s, _COSINE * s + _SINE * c
    return r


@kernel
def find_reach(rows, x, y, least, reaches):
    """Write a ``REACH_ROW`` for each deflector with a centre, of m + 1 rows; return their number, at least 1.

    The main deflector has the largest Einstein radius; its disc holds all images of a source at x and y. A plane
    without centres gets one at its origin.
    """
    outer = outer_radius(rows, x, y)
    count, main, main_row = 0, 0, 0
    for i in range(rows.shape[0]):
        if rows[i].family != EXTERNAL:
            _scan(rows[i : i + 1], rows[i], False, outer, least, reaches[count])
            if reaches[count].einstein >= reaches[main].einstein:
                main, main_row = count, i
            count += 1
    if count == 0:
        out = reaches[0]
        out.x, out.y, out.inner, out.kind, out.einstein = 0.0, 0.0, 0.5 * outer, CORE, outer
        count = 1
    shared = 0.0
    for j in range(count):
        own, nearest = reaches[j], outer
        for k in range(count):
            other = reaches[k]
            dx, dy = own.x - other.x, own.y - other.y
            distance = np.sqrt(dx * dx + dy * dy)
            least_distance = max(NEAREST, other.inner) if other.kind == SINGULAR else NEAREST
            if distance > least_distance:
                nearest = min(nearest, distance)
            elif k != j and j != main and (k == main or k < j):
                # of centres that coincide, the main or the first one counts
                nearest = 0.0
                if k == main:
                    shared = max(shared, distance + own.inner)
                elif other.kind == SINGULAR:
                    other.inner = max(other.inner, distance + own.inner)
        if j == main:
            continue
        own.disc = min(SEPARATE * nearest, max(2.0 * own.einstein, 4.0 * own.inner))
        own.fine = own.disc
        if own.kind == CORE and own.disc < 2.0 * own.inner:
            own.disc, own.fine = 0.0, own.inner if nearest > 0.0 else 0.0
    own = reaches[main]
    if rows.shape[0] == 0:
        _write_empty(outer, own)
    elif shared > 0.0 or own.kind == CORE or own.inner == NEAREST:
        _scan(rows, rows[main_row], True, outer, least, own)
        own.inner = max(own.inner, shared) if own.kind == SINGULAR else own.inner
    own.disc, own.is_wanted = outer + np.sqrt(own.x * own.x + own.y * own.y), 1
    for k in range(count):
        reaches[k].inner = min(reaches[k].inner, 0.5 * reaches[k].disc)
    return count
