"""Jacobi's elliptic functions and Legendre's integral of the first kind, for kernels.

They come from the arithmetic-geometric mean of 1 and k′ (Abramowitz and Stegun 1964, 16.4 and 17.6) and the descending
Landen transformation (16.12). Everything is written in the complementary modulus k′ = √(1 − m), so that nothing is lost
near the separatrix, where the parameter m is almost 1.
"""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import atan2_64, sincos64

LEVELS = 12
"""Steps of the mean; ten are taken at LEAST_COMPLEMENT, four at m = ½."""

LEAST_COMPLEMENT = 1e-30
"""Below it, motions do not differ within the longest time that can be told from infinity."""

NEGLIGIBLE = 1e-9
"""A modulus with a square that float64 cannot tell from 0."""

TWO_PI = 6.283185307179586


@inline
def landen(complement, moduli):
    """Write the moduli of the descending Landen transformation.

    Parameters
    ----------
    complement : float
        k′ = √(1 − m), 0 < k′ <= 1.
    moduli : float64[LEVELS]
        The first are written: (1 − k′) / (1 + k′), and so on.

    Returns
    -------
    count : int
        How many.
    mean : float
        The arithmetic-geometric mean of 1 and k′; the quarter period K is π / (2 mean).
    """
    a, b, count = 1.0, max(complement, LEAST_COMPLEMENT), 0
    while count < LEVELS:
        mean = 0.5 * (a + b)
        moduli[count] = 0.5 * (a - b) / mean
        a, b = mean, np.sqrt(a * b)
        count += 1
        if moduli[count - 1] < NEGLIGIBLE:
            break
    return count, a


@inline
def incomplete(amplitude, complement):
    """Return F(φ | m) = ∫ dφ / √(1 − m sin²φ) for an amplitude φ in radian and k′ = √(1 − m), 0 < k′ <= 1."""
    a, b, phase, scale = 1.0, max(complement, LEAST_COMPLEMENT), amplitude, 1.0
    for _ in range(LEVELS):
        sine, cosine = sincos64(phase)
        other = atan2_64(b * sine, a * cosine)
        other += TWO_PI * np.rint((phase - other) / TWO_PI)
        mean = 0.5 * (a + b)
        near = 0.5 * (a - b) < NEGLIGIBLE * mean
        phase += other
        a, b = mean, np.sqrt(a * b)
        scale *= 2.0
        if near:
            break
    return phase / (scale * a)


@inline
def jacobi(count, moduli, sines, cosines, deltas):
    """Turn the sine and cosine of mean × u into sn u, cn u and dn u, as of many arguments of one parameter.

    Parameters
    ----------
    count, moduli
        As ``landen`` gives them.
    sines, cosines, deltas : float64[n]
        The first two are replaced by sn and cn, the last is overwritten with dn.
    """
    deltas[:] = 1.0
    for level in range(count - 1, -1, -1):
        k = moduli[level]
        for i in range(sines.size):
            square = k * sines[i] * sines[i]
            share = 1.0 / (1.0 + square)
            sines[i] = (1.0 + k) * sines[i] * share
            cosines[i] = cosines[i] * deltas[i] * share
            deltas[i] = (1.0 - square) * share
