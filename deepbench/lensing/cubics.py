"""Closed curves in the image and the source plane: points with tangents, and cubics between them.

A point has its place on a critical curve and the unit tangent there, and its place on the caustic and the derivative of
that along the critical curve: between two points both curves are cubics of one parameter.
"""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline, kernel

CRITICAL, CAUSTIC = np.int64(0), np.int64(4)
"""Places of both curves among the numbers of a point: x and y, and their derivatives."""

_HALVINGS = 48


@inline
def write_piece(points, i, place, out):
    """Write the control points of a cubic between two points: of the critical curve or of the caustic."""
    a, b = points[i], points[i + 1]
    dx, dy = b[0] - a[0], b[1] - a[1]
    turn = a[2] * b[3] - a[3] * b[2]
    third = (
        np.sqrt(dx * dx + dy * dy)
        * (1.0 + turn * turn / (24.0 if place == CAUSTIC else 16.0))
        / 3.0
    )
    for k in range(2):
        out[0, k], out[3, k] = a[place + k], b[place + k]
        out[1, k] = a[place + k] + third * a[place + 2 + k]
        out[2, k] = b[place + k] - third * b[place + 2 + k]


@inline
def _crossing(waiting, x, y):
    """Return how often a cubic, ``waiting[0]``, crosses the half line from a point along x, upwards less downwards."""
    count, total = 1, 0
    while count > 0:
        own = waiting[count - 1]
        left = right = below = above = True
        for k in range(4):
            right, left = right and own[k, 0] > x, left and own[k, 0] <= x
            above, below = above and own[k, 1] > y, below and own[k, 1] <= y
        if left or above or below or right or count == _HALVINGS:
            if not left:
                total += int(own[3, 1] > y) - int(own[0, 1] > y)
            count -= 1
            continue
        rest = waiting[count]
        for k in range(2):
            a, b, c, d = own[0, k], own[1, k], own[2, k], own[3, k]
            ab, bc, cd = 0.5 * (a + b), 0.5 * (b + c), 0.5 * (c + d)
            abc, bcd = 0.5 * (ab + bc), 0.5 * (bc + cd)
            own[1, k], own[2, k], own[3, k] = ab, abc, 0.5 * (abc + bcd)
            rest[0, k], rest[1, k], rest[2, k], rest[3, k] = own[3, k], bcd, cd, d
        count += 1
    return total


@kernel
def winding(points, count, place, x, y):
    """Return how often a curve goes around a point, counter-clockwise."""
    waiting, total = np.empty((_HALVINGS + 1, 4, 2)), 0
    for i in range(count - 1):
        write_piece(points, i, place, waiting[0])
        total += _crossing(waiting, x, y)
    return total


@inline
def cubic(piece, t):
    """Return the point of a cubic at t."""
    u = 1.0 - t
    a, b, c, d = u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t
    return (
        a * piece[0, 0] + b * piece[1, 0] + c * piece[2, 0] + d * piece[3, 0],
        a * piece[0, 1] + b * piece[1, 1] + c * piece[2, 1] + d * piece[3, 1],
    )


@inline
def square_at(piece, x, y, t):
    """Return the square of the distance of a point from a cubic at t."""
    at_x, at_y = cubic(piece, t)
    return (at_x - x) * (at_x - x) + (at_y - y) * (at_y - y)
