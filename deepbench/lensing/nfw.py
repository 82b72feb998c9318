"""The halo of Navarro, Frenk & White, elliptical in its potential: ψ(x, y) = φ(√(q x² + y²/q)), x along the major axis.

``scale`` is the scale radius r_s, ``strength`` the deflection at r_s of the spherical halo, α_s = 4 (1 − ln 2) κ_s r_s
with κ_s = ρ_s r_s / Σ_cr; ``axis_ratio`` is q, that of the lines of equal potential (Golse & Kneib 2002, A&A 390, 821,
who scale the axes otherwise). The lines of equal κ are flatter, and κ is negative far out on the minor axis:
``ellipticity.least_axis_ratio`` says from where.

With X = r/r_s, F = T(1 − X²) of ``tangents`` and g = ln(X/2) + F the spherical halo has (Wright & Brainerd 2000, ApJ
534, 34, eqs. 11 and 13; Golse & Kneib 2002)

    mean κ = 4 κ_s g/X²,    κ = 2 κ_s (F − 1)/(1 − X²),    φ = 2 κ_s r_s² (ln²(X/2) − (1 − X²) F²).
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing.circular import circular_field
from deepbench.lensing.deflector import TINY, Field
from deepbench.lensing.tangents import small_ratio, tangent_ratio
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import log64

LN2 = math.log(2.0)
"""ln 2."""

AT_SCALE = 1.0 - LN2
"""g at r_s."""

INSIDE = 0.64
"""X² below which the functions of a halo are written so that ln(X/2) and F do not cancel."""


@inline
def prepare(row):
    """Write ``amplitude``, 4 κ_s."""
    row.amplitude = row.strength / (row.scale * AT_SCALE)


@inline
def halo_functions(square):
    """Return ln(X/2), F, g/X² and ln((1 + √(1 − X²))/2)/X² from X²; the last is 0 for X² ≥ INSIDE."""
    logarithm = 0.5 * log64(square) - LN2
    if square < INSIDE:
        root = np.sqrt(1.0 - square)
        # ln(1 − z) = −2 v T(v²) with z = X²/(2 (1 + root)), v = z/(2 − z)
        inverse = 1.0 / (1.0 + root)
        ratio = inverse / (2.0 - 0.5 * square * inverse)
        v = 0.5 * square * ratio
        rest = -ratio * small_ratio(v * v)
        mean = (rest - logarithm * inverse) / root
        return logarithm, square * mean - logarithm, mean, rest
    ratio = tangent_ratio(1.0 - square, square)[0]
    return logarithm, ratio, (logarithm + ratio) / square, 0.0


@inline
def surface_function(square, ratio):
    """Return (F − 1)/(1 − X²) from X² and F."""
    w = 1.0 - square
    return (ratio - 1.0) / w if square < INSIDE else tangent_ratio(w, square)[1]


@inline
def potential_function(square, logarithm, ratio, rest):
    """Return ln²(X/2) − (1 − X²) F² from what ``halo_functions`` returns."""
    if square < INSIDE:
        rest *= square
        return (2.0 * logarithm - rest) * rest
    return logarithm * logarithm - (1.0 - square) * ratio * ratio


@inline
def deflection_at(row, x, y):
    """Return the deflection at x along the major and y along the minor axis, along these axes."""
    stretch = row.stretch
    u, v = stretch * x, y / stretch
    square = max((u * u + v * v) / (row.scale * row.scale), TINY)
    mean = row.amplitude * halo_functions(square)[2]
    return mean * stretch * u, mean * v / stretch


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x along the major and y along the minor axis, along these axes."""
    stretch, q, area = row.stretch, row.axis_ratio, row.scale * row.scale
    u, v = stretch * x, y / stretch
    square = max((u * u + v * v) / area, TINY)
    logarithm, ratio, mean, rest = halo_functions(square)
    potential = 0.5 * row.amplitude * area * potential_function(square, logarithm, ratio, rest)
    kappa = 0.5 * row.amplitude * surface_function(square, ratio)
    own = circular_field(u, v, potential, row.amplitude * mean, kappa)
    return Field(potential, stretch * own.x, own.y / stretch, q * own.xx, own.xy, own.yy / q)
