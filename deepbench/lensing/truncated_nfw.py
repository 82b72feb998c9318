"""The spherical halo of Navarro, Frenk & White, cut off smoothly: ρ = ρ_NFW(r) / (1 + (r/r_t)²), of finite mass.

Baltz, Marshall & Oguri (2009, JCAP 01, 015), appendix A with n = 1. ``scale`` is the scale radius r_s, ``truncation``
the radius r_t, ``strength`` the deflection at r_s of the halo that is not cut off; names are those of ``nfw``.

Their formulas, with X = r/r_s, τ = r_t/r_s, R = √(τ² + X²), L = ln(X/(R + τ)) and the total mass far out, are written
with δ = R/τ − 1 and P = ln(1 + δ/2), so that nothing cancels near the centre or for large τ:

    mean κ = 4 κ_s τ²/(τ² + 1)² ((τ² − 1) (g + δ L − P)/X² + 2 F − π/(τ + R)),
    κ = 2 κ_s τ²/(τ² + 1)² ((τ² + 1) (F − 1)/(1 − X²) + 2 F − π/R + (τ² − 1) L/(τ R)),
    ψ = 2 κ_s r_s² τ²/(τ² + 1)² ((τ² − 1) (h + 2 δ L − P (2 + 2 ln(X/2) − 2 ln τ − P)) + 4 (X² F − g)
        + 2 π (τ P − X²/(τ + R))),    h = ln²(X/2) − (1 − X²) F²;    ψ = 0 at the centre.
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing.circular import circular_field
from deepbench.lensing.deflector import TINY
from deepbench.lensing.nfw import AT_SCALE, halo_functions, potential_function, surface_function
from deepbench.lensing.tangents import tangent_ratio
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import log64


@inline
def prepare(row):
    """Write ``amplitude``, 4 κ_s τ²/(τ² + 1)²."""
    tau = row.truncation / row.scale
    share = tau / (tau * tau + 1.0)
    row.amplitude = row.strength / (row.scale * AT_SCALE) * share * share


@inline
def _cut(square, tau):
    """Return R, δ/X², L and P/X² from X² and τ."""
    radius = np.sqrt(tau * tau + square)
    slope = 1.0 / (tau * (radius + tau))
    logarithm = 0.5 * log64(square / ((radius + tau) * (radius + tau)))
    # ln(1 + δ/2) = 2 v T(v²) with v = δ/(4 + δ)
    delta = square * slope
    inverse = 1.0 / (4.0 + delta)
    v = delta * inverse
    ratio = tangent_ratio(v * v, (4.0 + 2.0 * delta) * 4.0 * inverse * inverse)[0]
    return radius, slope, logarithm, 2.0 * slope * inverse * ratio


@inline
def _mean(tau, ratio, mean, radius, slope, logarithm, growth):
    """Return the mean convergence in units of ``amplitude``."""
    inner = mean + slope * logarithm - growth
    return (tau * tau - 1.0) * inner + 2.0 * ratio - math.pi / (tau + radius)


@inline
def deflection_at(row, x, y):
    """Return the deflection at x and y from the centre."""
    square = max((x * x + y * y) / (row.scale * row.scale), TINY)
    tau = row.truncation / row.scale
    _, ratio, mean, _ = halo_functions(square)
    radius, slope, logarithm, growth = _cut(square, tau)
    mean = row.amplitude * _mean(tau, ratio, mean, radius, slope, logarithm, growth)
    return mean * x, mean * y


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x and y from the centre."""
    area = row.scale * row.scale
    square = max((x * x + y * y) / area, TINY)
    tau = row.truncation / row.scale
    half_log, ratio, halo, rest = halo_functions(square)
    radius, slope, logarithm, growth = _cut(square, tau)
    minus, plus = tau * tau - 1.0, tau * tau + 1.0
    mean = _mean(tau, ratio, halo, radius, slope, logarithm, growth)
    kappa = plus * surface_function(square, ratio) + 2.0 * ratio - math.pi / radius
    kappa += minus * logarithm / (tau * radius)
    growth *= square
    inner = potential_function(square, half_log, ratio, rest) + 2.0 * square * slope * logarithm
    inner -= growth * (2.0 + 2.0 * half_log - 2.0 * log64(tau) - growth)
    potential = minus * inner + 4.0 * square * (ratio - halo)
    potential += 2.0 * math.pi * (tau * growth - square / (tau + radius))
    size = 0.5 * row.amplitude
    return circular_field(x, y, size * area * potential, row.amplitude * mean, size * kappa)
