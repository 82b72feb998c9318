"""The isothermal ellipsoid with a core: κ = θ_E / (2 √(s² + q x² + y²/q)), x along the major axis.

``strength`` is the Einstein radius θ_E of the singular ellipsoid, which has the same mass far from the core, ``scale``
the core radius s. The core takes mass away: within the ellipse q x² + y²/q = ρ² the mean convergence is
θ_E (√(ρ² + s²) − s)/ρ². So the ellipse of mean convergence 1 has the area of a circle of radius √(θ_E² − 2 s θ_E), and
there is none for s ≥ θ_E/2. The potential is 0 at the centre; for s = 0 this is the singular ellipsoid.

Kormann, Schneider & Bartelmann (1994, A&A 284, 285); deflection and potential are those of the softened isothermal
ellipsoid of Keeton (2001, astro-ph/0102341). With u = √q x, v = y/√q, E² = s² + u² + v² and T of ``tangents`` they are

    α = θ_E √q (X T(−e² X²), Y T(e² Y²)),    X = u/(q E + s), Y = v/(E + q s), e² = 1 − q²,
    ψ = x α_x + y α_y − ½ θ_E s ln(((q E + s)² + e² u²) / ((1 + q) s)²).
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.lensing.deflector import TINY, Field
from deepbench.lensing.tangents import tangent_ratio
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import log64

LEAST_CORE = math.sqrt(TINY)
"""Core radius that stands for none, arcsec."""


@inline
def deflection_at(row, x, y):
    """Return the deflection at x along the major and y along the minor axis, along these axes."""
    q, s = row.axis_ratio, max(row.scale, LEAST_CORE)
    u, v = row.stretch * x, y / row.stretch
    radius = np.sqrt(s * s + u * u + v * v)
    u, v = u / (q * radius + s), v / (radius + q * s)
    flat = (1.0 - q) * (1.0 + q)
    along, across = -flat * u * u, flat * v * v
    size = row.strength * row.stretch
    ax = size * u * tangent_ratio(along, 1.0 - along)[0]
    return ax, size * v * tangent_ratio(across, 1.0 - across)[0]


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x along the major and y along the minor axis, along these axes."""
    ax, ay = deflection_at(row, x, y)
    q, s = row.axis_ratio, max(row.scale, LEAST_CORE)
    u, v = row.stretch * x, y / row.stretch
    radius = np.sqrt(s * s + u * u + v * v)
    near = q * radius + s
    square = near * near + (1.0 - q) * (1.0 + q) * u * u
    size = row.strength / (radius * square)
    xx = size * q * (q * (s * s + v * v) + s * radius)
    xy = -size * q * u * v
    yy = size * (s * s + u * u + q * s * radius)
    core = (1.0 + q) * s
    potential = x * ax + y * ay - 0.5 * row.strength * s * log64(square / (core * core))
    return Field(potential, ax, ay, xx, xy, yy)
