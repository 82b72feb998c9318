"""The elliptical power law: κ = (3 − γ)/2 · (θ_E / √(q x² + y²/q))^(γ − 1), x along the major axis.

``strength`` is the Einstein radius θ_E, which the area inside of a circle of that radius has whatever the axis ratio q;
``slope`` is γ, 2 for the singular isothermal ellipsoid; ``angle`` is the direction of the major axis.

The deflection is that of Tessore & Metcalf (2015, A&A 580, A79), eq. 13, with their b = θ_E √q and t = γ − 1:

    α = 2b/(1 + q) (b/R)^(t−1) Σ Ω_n,    Ω_0 = e^(iφ),    Ω_n = −f (2n − 2 + t)/(2n + 2 − t) e^(2iφ) Ω_(n−1),

where f = (1 − q)/(1 + q), R e^(iφ) = q x + i y. The shear is their eq. 17, the potential ψ = (α · θ)/(2 − t).
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing.deflector import Field
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import cos64, log64, pow64, sin64

LEAST_TERM = math.log(1e-16)
"""Logarithm of the least term of the series that is kept."""

TINY = 1e-200
"""Square of the distance from the centre that stands for none."""


@inline
def _terms(f):
    """Return how many terms of the series matter for a flattening."""
    return 1 if f < 1e-16 else 2 + int(LEAST_TERM / log64(f))


@inline
def deflection_at(row, x, y):
    """Return the deflection of a power law at x and y from the origin of the plane, arcsec."""
    c, s = cos64(row.angle), sin64(row.angle)
    dx, dy = x - row.x, y - row.y
    x, y = c * dx + s * dy, c * dy - s * dx
    q, t = row.axis_ratio, row.slope - 1.0
    f = (1.0 - q) / (1.0 + q)
    u = q * x
    square = max(u * u + y * y, TINY)
    radius = np.sqrt(square)
    cosine, sine = u / radius, y / radius
    double_c, double_s = -f * (u * u - y * y) / square, -f * 2.0 * u * y / square
    real, imaginary = 1.0, 0.0
    for n in range(_terms(f), 0, -1):
        ratio = (2.0 * n - 2.0 + t) / (2.0 * n + 2.0 - t)
        real, imaginary = (
            1.0 + ratio * (double_c * real - double_s * imaginary),
            ratio * (double_c * imaginary + double_s * real),
        )
    b = row.strength * np.sqrt(q)
    size = 2.0 * b / (1.0 + q)
    if t != 1.0:
        size *= pow64(b / radius, t - 1.0)
    ax = size * (cosine * real - sine * imaginary)
    ay = size * (cosine * imaginary + sine * real)
    return c * ax - s * ay, s * ax + c * ay


@inline
def field_at(row, x, y):
    """Return the ``Field`` of a power law at x and y from the origin of the plane."""
    ax, ay = deflection_at(row, x, y)
    dx, dy = x - row.x, y - row.y
    c, s = cos64(row.angle), sin64(row.angle)
    major, minor = c * dx + s * dy, c * dy - s * dx
    q, t = row.axis_ratio, row.slope - 1.0
    square = max(dx * dx + dy * dy, TINY)
    radius = np.sqrt(max(q * major * major + minor * minor / q, TINY))
    kappa = 0.5 * (2.0 - t) * pow64(row.strength / radius, t)
    # γ = −κ e^(2iθ) + (1 − t) e^(iθ) α / |θ|
    cos2, sin2 = (dx * dx - dy * dy) / square, 2.0 * dx * dy / square
    gamma1 = -kappa * cos2 + (1.0 - t) * (dx * ax - dy * ay) / square
    gamma2 = -kappa * sin2 + (1.0 - t) * (dx * ay + dy * ax) / square
    potential = (dx * ax + dy * ay) / (2.0 - t)
    return Field(potential, ax, ay, kappa + gamma1, gamma2, kappa - gamma1)
