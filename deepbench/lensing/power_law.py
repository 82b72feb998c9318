"""The elliptical power law: κ = (3 − γ)/2 · (θ_E / √(q x² + y²/q))^(γ − 1), x along the major axis.

``strength`` is the Einstein radius θ_E: the ellipse of mean convergence 1 has the area of that circle, whatever the
axis ratio q; ``slope`` is γ, 2 for the singular isothermal ellipsoid; ``angle`` is the direction of the major axis.

The deflection is that of Tessore & Metcalf (2015, A&A 580, A79), eq. 13, with their b = θ_E √q and t = γ − 1:

    α = 2b/(1 + q) (b/R)^(t−1) Σ Ω_n,    Ω_0 = e^(iφ),    Ω_n = −f (2n − 2 + t)/(2n + 2 − t) e^(2iφ) Ω_(n−1),

where f = (1 − q)/(1 + q), R e^(iφ) = q x + i y. The sum is e^(iφ) Σ c_n e^(2inφ) with real c_n, the row's ``series``.
Clenshaw's recurrence (1955, MTAC 9, 118) sums it, apart for each n modulo 4, so that four run at once. The shear
is their eq. 17, the potential ψ = (α · θ)/(2 − t).
"""

from __future__ import annotations

import numpy as np

from deepbench.lensing.deflector import MOST_TERMS, TINY, Field
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import exp64, log64, pow64

LEAST_AXIS_RATIO = 0.1
"""Least axis ratio for which the series has enough terms."""

LEAST_TERM = 1e-17
"""Least term of the series that is kept."""


@inline
def prepare(row):
    """Write ``amplitude``, 2b/(1 + q) (b/R)^(t−1) at R = 1, ``power``, (1 − t)/2, and 4 k terms of ``series``."""
    q, t = row.axis_ratio, row.slope - 1.0
    f = (1.0 - q) / (1.0 + q)
    term, n = 1.0, 0
    while abs(term) > LEAST_TERM and n < MOST_TERMS:
        row.series[n] = term
        term *= -f * (2.0 * n + t) / (2.0 * n + 4.0 - t)
        n += 1
    while n % 4 != 0:
        row.series[n] = 0.0
        n += 1
    row.terms = n
    b = row.strength * row.stretch
    row.amplitude = 2.0 / (1.0 + q) * (b if t == 1.0 else pow64(b, t))
    row.power = 0.5 * (1.0 - t)


@inline
def _deflection(row, x, y):
    """Return the deflection, and b^t R^(−t) 2/(1 + q)."""
    u = row.axis_ratio * x
    square = max(u * u + y * y, TINY)
    inverse = 1.0 / np.sqrt(square)
    cosine, sine = u * inverse, y * inverse
    double = 2.0 * (cosine * cosine - sine * sine)
    fourfold = double * double - 2.0
    eightfold = fourfold * fourfold - 2.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    last0, last1, last2, last3 = 0.0, 0.0, 0.0, 0.0
    for n in range(row.terms - 4, -1, -4):
        b0, last0 = eightfold * b0 + (row.series[n] - last0), b0
        b1, last1 = eightfold * b1 + (row.series[n + 1] - last1), b1
        b2, last2 = eightfold * b2 + (row.series[n + 2] - last2), b2
        b3, last3 = eightfold * b3 + (row.series[n + 3] - last3), b3
    size = row.amplitude
    if row.power != 0.0:
        size *= exp64(row.power * log64(square))
    # cos(n φ)/cos φ and sin(n φ)/sin φ of n = 3, 5, 7
    c3, s3 = double - 1.0, double + 1.0
    c5, s5 = double * c3 - 1.0, double * s3 - 1.0
    c7, s7 = double * c5 - c3, double * s5 - s3
    ax = (b0 - last3) + c3 * (b1 - last2) + c5 * (b2 - last1) + c7 * (b3 - last0)
    ay = (b0 + last3) + s3 * (b1 + last2) + s5 * (b2 + last1) + s7 * (b3 + last0)
    return size * cosine * ax, size * sine * ay, size * inverse


@inline
def deflection_at(row, x, y):
    """Return the deflection at x along the major and y along the minor axis, along these axes."""
    ax, ay, _ = _deflection(row, x, y)
    return ax, ay


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x along the major and y along the minor axis, along these axes."""
    ax, ay, ratio = _deflection(row, x, y)
    t = row.slope - 1.0
    kappa = 0.25 * (2.0 - t) * (1.0 + row.axis_ratio) * ratio
    # γ = −κ e^(2iθ) + (1 − t) e^(iθ) α / |θ|
    square = max(x * x + y * y, TINY)
    gamma1 = ((1.0 - t) * (x * ax - y * ay) - kappa * (x * x - y * y)) / square
    gamma2 = ((1.0 - t) * (x * ay + y * ax) - kappa * 2.0 * x * y) / square
    potential = (x * ax + y * ay) / (2.0 - t)
    return Field(potential, ax, ay, kappa + gamma1, gamma2, kappa - gamma1)
