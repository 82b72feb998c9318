"""Fields of deflectors whose potential is constant on circles."""

from __future__ import annotations

from deepbench.lensing.deflector import TINY, Field
from deepbench.numerics.kernels import inline


@inline
def circular_field(x, y, potential, mean, kappa):
    """Return the ``Field`` at x and y from the centre, from the convergence there and the mean convergence within."""
    square = max(x * x + y * y, TINY)
    shear = (kappa - mean) / square
    gamma1, gamma2 = shear * (x * x - y * y), shear * 2.0 * x * y
    return Field(potential, mean * x, mean * y, kappa + gamma1, gamma2, kappa - gamma1)
