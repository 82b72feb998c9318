"""Sérsic profiles of lensed galaxies: polynomials with the same light and second moments stand for their cusps."""

from __future__ import annotations

import numpy as np

from deepbench.images.galaxies.sersic import (
    component_ellipse,
    light_outside,
    shape_constants,
    within_range,
)
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import exp32, exp64, log32, log64

CORE = 0.9
"""Semi-minor axis of the window in which a polynomial stands for a cusp, in offsets."""

NO_CORE = 1e-3
"""Semi-minor axis of that window where the profile has no cusp, in offsets."""

CORE_FIRST, CORE_STEP, CORE_STEPS = -20.0, 0.25, 86
"""Points of ln t in the sums over a cusp: the first, their distance and their number."""

MOST = 1e30
"""Square of a radius that no light reaches."""

NUMBERS = 11
"""Numbers of a profile."""

_ZERO, _TINY, _FAR = np.float32(0.0), np.float32(1e-20), np.float32(80.0)
_FADED = np.float32(4.0)  # exp(−t²) is 1e-7 there


@inline
def _write_profile(row, end, core, tables, profile):
    """Write the numbers of a Sérsic profile, which ends at a circularised radius, as ``add_sersic`` reads them.

    ``core`` is ε, the circularised radius of the window in which a polynomial stands for the cusp.
    """
    shape = component_ellipse(row)
    rate, norm = shape_constants(row.sersic_index, tables)
    part, last = 1.0, MOST
    if end < MOST:
        radius = end / row.half_light_radius
        part, last = 1.0 - light_outside(radius, row.sersic_index, tables), radius * radius
    profile[0], profile[1] = shape.cosine / shape.a, shape.sine / shape.a
    profile[2], profile[3] = shape.cosine / shape.b, shape.sine / shape.b
    profile[4] = row.flux * norm / (part * shape.a * shape.b)
    profile[5], profile[6] = 0.5 / within_range(row.sersic_index), -rate
    profile[7] = last
    epsilon = min(core / row.half_light_radius, 0.4 * np.sqrt(last))
    profile[8] = 1.0 / (epsilon * epsilon)
    profile[9], profile[10] = _core(within_range(row.sersic_index), rate, epsilon * epsilon)


@inline
def _core(index, rate, square):
    """Return the polynomial a + b t, t = (r/ε)², that has the light and the second moments of a profile in a window.

    With the window exp(−t²), ∫ (a + b t) t^k exp(−t²) dt is that of the profile, for k = 0 and 1. The sums are over
    equal steps of ln t.
    """
    zeroth, first = 0.0, 0.0
    for i in range(CORE_STEPS):
        logarithm = CORE_FIRST + i * CORE_STEP
        t = exp64(logarithm)
        light = t * exp64(-t * t - rate * exp64(0.5 / index * (logarithm + log64(square))))
        zeroth += light
        first += t * light
    zeroth *= CORE_STEP
    first *= CORE_STEP
    # the moments of the window are √π/2, 1/2 and √π/4
    determinant = np.pi / 8.0 - 0.25
    root = np.sqrt(np.pi)
    return (
        (0.25 * root * zeroth - 0.5 * first) / determinant,
        (0.5 * root * first - 0.5 * zeroth) / determinant,
    )


@inline
def add_sersic(profile, bx, by, squares, values, least, light):
    """Add the surface brightness of a Sérsic profile at points about its centre, per square pixel.

    ``squares`` and ``values`` are scratch; the points are no nearer to the centre than ``least``, a square.
    """
    c, s, d, e = profile[0], profile[1], profile[2], profile[3]
    amplitude, power, rate, last = profile[4], profile[5], profile[6], profile[7]
    for i in range(light.size):
        u, v = c * bx[i] + s * by[i], d * by[i] - e * bx[i]
        square = u * u + v * v + _TINY
        value = amplitude * exp32(rate * exp32(power * log32(square)))
        squares[i], values[i] = square, value
        light[i] += value if square < last else _ZERO
    narrow = profile[8]
    if least * min(c * c + s * s, d * d + e * e) * narrow > _FADED:
        return
    constant, linear = amplitude * profile[9], amplitude * profile[10]
    for i in range(light.size):
        t = squares[i] * narrow
        light[i] += exp32(-min(t * t, _FAR)) * (constant + linear * t - values[i])


@inline
def _core_radius(row, smallest):
    """Return the circularised radius of the window in which a polynomial stands for the cusp, next to none without."""
    part = CORE if row.sersic_index > 0.5 else NO_CORE
    return part * smallest / component_ellipse(row).b * row.half_light_radius


@inline
def write_profiles(light_of, image, smallest, tables, profiles):
    """Return the numbers of all Sérsic profiles of a galaxy, float32[n, NUMBERS]."""
    count = 0
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        own = light_of.components[k]
        _write_profile(own, MOST, _core_radius(own, smallest), tables, profiles[count])
        count += 1
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        own = light_of.truncated[k]
        _write_profile(own, own.truncation, _core_radius(own, smallest), tables, profiles[count])
        count += 1
    return profiles[:count]
