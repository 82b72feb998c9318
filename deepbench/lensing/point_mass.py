"""The point mass: α = θ_E² / r, ψ = θ_E² ln(r / arcsec).

``strength`` is the Einstein radius θ_E. Schneider, Ehlers & Falco (1992, *Gravitational Lenses*), section 8.1.2. The
mass fills a disk of radius 1e-30 arcsec: at its centre the deflection is 0.
"""

from __future__ import annotations

from deepbench.lensing.circular import circular_field
from deepbench.lensing.deflector import TINY
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import log64


@inline
def deflection_at(row, x, y):
    """Return the deflection at x and y from the point."""
    mean = row.strength * row.strength / max(x * x + y * y, TINY)
    return mean * x, mean * y


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x and y from the point."""
    square, mass = x * x + y * y, row.strength * row.strength
    inside, square = square < TINY, max(square, TINY)
    mean = mass / square
    return circular_field(x, y, 0.5 * mass * log64(square), mean, mean if inside else 0.0)
