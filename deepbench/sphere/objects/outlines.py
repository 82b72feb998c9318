"""Planes that touch the sphere, and the area of shapes on them inside of cells.

A plane is the Lambert azimuthal equal-area projection about a point (Snyder 1987, USGS Prof. Paper 1395, p. 182): what
is θ away from the point lies 2 sin(θ/2) from the plane's origin, and all areas are true. On it m is the coordinate
along the position angle, which is measured from north through east (towards growing longitude), and n that along
the position angle − 90 degrees.

The area that a shape shares with a cell follows from the cell's edges alone, as those of the parts of a polygon: what
of an edge lies outside is moved onto the outline, along rays for ellipses, and to the nearest point for rectangles.
The path of the moved edges encloses the shared area, and neighbours share their edges, so that no area is lost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import asin64, atan2_64, sincosd64
from deepbench.sphere.pixels.pixels import FACE_AREA, RADIUS, direction, tangent

LIMIT = 1.9
"""Nothing is drawn further than this from the origin of a plane, whose edge is 2 away: 143.6 degrees on the sphere."""

OUTSIDE, CROSSED, INSIDE = -1, 0, 1
"""Relations of a cell to an outline: CROSSED where the bounds do not tell."""


class Plane(NamedTuple):
    """Unit vectors to the origin, along m, and along n."""

    origin: tuple[float, float, float]
    along: tuple[float, float, float]
    across: tuple[float, float, float]


class Outline(NamedTuple):
    """Border of a shape, or of all light of a profile that is drawn; lengths on the plane, in radian.

    Attributes
    ----------
    box : bool
        A rectangle instead of an ellipse.
    a, b : float
        Half of the size along m and along n.
    inner : float
        Radius of the hole of an annulus; 0 for none.
    extent : float
        No point is further from the origin.
    """

    box: bool
    a: float
    b: float
    inner: float
    extent: float


@inline
def make_plane(longitude, latitude, position_angle):
    """Return the plane about a point, from degrees."""
    z, rho = sincosd64(latitude)
    sine, cosine = sincosd64(longitude)
    s, c = sincosd64(position_angle)
    origin = (rho * cosine, rho * sine, z)
    along = (-z * cosine * c - sine * s, -z * sine * c + cosine * s, rho * c)
    across = (sine * c - z * cosine * s, -cosine * c - z * sine * s, rho * s)
    return Plane(origin, along, across)


@inline
def make_outline(box, a, b, inner):
    """Return an outline."""
    extent = np.sqrt(a * a + b * b) if box else max(a, b)
    return Outline(box, a, b, inner, min(extent, LIMIT))


@inline
def _dot(one, other):
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


@inline
def project(plane, position):
    """Return m and n of a unit vector."""
    scale = np.sqrt(2.0 / (1.0 + _dot(plane.origin, position)))
    return scale * _dot(plane.along, position), scale * _dot(plane.across, position)


@inline
def project_tangents(plane, face, x, y, to_x, to_y):
    """Return m and n of a position on a face, and their derivatives along x and y, times 1 or −1: the side to take."""
    position, along_x = tangent(face, x, y, to_x, 0.0)
    _, along_y = tangent(face, x, y, 0.0, to_y)
    rest = 1.0 + _dot(plane.origin, position)
    scale = np.sqrt(2.0 / rest)
    m, n = scale * _dot(plane.along, position), scale * _dot(plane.across, position)
    growth_x = -0.5 * _dot(plane.origin, along_x) / rest
    growth_y = -0.5 * _dot(plane.origin, along_y) / rest
    return (
        (m, n),
        (
            scale * _dot(plane.along, along_x) + growth_x * m,
            scale * _dot(plane.across, along_x) + growth_x * n,
        ),
        (
            scale * _dot(plane.along, along_y) + growth_y * m,
            scale * _dot(plane.across, along_y) + growth_y * n,
        ),
    )


@inline
def angle_of(extent):
    """Return the angle on the sphere, in radian, of a distance from the origin of a plane."""
    return 2.0 * asin64(min(0.5 * extent, 1.0))


# --- whole cells -------------------------------------------------------------------------------


@inline
def _distance(outline, m, n):
    """Return a bound of the distance to the outline, negative inside; it changes by no more than the position does."""
    if outline.box:
        return max(abs(m) - outline.a, abs(n) - outline.b)
    u, v = m / outline.a, n / outline.b
    distance = (np.sqrt(u * u + v * v) - 1.0) * min(outline.a, outline.b)
    if outline.inner > 0.0:
        distance = max(distance, outline.inner - np.sqrt(m * m + n * n))
    return distance


@inline
def relation(plane, outline, half_angle, face, x, y):
    """Tell how a cell lies to an outline.

    The projection stretches lengths by 1 / cos(θ/2) at most, which bounds the distances on the plane inside the cell.

    Parameters
    ----------
    plane : Plane
    outline : Outline
    half_angle : tuple of 3 float
        Radius of the cell in radian, and the sine and cosine of its half.
    face : int
    x, y : float
        The cell's centre.

    Returns
    -------
    int
        OUTSIDE, CROSSED or INSIDE.
    """
    radius, sine, cosine = half_angle
    position = direction(face, x, y)
    w = _dot(plane.origin, position)
    near = np.sqrt(max(0.5 * (1.0 + w), 0.0))  # cosine of half the distance
    far = np.sqrt(max(0.5 * (1.0 - w), 0.0))
    if 2.0 * (far * cosine - near * sine) > outline.extent:
        return OUTSIDE
    least = near * cosine - far * sine
    if least < 0.1:
        return CROSSED
    m, n = _dot(plane.along, position) / near, _dot(plane.across, position) / near
    distance, slack = _distance(outline, m, n), radius / least
    if distance > slack:
        return OUTSIDE
    return INSIDE if distance < -slack and outline.extent < LIMIT else CROSSED


@inline
def cell_radius(level):
    """Return a bound of the radius of the cells of a level, in radian."""
    return RADIUS / (1 << level)


@inline
def cell_area(level):
    """Return the area of the cells of a level, in steradian."""
    return FACE_AREA / (1 << level) / (1 << level)


# --- cells that are crossed --------------------------------------------------------------------


@inline
def turn(x0, y0, x1, y1):
    """Return the angle of one point from another, seen from the origin, in radian."""
    return atan2_64(x0 * y1 - x1 * y0, x0 * x1 + y0 * y1)


@inline
def _within_disc(x0, y0, x1, y1):
    """Return twice the area between the origin and an edge, inside the unit circle."""
    dx, dy = x1 - x0, y1 - y0
    cross = x0 * y1 - x1 * y0
    square = dx * dx + dy * dy
    rest = square - cross * cross
    if rest <= 0.0:
        return turn(x0, y0, x1, y1)
    middle, reach = -(x0 * dx + y0 * dy) / square, np.sqrt(rest) / square
    enter = min(max(middle - reach, 0.0), 1.0)
    leave = min(max(middle + reach, 0.0), 1.0)
    if enter == leave:
        return turn(x0, y0, x1, y1)
    before = turn(x0, y0, x0 + enter * dx, y0 + enter * dy) if enter > 0.0 else 0.0
    after = turn(x0 + leave * dx, y0 + leave * dy, x1, y1) if leave < 1.0 else 0.0
    return before + (leave - enter) * cross + after


@inline
def _crossings(start, change, half):
    """Return the parts of an edge, from 0 to 1, after which it crosses −half or half; the smaller one first."""
    if change == 0.0:
        return 0.0, 1.0
    one, other = (-half - start) / change, (half - start) / change
    low, high = min(one, other), max(one, other)
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


@inline
def _within_box(x0, y0, x1, y1, a, b):
    """Return twice the area between the origin and an edge, inside a rectangle."""
    dx, dy = x1 - x0, y1 - y0
    first_x, last_x = _crossings(x0, dx, a)
    first_y, last_y = _crossings(y0, dy, b)
    one, other = max(first_x, first_y), min(last_x, last_y)
    stops = (min(first_x, first_y), min(one, other), max(one, other), max(last_x, last_y), 1.0)
    x, y = min(max(x0, -a), a), min(max(y0, -b), b)
    total = 0.0
    for stop in stops:
        next_x = min(max(x0 + stop * dx, -a), a)
        next_y = min(max(y0 + stop * dy, -b), b)
        total += x * next_y - next_x * y
        x, y = next_x, next_y
    return total


@kernel
def covered(plane, outline, level, face, column, row):
    """Return the part of a cell that a shape covers.

    The cell's edges are straight here, on the plane. What is thereby missing of its area, or too much, counts for
    cells that are covered, not for shapes that lie inside: hence a square.
    """
    side = 1.0 / (1 << level)
    x, y = column * side, row * side
    corners = (
        project(plane, direction(face, x, y)),
        project(plane, direction(face, x + side, y)),
        project(plane, direction(face, x + side, y + side)),
        project(plane, direction(face, x, y + side)),
    )
    a, b, hole = outline.a, outline.b, outline.inner
    whole, shared = 0.0, 0.0
    m, n = corners[3]
    for next_m, next_n in corners:
        whole += m * next_n - next_m * n
        if outline.box:
            shared += _within_box(m, n, next_m, next_n, a, b)
        else:
            shared += a * b * _within_disc(m / a, n / b, next_m / a, next_n / b)
            if hole > 0.0:
                inner = _within_disc(m / hole, n / hole, next_m / hole, next_n / hole)
                shared -= hole * hole * inner
        m, n = next_m, next_n
    part, straight = min(max(shared / whole, 0.0), 1.0), 0.5 * whole / cell_area(level)
    return part * straight + part * part * (1.0 - straight)
