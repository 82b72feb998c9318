"""The elliptical power law: κ = (3 − γ)/2 · (θ_E / √(q x² + y²/q))^(γ − 1), x along the major axis.

``strength`` is the Einstein radius θ_E, which the area inside of a circle of that radius has whatever the axis ratio q;
``slope`` is γ, 2 for the singular isothermal ellipsoid; ``angle`` is the direction of the major axis.

The deflection is that of Tessore & Metcalf (2015, A&A 580, A79), eq. 13, with their b = θ_E √q and t = γ − 1:

    α = 2b/(1 + q) (b/R)^(t−1) Σ Ω_n,    Ω_0 = e^(iφ),    Ω_n = −f (2n − 2 + t)/(2n + 2 − t) e^(2iφ) Ω_(n−1),

where f = (1 − q)/(1 + q), R e^(iφ) = q x + i y. The sum is e^(iφ) Σ c_n e^(2inφ) with real c_n, the row's ``series``,
which Clenshaw's recurrence sums (1955, MTAC 9, 118). The shear is their eq. 17, the potential ψ = (α · θ)/(2 − t).
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing.deflector import MOST_TERMS, Field
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import exp64, log64, pow64

LEAST_AXIS_RATIO = 0.2
"""Least axis ratio for which the series has enough terms."""

LEAST_TERM = math.log(1e-17)
"""Logarithm of the least term of the series that is kept."""

TINY = 1e-200
"""Square of the distance from the centre that stands for none."""


@inline
def prepare(row):
    """Write the numbers of a row: ``amplitude`` (b/R)^(1−t) 2b/(1 + q) at R = 1, ``power`` (1 − t)/2, ``series``."""
    q, t = row.axis_ratio, row.slope - 1.0
    f = (1.0 - q) / (1.0 + q)
    terms = 1 if f < 1e-17 else 2 + int(LEAST_TERM / log64(f))
    row.terms = min(terms, MOST_TERMS)
    term = 1.0
    for n in range(row.terms):
        row.series[n] = term
        term *= -f * (2.0 * n + t) / (2.0 * n + 4.0 - t)
    for n in range(row.terms, MOST_TERMS):
        row.series[n] = 0.0
    b = row.strength * np.sqrt(q)
    row.amplitude = 2.0 / (1.0 + q) * (b if t == 1.0 else pow64(b, t))
    row.power = 0.5 * (1.0 - t)


@inline
def _deflection(row, major, minor):
    """Return the deflection along the major and the minor axis."""
    u = row.axis_ratio * major
    square = max(u * u + minor * minor, TINY)
    inverse = 1.0 / np.sqrt(square)
    cosine, sine = u * inverse, minor * inverse
    twice = 2.0 * (cosine * cosine - sine * sine)
    first, second = 0.0, 0.0
    for n in range(row.terms - 1, -1, -1):
        first, second = row.series[n] + (twice * first - second), first
    size = row.amplitude
    if row.power != 0.0:
        size *= exp64(row.power * log64(square))
    return size * cosine * (first - second), size * sine * (first + second)


@inline
def deflection_at(row, x, y):
    """Return the deflection of a power law at x and y from the origin of the plane, arcsec."""
    c, s = row.cosine, row.sine
    dx, dy = x - row.x, y - row.y
    ax, ay = _deflection(row, c * dx + s * dy, c * dy - s * dx)
    return c * ax - s * ay, s * ax + c * ay


@inline
def field_at(row, x, y):
    """Return the ``Field`` of a power law at x and y from the origin of the plane."""
    dx, dy = x - row.x, y - row.y
    c, s = row.cosine, row.sine
    major, minor = c * dx + s * dy, c * dy - s * dx
    ax, ay = _deflection(row, major, minor)
    ax, ay = c * ax - s * ay, s * ax + c * ay
    q, t = row.axis_ratio, row.slope - 1.0
    square = max(dx * dx + dy * dy, TINY)
    radius = np.sqrt(max(q * major * major + minor * minor / q, TINY))
    kappa = row.strength / radius
    if t != 1.0:
        kappa = pow64(kappa, t)
    kappa *= 0.5 * (2.0 - t)
    # γ = −κ e^(2iθ) + (1 − t) e^(iθ) α / |θ|
    cos2, sin2 = (dx * dx - dy * dy) / square, 2.0 * dx * dy / square
    gamma1 = -kappa * cos2 + (1.0 - t) * (dx * ax - dy * ay) / square
    gamma2 = -kappa * sin2 + (1.0 - t) * (dx * ay + dy * ax) / square
    potential = (dx * ax + dy * ay) / (2.0 - t)
    return Field(potential, ax, ay, kappa + gamma1, gamma2, kappa - gamma1)
