"""Deflections in float32 at many points, for light that is traced through a plane.

Loops over the points are inside, so that they are vectorised. Positions count from each deflector's centre, so that
their errors are relative to the distance from it. A deflection errs by less than 2e-6 of its size and the Einstein
radius, 5e-6 for axis ratios below 0.2, where positions along the minor axis decide. The formulas are those of the
families' modules.
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing.deflector import (
    EXTERNAL,
    ISOTHERMAL,
    NFW,
    POINT_MASS,
    POWER_LAW,
    TRUNCATED_NFW,
)
from deepbench.lensing.nfw import INSIDE, LN2
from deepbench.lensing.tangents import falling_ratio32, rising_ratio32, small_ratio32
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import exp32, log32

SCRATCH = 5
"""Number of scratch lines."""

_ZERO, _HALF, _ONE, _TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)
_FOUR = np.float32(4.0)
_TINY = np.float32(1e-30)
_LN2, _PI = np.float32(LN2), np.float32(math.pi)
_INSIDE = np.float32(INSIDE)
_SINGLE = 0.5
"""Share of a float64 series that matters in float32."""


@inline
def _power_law(row, xs, ys, lines):
    """Replace positions by the deflection of a power law, but for its ``amplitude``."""
    q, count = np.float32(row.axis_ratio), xs.size
    double, first, second = lines[2], lines[3], lines[4]
    for i in range(count):
        u, v = q * xs[i], ys[i]
        square = u * u + v * v
        square = square if square > _TINY else _TINY
        inverse = _ONE / np.sqrt(square)
        u, v = u * inverse, v * inverse
        xs[i], ys[i] = u, v
        double[i] = _TWO * (u * u - v * v)
        first[i], second[i] = _ZERO, square
    if row.power != 0.0:
        power = np.float32(row.power)
        for i in range(count):
            size = exp32(power * log32(second[i]))
            xs[i] *= size
            ys[i] *= size
    for i in range(count):
        second[i] = _ZERO
    blocks = int(_SINGLE * row.terms + 4.0) // 4
    for n in range(4 * blocks - 4, -1, -4):
        c3, c2 = np.float32(row.series[n + 3]), np.float32(row.series[n + 2])
        c1, c0 = np.float32(row.series[n + 1]), np.float32(row.series[n])
        for i in range(count):
            t, b4, b5 = double[i], first[i], second[i]
            b3 = c3 + (t * b4 - b5)
            b2 = c2 + (t * b3 - b4)
            b1 = c1 + (t * b2 - b3)
            first[i] = c0 + (t * b1 - b2)
            second[i] = b1
    size = np.float32(row.amplitude)
    for i in range(count):
        along, across = first[i] - second[i], first[i] + second[i]
        xs[i] *= size * along
        ys[i] *= size * across


@inline
def _external(row, xs, ys):
    """Replace positions by the deflection of external shear and convergence."""
    along = np.float32(row.convergence + row.strength)
    across = np.float32(row.convergence - row.strength)
    for i in range(xs.size):
        xs[i] *= along
        ys[i] *= across


@inline
def _isothermal(row, xs, ys):
    """Replace positions by the deflection of an isothermal ellipsoid with a core."""
    q, s = np.float32(row.axis_ratio), np.float32(row.scale)
    flat = np.float32((1.0 - row.axis_ratio) * (1.0 + row.axis_ratio))
    stretch, inverse = np.float32(row.stretch), np.float32(1.0 / row.stretch)
    core = s * s + _TINY
    size = np.float32(row.strength * row.stretch)
    for i in range(xs.size):
        u, v = stretch * xs[i], inverse * ys[i]
        radius = np.sqrt(core + (u * u + v * v))
        u, v = u / (q * radius + s), v / (radius + q * s)
        across = flat * v * v
        xs[i] = size * u * falling_ratio32(-flat * u * u)
        ys[i] = size * v * rising_ratio32(across, _ONE - across)


@inline
def _point_mass(row, xs, ys):
    """Replace positions by the deflection of a point mass."""
    mass = np.float32(row.strength * row.strength)
    for i in range(xs.size):
        square = xs[i] * xs[i] + ys[i] * ys[i]
        mean = mass / (square if square > _TINY else _TINY)
        xs[i] *= mean
        ys[i] *= mean


@inline
def _halo(square):
    """Return ln(X/2), F and g/X² of an NFW halo from X², without a branch."""
    logarithm = _HALF * log32(square) - _LN2
    inner = square if square < _INSIDE else _INSIDE
    root = np.sqrt(_ONE - inner)
    inverse = _ONE / (_ONE + root)
    ratio = inverse / (_TWO - _HALF * inner * inverse)
    v = _HALF * inner * ratio
    mean = -(ratio * small_ratio32(v * v) + logarithm * inverse) / root
    w = _ONE - square
    falling = falling_ratio32(w if w < _ZERO else _ZERO)
    rest = square if square > _INSIDE else _INSIDE
    rising = rising_ratio32(_ONE - rest if rest < _ONE else _ZERO, rest)
    outer = falling if w < _ZERO else rising
    inside = square < _INSIDE
    tangent = square * mean - logarithm if inside else outer
    mean = mean if inside else (logarithm + outer) / square
    return logarithm, tangent, mean


@inline
def _nfw(row, xs, ys):
    """Replace positions by the deflection of an NFW halo."""
    stretch, inverse = np.float32(row.stretch), np.float32(1.0 / row.stretch)
    size, area = np.float32(row.amplitude), np.float32(1.0 / (row.scale * row.scale))
    for i in range(xs.size):
        u, v = stretch * xs[i], inverse * ys[i]
        square = area * (u * u + v * v) + _TINY
        mean = size * _halo(square)[2]
        xs[i] = mean * stretch * u
        ys[i] = mean * inverse * v


@inline
def _truncated_nfw(row, xs, ys):
    """Replace positions by the deflection of a truncated NFW halo."""
    tau, area = np.float32(row.truncation / row.scale), np.float32(1.0 / (row.scale * row.scale))
    minus = np.float32(
        row.amplitude * (row.truncation / row.scale * (row.truncation / row.scale) - 1.0)
    )
    size = np.float32(row.amplitude)
    for i in range(xs.size):
        square = area * (xs[i] * xs[i] + ys[i] * ys[i]) + _TINY
        _, tangent, mean = _halo(square)
        reach = np.sqrt(tau * tau + square) + tau
        slope = _ONE / (tau * reach)
        logarithm = _HALF * log32(square / (reach * reach))
        delta = square * slope
        inverse = _ONE / (_FOUR + delta)
        v = delta * inverse
        ratio = rising_ratio32(v * v, (_FOUR + _TWO * delta) * _FOUR * inverse * inverse)
        inner = mean + slope * (logarithm - _TWO * inverse * ratio)
        mean = minus * inner + size * (_TWO * tangent - _PI / reach)
        xs[i] *= mean
        ys[i] *= mean


@inline
def _multipole(row, xs, ys):
    """Replace positions by the deflection of a multipole."""
    order = row.order
    outwards = np.float32(row.strength / (1.0 - float(order * order)))
    around = np.float32(-row.strength / (1.0 - float(order * order)) * order)
    for i in range(xs.size):
        x, y = xs[i], ys[i]
        square = x * x + y * y
        inverse = _ONE / np.sqrt(square if square > _TINY else _TINY)
        cosine, sine = x * inverse, y * inverse
        c, s = cosine * cosine - sine * sine, _TWO * cosine * sine
        c, s = (
            (c * cosine - s * sine, c * sine + s * cosine)
            if order == 3
            else (c * c - s * s, _TWO * c * s)
        )
        radial, tangential = outwards * c, around * s
        xs[i] = radial * cosine - tangential * sine
        ys[i] = radial * sine + tangential * cosine


@inline
def _add_deflection(row, xs, ys, lines, ax, ay):
    """Add the deflection at points in the axes of a deflector, which it replaces."""
    if row.family == POWER_LAW:
        _power_law(row, xs, ys, lines)
    elif row.family == EXTERNAL:
        _external(row, xs, ys)
    elif row.family == ISOTHERMAL:
        _isothermal(row, xs, ys)
    elif row.family == POINT_MASS:
        _point_mass(row, xs, ys)
    elif row.family == NFW:
        _nfw(row, xs, ys)
    elif row.family == TRUNCATED_NFW:
        _truncated_nfw(row, xs, ys)
    else:
        _multipole(row, xs, ys)
    c, s = np.float32(row.cosine), np.float32(row.sine)
    for i in range(xs.size):
        ax[i] += c * xs[i] - s * ys[i]
        ay[i] += s * xs[i] + c * ys[i]


@inline
def deflect_line(rows, x, y, step, lines, ax, ay):
    """Write the deflection of a plane at points along a line, x + i step and y from the origin, arcsec.

    Parameters
    ----------
    rows : PREPARED_ROW[m]
    x, y, step : float
        First point and distance of the points, arcsec.
    lines : float32[SCRATCH, at least n]
        Scratch.
    ax, ay : float32[n]
        Deflection, arcsec.
    """
    count = ax.size
    xs, ys = lines[0][:count], lines[1][:count]
    for i in range(count):
        ax[i], ay[i] = _ZERO, _ZERO
    for m in range(rows.shape[0]):
        row = rows[m]
        next_to = min(max(np.rint((row.x - x) / step), 0.0), count - 1.0)
        dx, dy = x - row.x + next_to * step, y - row.y
        c, s = row.cosine, row.sine
        x0, x1 = np.float32(c * dx + s * dy), np.float32(c * step)
        y0, y1 = np.float32(c * dy - s * dx), np.float32(-s * step)
        middle = np.float32(next_to)
        for i in range(count):
            steps = np.float32(np.int32(i)) - middle
            xs[i], ys[i] = x0 + x1 * steps, y0 + y1 * steps
        _add_deflection(row, xs, ys, lines, ax, ay)


@inline
def deflect_points(rows, x, y, lines, ax, ay):
    """Write the deflection of a plane at any points, arcsec.

    Parameters
    ----------
    rows : PREPARED_ROW[m]
    x, y : float64[n]
        Points, from the origin, arcsec.
    lines, ax, ay
        As those of ``deflect_line``.
    """
    count = ax.size
    xs, ys = lines[0][:count], lines[1][:count]
    for i in range(count):
        ax[i], ay[i] = _ZERO, _ZERO
    for m in range(rows.shape[0]):
        row = rows[m]
        c, s = row.cosine, row.sine
        for i in range(count):
            dx, dy = x[i] - row.x, y[i] - row.y
            xs[i], ys[i] = np.float32(c * dx + s * dy), np.float32(c * dy - s * dx)
        _add_deflection(row, xs, ys, lines, ax, ay)
