"""The light of Sérsic profiles and Gaussian beams inside of cells of the sphere.

A profile lies on the plane that touches the sphere at its centre (``deepbench.sphere.objects.outlines``). On the plane,
stretched until its ellipses are circles and with the half-light radius as unit, let F(u) be the part of the light
inside of the radius √u. By Green's theorem the light in a cell is ∮ F dφ / 2π along its edges, φ the angle about the
centre, which no cusp at the centre disturbs, however small the profile; neighbours share their edges, so that no light
is lost. Cells over which the surface brightness F′(u) / π is smooth have its mean at 3 × 3 points instead.

A Gaussian beam is the profile of the index ½, of which half the FWHM is the half-light radius. The plane makes it
exp((cos θ − 1) / σ²), the Gaussian of the sphere (Fisher 1953, Proc. R. Soc. A 217, 295).

F is read from a table of Hermite's quintics in pieces, eight to an octave of u, of which the bits of u are the number.
The table of an index is made of those of its four neighbours among INDICES indices (Lagrange's cubic in log n), to
1e-5 of the light.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.sersic import (
    INDEX,
    SersicTables,
    light_outside,
    sersic_tables,
    shape_constants,
    within_range,
)
from deepbench.numerics.kernels import from_bits, inline, kernel, to_bits
from deepbench.numerics.mathfast import exp64, log64, pow64
from deepbench.sphere.objects.outlines import cell_area, project_tangents, turn

OUTSIDE_LIGHT = 5e-5
"""Cells wholly outside of the ellipse that leaves out this part of the light get none."""

INDICES = 128

FIRST_OCTAVE, LAST_OCTAVE = -24, 18
"""The tables reach from u = 2^-24, inside of which the brightness is constant, to 2^18, where all light is inside."""

PIECES = 8 * (LAST_OCTAVE - FIRST_OCTAVE)

DEEPEST = 40
"""An edge that passes close to the centre is halved so many times at most."""

SMOOTH = 1.6
"""Points inside represent cells whose sides are up to SMOOTH times the length over which the brightness changes."""

FLAT = 0.03
"""Sides of cells whose centre represents them, in the same length."""

STRAIGHT = 48
"""Points represent no cell whose centre is nearer to a pole, in units of its side."""

BEND = 0.25
"""No edge bends further away from the straight line, in its length."""

_FIRST_PIECE = (1023 + FIRST_OCTAVE) * 8
_SHIFT = np.uint64(52 - 3)
_REST = np.uint64((1 << 49) - 1)
_EXPONENT = np.uint64(0x7FF0000000000000)
_LEAST, _MOST = 2.0**FIRST_OCTAVE, 2.0**LAST_OCTAVE * (1.0 - 1e-15)
_NEAR_3, _WEIGHT_3, _MIDDLE_3 = 0.7745966692414834, 5.0 / 18.0, 8.0 / 18.0
_NEAR_5, _FAR_5 = 0.5384693101056831, 0.9061798459386640
_WEIGHT_NEAR_5, _WEIGHT_FAR_5, _MIDDLE_5 = (
    0.2393143352496832,
    0.1184634425280945,
    0.2844444444444444,
)


class Profile(NamedTuple):
    """A profile of unit light.

    Attributes
    ----------
    table : float64[PIECES, 6]
        The coefficients of F in the part of a piece that is passed, from 0 to 1.
    a, b : float
        Semi-axes of the ellipse that holds half of the light, in radian on the plane.
    reach : float
        Beyond, in half-light radii, all light counts as inside.
    """

    table: NDArray[np.float64]
    a: float
    b: float
    reach: float


@inline
def _piece_start(piece):
    """Return the u where a piece begins, and its width; the piece PIECES may be asked for, too."""
    octave = from_bits(np.uint64(1023 + FIRST_OCTAVE + piece // 8) << np.uint64(52))
    return octave * (1.0 + 0.125 * (piece % 8)), 0.125 * octave


@kernel
def _write_nodes(tables, nodes):
    """Write F and its first two derivatives by u where pieces begin, for the indices."""
    low, high = log64(INDEX[0]), log64(INDEX[1])
    for i in range(INDICES):
        index = exp64(low + (high - low) * i / (INDICES - 1.0))
        b, norm = shape_constants(index, tables)
        for k in range(PIECES + 1):
            u = _piece_start(k)[0]
            x = b * pow64(u, 0.5 / index)
            slope = np.pi * norm * exp64(-x)
            nodes[i, k, 0] = 1.0 - light_outside(np.sqrt(u), index, tables)
            nodes[i, k, 1] = slope
            nodes[i, k, 2] = -slope * 0.5 * x / (index * u)


@lru_cache(maxsize=1)
def profile_nodes() -> NDArray[np.float64]:
    """Return float64[INDICES, PIECES + 1, 3], what ``write_profile`` takes; made at the first call."""
    tables: SersicTables = sersic_tables()
    nodes = np.empty((INDICES, PIECES + 1, 3))
    _write_nodes(tables, nodes)
    nodes.setflags(write=False)
    return nodes


@kernel
def write_profile(index, nodes, values, table):
    """Write the table of a Sérsic index.

    Parameters
    ----------
    index : float
    nodes : float64[INDICES, PIECES + 1, 3]
    values : float64[PIECES + 1, 3]
        Scratch.
    table : float64[PIECES, 6]
        Written.

    Returns
    -------
    float
        The radius, in half-light radii, of the ellipse that leaves out OUTSIDE_LIGHT, rounded up to a piece.
    """
    low, high = log64(INDEX[0]), log64(INDEX[1])
    rank = (log64(within_range(index)) - low) / (high - low) * (INDICES - 1.0)
    first = min(max(int(rank) - 1, 0), INDICES - 4)
    t = rank - first
    weights = (
        -(t - 1.0) * (t - 2.0) * (t - 3.0) / 6.0,
        t * (t - 2.0) * (t - 3.0) / 2.0,
        -t * (t - 1.0) * (t - 3.0) / 2.0,
        t * (t - 1.0) * (t - 2.0) / 6.0,
    )
    below, at, above, beyond = nodes[first], nodes[first + 1], nodes[first + 2], nodes[first + 3]
    for k in range(PIECES + 1):
        for d in range(3):
            near = weights[1] * at[k, d] + weights[2] * above[k, d]
            values[k, d] = near + (weights[0] * below[k, d] + weights[3] * beyond[k, d])
    reach = PIECES
    while reach > 0 and values[reach - 1, 0] > 1.0 - OUTSIDE_LIGHT:
        reach -= 1
    for k in range(PIECES):
        width = _piece_start(k)[1]
        slope, end_slope = width * values[k, 1], width * values[k + 1, 1]
        bend, end_bend = 0.5 * width * width * values[k, 2], 0.5 * width * width * values[k + 1, 2]
        rise = values[k + 1, 0] - values[k, 0] - slope - bend
        slope_rise, bend_rise = end_slope - slope - 2.0 * bend, end_bend - bend
        table[k, 0], table[k, 1], table[k, 2] = values[k, 0], slope, bend
        table[k, 3] = 10.0 * rise - 4.0 * slope_rise + bend_rise
        table[k, 4] = -15.0 * rise + 7.0 * slope_rise - 2.0 * bend_rise
        table[k, 5] = 6.0 * rise - 3.0 * slope_rise + bend_rise
    return np.sqrt(_piece_start(reach)[0])


@inline
def _find(u):
    """Return the piece that holds u, the part of it that is passed, and its width."""
    bits = to_bits(min(max(u, _LEAST), _MOST))
    width = 0.125 * from_bits(bits & _EXPONENT)
    return int(bits >> _SHIFT) - _FIRST_PIECE, float(bits & _REST) * 2.0**-49, width


@inline
def light_inside(table, u):
    """Return F(u) / u."""
    piece, p, _ = _find(u)
    c = table[piece]
    light = c[0] + p * (c[1] + p * (c[2] + p * (c[3] + p * (c[4] + p * c[5]))))
    return light / max(u, _LEAST)


@inline
def brightness(table, u):
    """Return F′(u), and how fast it falls: −u F″ / F′, infinity where there is no light."""
    piece, p, width = _find(u)
    c = table[piece]
    slope = c[1] + p * (2.0 * c[2] + p * (3.0 * c[3] + p * (4.0 * c[4] + p * 5.0 * c[5])))
    bend = 2.0 * c[2] + p * (6.0 * c[3] + p * (12.0 * c[4] + p * 20.0 * c[5]))
    if u > _MOST or slope <= 0.0:
        return 0.0, np.inf
    return slope / width, -u * bend / (slope * width)


# --- cells ---------------------------------------------------------------------------------------


@inline
def _corner(plane, profile, face, x, y, side, to_x, to_y):
    """Return a position in half-light radii, and its derivatives along x and y times the side of the cell.

    The edges of the cell go from there to growing x or y where ``to_x`` and ``to_y`` are 1, else −1.
    """
    (m, n), (mx, nx), (my, ny) = project_tangents(plane, face, x, y, to_x, to_y)
    p, q = 1.0 / profile.a, 1.0 / profile.b
    px, qx, py, qy = p * side * to_x, q * side * to_x, p * side * to_y, q * side * to_y
    return (m * p, n * q), (mx * px, nx * qx), (my * py, ny * qy)


@inline
def _on_edge(edge, s):
    """Return u, u dφ/ds and the square of the speed at a point of an edge."""
    x = edge[0] + s * (edge[1] + s * (edge[2] + s * edge[3]))
    y = edge[4] + s * (edge[5] + s * (edge[6] + s * edge[7]))
    dx = edge[1] + s * (2.0 * edge[2] + 3.0 * s * edge[3])
    dy = edge[5] + s * (2.0 * edge[6] + 3.0 * s * edge[7])
    return x * x + y * y, x * dy - y * dx, dx * dx + dy * dy


@inline
def _flow(table, edge, s):
    """Return F dφ/ds at a point of an edge."""
    u, turned, _ = _on_edge(edge, s)
    return light_inside(table, u) * turned


@kernel
def _follow(table, edge):
    """Return the integral of F dφ along an edge.

    It is halved, again and again, until no part is longer than its distance from the centre.
    """
    total = 0.0
    depth, at = 0, 0  # the part is at × 2^-depth to (at + 1) × 2^-depth
    while True:
        length = 1.0 / (1 << depth)
        s = (at + 0.5) * length
        u, turned, square = _on_edge(edge, s)
        square *= length * length
        if square > u and square > _LEAST and depth < DEEPEST:
            depth += 1
            at *= 2
            continue
        middle = light_inside(table, u) * turned
        if square < 0.12 * u:
            near = 0.5 * length * _NEAR_3
            part = _flow(table, edge, s - near) + _flow(table, edge, s + near)
            total += length * (_MIDDLE_3 * middle + _WEIGHT_3 * part)
        else:
            near, far = 0.5 * length * _NEAR_5, 0.5 * length * _FAR_5
            part = _flow(table, edge, s - near) + _flow(table, edge, s + near)
            end = _flow(table, edge, s - far) + _flow(table, edge, s + far)
            total += length * (_MIDDLE_5 * middle + _WEIGHT_NEAR_5 * part + _WEIGHT_FAR_5 * end)
        at += 1
        while depth > 0 and at % 2 == 0:
            at //= 2
            depth -= 1
        if depth == 0:
            return total


@inline
def _edge(profile, start, start_slope, end, end_slope):
    """Return the integral of F dφ along an edge, Hermite's cubic between two corners."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    nearest = -(start[0] * dx + start[1] * dy) / square
    nearest = min(max(nearest, 0.0), 1.0)
    x, y = start[0] + nearest * dx, start[1] + nearest * dy
    if x * x + y * y > 2.0 * (profile.reach * profile.reach + BEND * BEND * square):
        return turn(start[0], start[1], end[0], end[1])
    return _follow(
        profile.table,
        (
            start[0],
            start_slope[0],
            3.0 * dx - 2.0 * start_slope[0] - end_slope[0],
            start_slope[0] + end_slope[0] - 2.0 * dx,
            start[1],
            start_slope[1],
            3.0 * dy - 2.0 * start_slope[1] - end_slope[1],
            start_slope[1] + end_slope[1] - 2.0 * dy,
        ),
    )


