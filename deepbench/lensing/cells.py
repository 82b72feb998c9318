"""Cells of an image plane in which the images of a point source are sought: what one holds, and its halves.

A cell is a rectangle in coordinates u and v about a centre: ρ and φ, or x and y. Bounds come from its corners. A
function whose derivative changes by d along an edge differs from its chord by at most d/8, and by 6/8 of what the
trapezoidal rule misses if the curvature itself changes; ``SAFETY`` times that is taken. In wide cells edges along ρ are
looked at as functions of ln ρ, in which powers of ρ bend less.
"""

from __future__ import annotations

import numpy as np

from deepbench.lensing import reach
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, log64, sincos64

_field_at = reach.field_at

SAFETY = 1.5
"""Factor of the curvature of a cell."""

DOMINANCE = 0.6
"""Largest change of the Jacobian, relative to its mean, in a cell that has at most one image."""

MOST_STEPS = 12
"""Largest number of Newton's steps."""

EMPTY, SINGLE, HALVE_U, HALVE_V = range(4)
"""Verdicts on a cell: it has no image, it has one at most, or it is to be halved along u or v."""

SQUARE, RING, WIDE = 0.0, 1.0, 2.0
"""Kinds of cells: in x and y, in ρ and φ, and wide ones in ρ and φ."""

CORNERS = 9
"""Place of the corners among a cell's numbers: before them are least and largest u, least and largest v, the kind,
cosine and sine of the least and of the largest φ.
"""

CORNER = 6
"""Number of numbers of a corner: β − β_s and the columns of its Jacobian by u and v, each x and y."""

CELL = CORNERS + 4 * CORNER
"""Number of numbers of a cell."""


@inline
def fill(cell, u0, u1, v0, v1, kind):
    """Write where a cell is."""
    cell[0], cell[1], cell[2], cell[3], cell[4] = u0, u1, v0, v1, kind
    cell[5], cell[6], cell[7], cell[8] = 1.0, 0.0, 1.0, 0.0
    if kind != SQUARE:
        cell[6], cell[5] = sincos64(v0)
        cell[8], cell[7] = sincos64(v1)


@inline
def evaluate(rows, x0, y0, kind, u, v, c, s, out):
    """Write β and the columns of its Jacobian at u and v of cells about x0 and y0; c and s are cosine and sine of φ."""
    x, y, size = x0 + u, y0 + v, 1.0
    if kind != SQUARE:
        x, y, size = x0 + u * c, y0 + u * s, u
    field = _field_at(rows, x, y)
    xx, xy, yy = 1.0 - field.xx, -field.xy, 1.0 - field.yy
    out[0], out[1] = x - field.x, y - field.y
    out[2], out[3] = xx * c + xy * s, xy * c + yy * s
    out[4], out[5] = size * (xy * c - xx * s), size * (yy * c - xy * s)


@inline
def place(cell):
    """Return the middle of a cell relative to its centre, and the cell's sizes along u and v, arcsec."""
    u, width, height = 0.5 * (cell[0] + cell[1]), cell[1] - cell[0], cell[3] - cell[2]
    if cell[4] == SQUARE:
        return u, 0.5 * (cell[2] + cell[3]), width, height
    # the direction between those of the sides, which are less than half a turn apart
    x, y = cell[5] + cell[7], cell[6] + cell[8]
    u /= np.sqrt(x * x + y * y)
    return u * x, u * y, width, height * cell[1]


@inline
def _corner(cell, k, du, dv, nx, ny):
    """Return n · (β − β_s) at a corner and its derivatives in units of the cell."""
    i = CORNERS + k * CORNER
    return (
        nx * cell[i] + ny * cell[i + 1],
        du * (nx * cell[i + 2] + ny * cell[i + 3]),
        dv * (nx * cell[i + 4] + ny * cell[i + 5]),
    )


@inline
def _look(cell, du0, du1, dv, nx, ny):
    """Return what n · (β − β_s) and its derivatives p and q by u and v, in units of the cell, do in a cell.

    How far the function is from having one sign, below 0 where it has; changes of p along u and v, and of q along u and
    v; the largest deviations of p and q from their means, summed. du0 and du1 are the cell's unit of u at its ends.
    """
    g0, p0, q0 = _corner(cell, 0, du0, dv, nx, ny)
    g1, p1, q1 = _corner(cell, 1, du1, dv, nx, ny)
    g2, p2, q2 = _corner(cell, 2, du0, dv, nx, ny)
    g3, p3, q3 = _corner(cell, 3, du1, dv, nx, ny)
    pu, pv = max(abs(p1 - p0), abs(p3 - p2)), max(abs(p2 - p0), abs(p3 - p1))
    qu, qv = max(abs(q1 - q0), abs(q3 - q2)), max(abs(q2 - q0), abs(q3 - q1))
    rest_u = max(abs(g1 - g0 - 0.5 * (p0 + p1)), abs(g3 - g2 - 0.5 * (p2 + p3)))
    rest_v = max(abs(g2 - g0 - 0.5 * (q0 + q2)), abs(g3 - g1 - 0.5 * (q1 + q3)))
    bend = 0.125 * SAFETY * (pu + qv + 6.0 * (rest_u + rest_v))
    room = bend - max(min(min(g0, g1), min(g2, g3)), -max(max(g0, g1), max(g2, g3)))
    p, q = 0.25 * (p0 + p1 + p2 + p3), 0.25 * (q0 + q1 + q2 + q3)
    away = max(max(abs(p0 - p), abs(p1 - p)), max(abs(p2 - p), abs(p3 - p)))
    away += max(max(abs(q0 - q), abs(q1 - q)), max(abs(q2 - q), abs(q3 - q)))
    return room, pu, pv, qu, qv, away + 1.5 * (rest_u + rest_v)


