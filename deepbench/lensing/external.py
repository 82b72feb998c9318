"""External shear and convergence: ψ = ½ κ r² + ½ γ r² cos 2(φ − φ_γ), about the deflector's centre.

``strength`` is γ; ``angle`` the direction in which images are stretched, at 90° to which a perturber lies;
``convergence`` is κ, which rescales nothing else.
"""

from __future__ import annotations

from deepbench.lensing.deflector import Field
from deepbench.numerics.kernels import inline


@inline
def field_at(row, x, y):
    """Return the ``Field`` of external shear and convergence at x and y from the origin of the plane."""
    gamma1 = row.strength * (row.cosine * row.cosine - row.sine * row.sine)
    gamma2 = row.strength * 2.0 * row.cosine * row.sine
    dx, dy = x - row.x, y - row.y
    xx, yy = row.convergence + gamma1, row.convergence - gamma1
    ax, ay = xx * dx + gamma2 * dy, gamma2 * dx + yy * dy
    return Field(0.5 * (dx * ax + dy * ay), ax, ay, xx, gamma2, yy)


@inline
def deflection_at(row, x, y):
    """Return the deflection of external shear and convergence at x and y from the origin of the plane, arcsec."""
    field = field_at(row, x, y)
    return field.x, field.y
