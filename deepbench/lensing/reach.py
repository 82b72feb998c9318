"""How far the deflectors of a plane reach: where images can be, and how finely the neighbourhoods of centres matter."""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing import plane
from deepbench.lensing.deflector import EXTERNAL
from deepbench.numerics.kernels import inline, kernel

_deflection_at, _field_at = plane.deflection_at, plane.field_at

NEAREST, FURTHEST = 1e-7, 1e4
"""Distances from a centre between which a deflector is looked at, arcsec."""

STEP = 4.0
"""Ratio of the distances at which a deflector is looked at."""

FAINT = 10.0
"""How many times fainter than the least magnification images about a centre are that are not looked for."""

EVEN = 0.02
"""Largest change of the second derivatives of ψ between two distances within a core."""

DIRECTIONS = 16
"""Number of directions in which the radius that holds all images is sought."""

_COSINE, _SINE = math.cos(2.0 * math.pi / DIRECTIONS), math.sin(2.0 * math.pi / DIRECTIONS)

SINGULAR, CORE = range(2)
"""What lies inside of the least distance that matters: images that are too faint, or an even field."""

REACH_ROW = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("inner", np.float64),
        ("kind", np.int64),
        ("most", np.float64),
        ("einstein", np.float64),
    ],
    align=True,
)
"""Row of what a deflector does about its centre.

``inner`` is the least distance from the centre that matters, ``kind`` what lies inside of it, ``most`` the largest
deflection outside of it, ``einstein`` a distance near to the deflector's own Einstein radius or 0; arcsec.
"""


@inline
def _scan(rows, i, outer, least, out):
    """Write the ``REACH_ROW`` of deflector i: what it does up to the distance outer in one direction."""
    alone = rows[i : i + 1]
    row = rows[i]
    x, y = row.x, row.y
    out.x, out.y, out.inner, out.kind, out.most, out.einstein = x, y, NEAREST, SINGULAR, 0.0, 0.0
    # a direction at 45 degrees to the axes of the deflector
    c, s = 0.7071 * (row.cosine - row.sine), 0.7071 * (row.cosine + row.sine)
    inside = True
    old_xx, old_xy, old_yy = 1e300, 1e300, 1e300
    r = NEAREST
    while r < outer:
        field = _field_at(alone, x + r * c, y + r * s)
        determinant = (1.0 - field.xx) * (1.0 - field.yy) - field.xy * field.xy
        even = max(abs(field.xx - old_xx), abs(field.xy - old_xy), abs(field.yy - old_yy)) < EVEN
        if inside and even:
            out.kind = CORE
        inside = inside and (even or (out.kind == SINGULAR and abs(determinant) * least > FAINT))
        if inside:
            out.inner = r
        if not inside or out.kind == CORE:
            out.most = max(out.most, np.sqrt(field.x * field.x + field.y * field.y))
        if field.x * c + field.y * s > r:
            out.einstein = r
        old_xx, old_xy, old_yy = field.xx, field.xy, field.yy
        r *= STEP


@inline
def outer_radius(rows, x, y):
    """Return the radius of a circle about the origin that holds all images of a source at x and y, arcsec."""
    r = 0.1
    for i in range(rows.shape[0]):
        if rows[i].family != EXTERNAL:
            r = max(r, 1.25 * np.sqrt(rows[i].x * rows[i].x + rows[i].y * rows[i].y))
    needed = 1.05 * np.sqrt(x * x + y * y)
    outside = False
    while not outside and r < FURTHEST:
        r *= 1.25
        outside = True
        c, s = 1.0, 0.0
        for _ in range(DIRECTIONS):
            ax, ay = _deflection_at(rows, r * c, r * s)
            if 0.95 * r - (ax * c + ay * s) < needed:
                outside = False
                break
            c, s = _COSINE * c - _SINE * s, _COSINE * s + _SINE * c
    return r


@kernel
def find_reach(rows, outer, least, reaches):
    """Write the ``REACH_ROW`` of each deflector that has a centre; return their number and that of the main one, or −1.

    The main deflector has the largest Einstein radius.
    """
    count, main = 0, -1
    for i in range(rows.shape[0]):
        if rows[i].family == EXTERNAL:
            continue
        _scan(rows, i, outer, least, reaches[count])
        if main < 0 or reaches[count].einstein > reaches[main].einstein:
            main = count
        count += 1
    return count, main
