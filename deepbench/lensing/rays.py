"""Deflections in float32 along a line of points, for light that is traced through a plane.

Loops over the points are inside, so that they are vectorised. Positions count from the point of the line that is next
to a deflector's centre: their error is relative to the distance from it.
"""

from __future__ import annotations

import numpy as np

from deepbench.lensing.deflector import POWER_LAW
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import exp32, log32

SCRATCH = 5
"""Number of scratch lines."""

_ZERO, _ONE, _TWO, _HALF = np.float32(0.0), np.float32(1.0), np.float32(2.0), np.float32(0.5)
_TINY = np.float32(1e-30)
_SINGLE = 0.5
"""Share of a float64 series that matters in float32."""


@inline
def _from_centre(row, x, y, step, count):
    """Return the number of the point next to a deflector's centre, and its offset from the centre."""
    number = min(max(np.rint((row.x - x) / step), 0.0), count - 1.0)
    return np.float32(number), np.float32(x - row.x + number * step), np.float32(y - row.y)


@inline
def _add_power_law(row, x, y, step, lines, ax, ay):
    """Add the deflection of a power law."""
    count = ax.size
    number, x, y = _from_centre(row, x, y, step, count)
    step, q = np.float32(step), np.float32(row.axis_ratio)
    c, s = np.float32(row.cosine), np.float32(row.sine)
    us, vs, twice, first, second = lines[0], lines[1], lines[2], lines[3], lines[4]
    for i in range(count):
        dx = x + (np.float32(np.int32(i)) - number) * step
        u, v = q * (c * dx + s * y), c * y - s * dx
        square = u * u + v * v
        square = square if square > _TINY else _TINY
        inverse = _ONE / np.sqrt(square)
        u, v = u * inverse, v * inverse
        us[i], vs[i] = u, v
        twice[i] = _TWO * (u * u - v * v)
        first[i], second[i] = _ZERO, square
    if row.power != 0.0:
        power = np.float32(row.power)
        for i in range(count):
            size = exp32(power * log32(second[i]))
            us[i] *= size
            vs[i] *= size
    for i in range(count):
        second[i] = _ZERO
    blocks = int(_SINGLE * row.terms + 4.0) // 4
    for n in range(4 * blocks - 4, -1, -4):
        c3, c2 = np.float32(row.series[n + 3]), np.float32(row.series[n + 2])
        c1, c0 = np.float32(row.series[n + 1]), np.float32(row.series[n])
        for i in range(count):
            t, b4, b5 = twice[i], first[i], second[i]
            b3 = c3 + (t * b4 - b5)
            b2 = c2 + (t * b3 - b4)
            b1 = c1 + (t * b2 - b3)
            first[i] = c0 + (t * b1 - b2)
            second[i] = b1
    c, s = np.float32(row.amplitude * row.cosine), np.float32(row.amplitude * row.sine)
    for i in range(count):
        major, minor = us[i] * (first[i] - second[i]), vs[i] * (first[i] + second[i])
        ax[i] += c * major - s * minor
        ay[i] += s * major + c * minor


@inline
def _add_external(row, x, y, step, ax, ay):
    """Add the deflection of external shear and convergence."""
    number, x, y = _from_centre(row, x, y, step, ax.size)
    step = np.float32(step)
    gamma1 = row.strength * (row.cosine * row.cosine - row.sine * row.sine)
    gamma2 = np.float32(row.strength * 2.0 * row.cosine * row.sine)
    xx, yy = np.float32(row.convergence + gamma1), np.float32(row.convergence - gamma1)
    for i in range(ax.size):
        dx = x + (np.float32(np.int32(i)) - number) * step
        ax[i] += xx * dx + gamma2 * y
        ay[i] += gamma2 * dx + yy * y


@inline
def deflect_line(rows, x, y, step, lines, ax, ay):
    """Write the deflection of a plane at points along a line, x + i step and y from the origin, arcsec.

    Parameters
    ----------
    rows : PREPARED_ROW[m]
    x, y, step : float
        First point and distance of the points, arcsec.
    lines : float32[SCRATCH, n]
        Scratch; n at least the number of points.
    ax, ay : float32[number of points]
        Deflection, arcsec.
    """
    for i in range(ax.size):
        ax[i], ay[i] = _ZERO, _ZERO
    for m in range(rows.shape[0]):
        row = rows[m]
        if row.family == POWER_LAW:
            _add_power_law(row, x, y, step, lines, ax, ay)
        else:
            _add_external(row, x, y, step, ax, ay)
