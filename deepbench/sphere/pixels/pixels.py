"""HEALPix pixels in NEST order, for kernels: where they lie, and which one holds a direction.

Each of the 12 faces is a unit square of equal-area coordinates: from its southern corner x grows to the north-east and
y to the north-west. The distance from the north pole, counted in faces, is r = 2 + face // 4 − x − y, which is
i / nside in Górski et al. (2005, ApJ 622, 759). With s = x − y and the face's middle at the longitude 45 j degrees,

    z = 4/3 − 2r/3,    longitude = 45 (j + s)        for 1 ≤ r ≤ 3 (their eqs 8 and 9),
    z = 1 − r²/3,      longitude = 45 (j + s / r)    for r < 1 (their eqs 4 and 5),

and the southern cap mirrors the northern one. All areas are π/3 times those on the unit squares. At nside = 2^k a face
has 2^k × 2^k pixels, the bits of whose columns (x) and rows (y) alternate in the NEST number, so that the pixel p holds
the pixels 4p to 4p + 3 of the next level.
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64

RADIUS = 1.07
"""No point of a pixel is further from its centre than RADIUS / nside, in radian."""

STEEPEST = 1.46
"""One radian on the sphere changes x or y by STEEPEST at most: the gradient is largest at a pole, √(3/2 + 6/π²)."""

FACE_AREA = math.pi / 3.0
"""Area of a face (steradian)."""

MOST_LEVEL = 29
"""Numbers of pixels fit into int64 up to nside = 2^29."""

_QUARTER = 0.25 * math.pi


@inline
def tangent(face, x, y, dx, dy):
    """Return a direction and its derivative along (dx, dy), one-sided where a cap begins and at a pole.

    Parameters
    ----------
    face : int
    x, y : float
        From 0 to 1.
    dx, dy : float
        Derivatives of x and y.

    Returns
    -------
    tuple of 3 float, tuple of 3 float
        A unit vector, and its derivative.
    """
    row = face // 4
    middle = float(2 * (face % 4) + (row + 1) % 2)
    r, dr = 2.0 + row - x - y, -dx - dy
    side, side_change = x - y, dx - dy
    north = r < 1.0 or (r == 1.0 and dr < 0.0)
    if not north and (r < 3.0 or (r == 3.0 and dr <= 0.0)):
        z, dz = (2.0 - r) / 1.5, -dr / 1.5
        rho = np.sqrt(1.0 - z * z)
        rho_change = -z * dz / rho
        along = _QUARTER * rho * side_change  # rho times the change of longitude
    else:
        sign = 1.0 if north else -1.0
        if not north:
            r, dr = 4.0 - r, -dr
        root = np.sqrt(6.0 - r * r) / 3.0
        if r > 0.0:
            side /= r
        elif dr != 0.0:
            side = side_change / dr  # the limit at a pole
        cap = 1.0 - r * r / 3.0
        z, dz = sign * cap, -sign * r * dr / 1.5
        rho, rho_change = r * root, cap * dr / (1.5 * root)
        along = _QUARTER * root * (side_change - side * dr)
    sine, cosine = sincosd64(45.0 * (middle + side))
    position = (rho * cosine, rho * sine, z)
    return position, (rho_change * cosine - along * sine, rho_change * sine + along * cosine, dz)


@inline
def direction(face, x, y):
    """Return the unit vector of a position on a face."""
    return tangent(face, x, y, 0.0, 0.0)[0]


@inline
def face_position(longitude, latitude):
    """Return the face that holds a direction, and its x and y, from 0 to 1.

    Parameters
    ----------
    longitude, latitude : float
        In degrees; any longitude.

    Returns
    -------
    int, float, float
    """
    z, rho = sincosd64(latitude)
    rho = abs(rho)
    turn = longitude / 90.0
    turn -= 4.0 * np.floor(0.25 * turn)
    turn = 0.0 if turn >= 4.0 else turn
    if abs(z) <= 2.0 / 3.0:
        # lines of constant x and y are straight in (longitude, z), and cross at whole numbers between faces
        right, left = turn + 0.5 + 0.75 * z, turn + 0.5 - 0.75 * z
        i, j = int(np.floor(right)), int(np.floor(left))
        face = 4 + i % 4 if i == j else (j % 4 if i > j else 8 + i % 4)
        return face, right - i, 1.0 - (left - j)
    quadrant = int(turn)
    part = turn - quadrant
    r = rho * np.sqrt(3.0 / (1.0 + abs(z)))
    if z > 0.0:
        return quadrant, 1.0 - r * (1.0 - part), 1.0 - r * part
    return 8 + quadrant, r * part, r * (1.0 - part)


@inline
def _spread(bits):
    """Return a number with a zero before each of its 32 lowest bits."""
    bits = (bits | (bits << 16)) & 0x0000FFFF0000FFFF
    bits = (bits | (bits << 8)) & 0x00FF00FF00FF00FF
    bits = (bits | (bits << 4)) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | (bits << 2)) & 0x3333333333333333
    return (bits | (bits << 1)) & 0x5555555555555555


@inline
def nest_number(level, face, column, row):
    """Return the NEST number, at nside = 2^level, of the pixel in a column (x) and a row (y) of a face."""
    return (face << (2 * level)) + _spread(column) + (_spread(row) << 1)


@inline
def cell_of(level, position):
    """Return the column or row, of 2^level, of an x or y."""
    count = 1 << level
    return min(max(int(position * count), 0), count - 1)


@kernel
def pixel_of(level, longitude, latitude):
    """Return the NEST number, at nside = 2^level, of the pixel that holds a direction in degrees."""
    face, x, y = face_position(longitude, latitude)
    return nest_number(level, face, cell_of(level, x), cell_of(level, y))