@inline
def judge(cell, margin):
    """Return what a cell is found to be; the margin is how far unresolved deflectors may move β, arcsec."""
    du0 = du1 = cell[1] - cell[0]
    dv = cell[3] - cell[2]
    if cell[4] == WIDE:
        logarithm = log64(cell[1] / cell[0])
        du0, du1 = logarithm * cell[0], logarithm * cell[1]
    gx, gy, px, py, qx, qy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(4):
        i, du = CORNERS + k * CORNER, du0 if k % 2 == 0 else du1
        gx += cell[i]
        gy += cell[i + 1]
        px += 0.25 * du * cell[i + 2]
        py += 0.25 * du * cell[i + 3]
        qx += 0.25 * dv * cell[i + 4]
        qy += 0.25 * dv * cell[i + 5]
    # a function along the mean of β − β_s
    if _look(cell, du0, du1, dv, gx, gy)[0] < -margin * np.sqrt(gx * gx + gy * gy):
        return EMPTY
    # functions across the mean columns of the Jacobian
    room, pu, pv, qu, qv, away = _look(cell, du0, du1, dv, qy, -qx)
    if room < -margin * np.sqrt(qx * qx + qy * qy):
        return EMPTY
    other_room, other_pu, other_pv, other_qu, other_qv, other_away = _look(
        cell, du0, du1, dv, -py, px
    )
    if other_room < -margin * np.sqrt(px * px + py * py):
        return EMPTY
    if max(away, other_away) < DOMINANCE * abs(px * qy - py * qx):
        return SINGLE
    # a cell halved along u has half of p, of the second function, and of each change along u
    along_u = 0.5 * pu + pv + qu + 2.0 * qv
    along_u += 0.25 * other_pu + 0.5 * other_pv + 0.5 * other_qu + other_qv
    along_v = pu + 0.5 * pv + 0.5 * qu + 0.25 * qv
    along_v += 2.0 * other_pu + other_pv + other_qu + 0.5 * other_qv
    return HALVE_U if along_u < along_v else HALVE_V


@inline
def halve(rows, x0, y0, x, y, cell, along_u, corners, rest):
    """Cut a cell along u or v: the first part stays, the other is written to ``rest``."""
    for i in range(CELL):
        rest[i] = cell[i]
    if along_u:
        middle = 0.5 * (cell[0] + cell[1])
        if cell[4] != SQUARE and cell[1] > 4.0 * cell[0]:
            middle = np.sqrt(cell[0] * cell[1])
        for k in range(2):
            c, s = cell[5 + 2 * k], cell[6 + 2 * k]
            evaluate(rows, x0, y0, cell[4], middle, cell[2 + k], c, s, corners[k])
        cell[1], rest[0] = middle, middle
    else:
        middle = 0.5 * (cell[2] + cell[3])
        s, c = sincos64(middle) if cell[4] != SQUARE else (0.0, 1.0)
        for k in range(2):
            evaluate(rows, x0, y0, cell[4], cell[k], middle, c, s, corners[k])
        cell[3], rest[2] = middle, middle
        cell[7], cell[8], rest[5], rest[6] = c, s, c, s
    for k in range(2):
        # corners 2k and 2k + 1 end an edge along u, corners k and k + 2 one along v
        low, high = (2 * k, 2 * k + 1) if along_u else (k, k + 2)
        corners[k, 0] -= x
        corners[k, 1] -= y
        for i in range(CORNER):
            cell[CORNERS + high * CORNER + i] = corners[k, i]
            rest[CORNERS + low * CORNER + i] = corners[k, i]


@kernel
def find_image(rows, x0, y0, x, y, cell, work):
    """Return whether Newton's method finds the image in a cell that may have one, and where, relative to the centre."""
    is_polar, is_wide = cell[4] != SQUARE, cell[4] == WIDE
    du, dv = cell[1] - cell[0], cell[3] - cell[2]
    u = np.sqrt(cell[0] * cell[1]) if is_wide else 0.5 * (cell[0] + cell[1])
    v = 0.5 * (cell[2] + cell[3])
    c, s, outside = 1.0, 0.0, 0
    least_u = cell[0] - 0.2 * du
    if is_polar:
        least_u = max(least_u, 0.5 * cell[0])
    for _ in range(MOST_STEPS):
        if is_polar:
            s, c = sincos64(v)
        evaluate(rows, x0, y0, cell[4], u, v, c, s, work)
        gx, gy = work[0] - x, work[1] - y
        determinant = work[2] * work[5] - work[3] * work[4]
        step_u = (work[5] * gx - work[4] * gy) / determinant
        step_v = (work[2] * gy - work[3] * gx) / determinant
        if not abs(step_u) + abs(step_v) < np.inf:
            return False, u, v
        free_u, free_v = u * exp64(-step_u / u) if is_wide else u - step_u, v - step_v
        new_u = min(max(free_u, least_u), cell[1] + 0.2 * du)
        new_v = min(max(free_v, cell[2] - 0.2 * dv), cell[3] + 0.2 * dv)
        outside += new_u != free_u or new_v != free_v
        if outside == 3:
            return False, u, v
        near = 1e-7 * (min(du, u) if is_polar else du)
        done = abs(new_u - u) <= near and abs(new_v - v) <= 1e-7 * dv
        u, v = new_u, new_v
        if done:
            break
    # images on a side, to rounding error, belong to both cells
    is_inside = abs(u - 0.5 * (cell[0] + cell[1])) <= (0.5 + 1e-3) * du
    is_inside = is_inside and abs(v - 0.5 * (cell[2] + cell[3])) <= (0.5 + 1e-3) * dv
    if is_polar:
        s, c = sincos64(v)
        return is_inside, u * c, u * s
    return is_inside, u, v