@kernel
def _mean(table, centre, along_x, along_y):
    """Return the mean of F′ over a parallelogram, by Gauss's 3 × 3 points."""
    step, total = 0.5 * _NEAR_3, 0.0
    for i in range(-1, 2):
        for j in range(-1, 2):
            x = centre[0] + step * (i * along_x[0] + j * along_y[0])
            y = centre[1] + step * (i * along_x[1] + j * along_y[1])
            weight = (_MIDDLE_3 if i == 0 else _WEIGHT_3) * (_MIDDLE_3 if j == 0 else _WEIGHT_3)
            total += weight * brightness(table, x * x + y * y)[0]
    return total


@inline
def _is_straight(level, face, column, row):
    """Tell whether a cell is a parallelogram on the plane: far from a pole, and not half inside of a cap."""
    count = 1 << level
    north = (2 + face // 4) * count - column - row - 1
    return min(north, 4 * count - north) >= STRAIGHT and north != count and north != 3 * count


@kernel
def cell_light(plane, profile, level, face, column, row):
    """Return the part of a profile's light in a cell."""
    side = 1.0 / (1 << level)
    x, y = column * side, row * side
    centre, along_x, along_y = _corner(
        plane, profile, face, x + 0.5 * side, y + 0.5 * side, side, 1.0, 1.0
    )
    u = centre[0] * centre[0] + centre[1] * centre[1]
    size = along_x[0] * along_x[0] + along_x[1] * along_x[1]
    size = max(size, along_y[0] * along_y[0] + along_y[1] * along_y[1])
    slope, fall = brightness(profile.table, u)
    fall = 2.0 + 2.0 * abs(fall)
    smooth = size * fall * fall < SMOOTH * SMOOTH * u
    if smooth and _is_straight(level, face, column, row):
        area = cell_area(level) / (np.pi * profile.a * profile.b)
        if size * fall * fall < FLAT * FLAT * u:
            return area * slope
        return area * _mean(profile.table, centre, along_x, along_y)
    south, south_x, south_y = _corner(plane, profile, face, x, y, side, 1.0, 1.0)
    east, east_x, east_y = _corner(plane, profile, face, x + side, y, side, -1.0, 1.0)
    north, north_x, north_y = _corner(plane, profile, face, x + side, y + side, side, -1.0, -1.0)
    west, west_x, west_y = _corner(plane, profile, face, x, y + side, side, 1.0, -1.0)
    total = _edge(profile, south, south_x, east, east_x)
    total += _edge(profile, east, east_y, north, north_y)
    total -= _edge(profile, west, west_x, north, north_x)
    total -= _edge(profile, south, south_y, west, west_y)
    return max(total / (2.0 * np.pi), 0.0)
