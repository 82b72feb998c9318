"""External shear and convergence: ψ = ½ κ r² + ½ γ r² cos 2(φ − φ_γ), about the deflector's centre.

``strength`` is γ; ``angle`` the direction in which images are stretched, at 90° to which a perturber lies;
``convergence`` is κ, which rescales nothing else.
"""

from __future__ import annotations

from deepbench.lensing.deflector import Field
from deepbench.numerics.kernels import inline


@inline
def deflection_at(row, x, y):
    """Return the deflection at x along the stretching and y across it, along these axes."""
    return (row.convergence + row.strength) * x, (row.convergence - row.strength) * y


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x along the stretching and y across it, along these axes."""
    ax, ay = deflection_at(row, x, y)
    xx, yy = row.convergence + row.strength, row.convergence - row.strength
    return Field(0.5 * (x * ax + y * ay), ax, ay, xx, 0.0, yy)
