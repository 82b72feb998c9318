"""Lognormal fields: the Gaussian spectrum that gives a field its spectrum, and its moments.

A field X = λ (exp(g − σ²/2) − 1) of a Gaussian field g of variance σ² has the mean 0, is greater than −λ, the shift,
and has the correlation C(θ) = λ² (exp(G(θ)) − 1) where g has G(θ) (Coles & Jones 1991, MNRAS 248, 1; on the sphere
Xavier, Abdalla & Joachimi 2016, MNRAS 459, 3693, eqs. 7 to 10). So g's spectrum is the transform of ln(1 + C(θ)/λ²).
Such a field has the spectrum and the distribution of values of weak-lensing convergence, nearly, not its filaments.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.numerics.kernels import kernel

Array = NDArray[np.float64]


class GaussianSpectrum(NamedTuple):
    """The Gaussian field below a lognormal one.

    Attributes
    ----------
    spectrum : ndarray of float64, shape (lmax + 1,)
        g_ℓ, 0 for ℓ < 2 and where it would be negative.
    variance : float
        σ² = Σ (2ℓ + 1) g_ℓ / 4π.
    clipped : float
        What was set to 0, in variance and by size, over ``variance``.
    """

    spectrum: Array
    variance: float
    clipped: float


@kernel
def _to_angles(weighted, cosines, out, before, now):
    """Write Σ weighted[ℓ] P_ℓ(cosines[i]) to ``out[i]``."""
    for i in range(cosines.size):
        before[i], now[i] = 0.0, 1.0
        out[i] = weighted[0]
    for ell in range(1, weighted.size):
        ahead, behind = (2.0 * ell - 1.0) / ell, (ell - 1.0) / ell
        factor = weighted[ell]
        for i in range(cosines.size):
            value = ahead * cosines[i] * now[i] - behind * before[i]
            before[i], now[i] = now[i], value
            out[i] += factor * value


@kernel
def _to_multipoles(weighted, cosines, out, before, now):
    """Write Σ weighted[i] P_ℓ(cosines[i]) to ``out[ℓ]``."""
    for i in range(cosines.size):
        before[i], now[i] = 0.0, 1.0
    for ell in range(out.size):
        if ell > 0:
            ahead, behind = (2.0 * ell - 1.0) / ell, (ell - 1.0) / ell
            for i in range(cosines.size):
                value = ahead * cosines[i] * now[i] - behind * before[i]
                before[i], now[i] = now[i], value
        total = 0.0
        for i in range(cosines.size):
            total += weighted[i] * now[i]
        out[ell] = total


@lru_cache(maxsize=4)
def _rule(n: int) -> tuple[Array, Array]:
    """Return the cosines and weights of the Gauss-Legendre rule of n nodes."""
    from ducc0.misc import GL_thetas, GL_weights

    return np.cos(GL_thetas(n)), GL_weights(n, 1) / (2.0 * np.pi)


def variance_of(spectrum: Array) -> float:
    """Return the variance Σ (2ℓ + 1) C_ℓ / 4π of a field."""
    return float(((2.0 * np.arange(spectrum.size) + 1.0) * spectrum).sum() / (4.0 * np.pi))


def gaussian_spectrum(spectrum: Array, shift: float) -> GaussianSpectrum:
    """Return the spectrum of the Gaussian field below a lognormal field.

    The transforms are Gauss-Legendre sums over 2 (lmax + 1) nodes. The lognormal field has the spectrum within 2e-4 for
    weak lensing, and some power beyond lmax, too.

    Parameters
    ----------
    spectrum : ndarray of float64, shape (lmax + 1,)
        C_ℓ of the lognormal field; those of ℓ < 2 are not read.
    shift : float
        λ > 0.

    Raises
    ------
    LabelError
        If C(θ) falls to −λ² somewhere, which it cannot in a lognormal field.

    Examples
    --------
    >>> gaussian_spectrum(np.array([0.0, 0.0, 1e-2, 1e-3]), 0.1).spectrum.round(4)
    array([0.    , 0.    , 0.9626, 0.094 ])
    """
    lmax = spectrum.size - 1
    factors = (2.0 * np.arange(lmax + 1.0) + 1.0) / (4.0 * np.pi)
    cosines, weights = _rule(2 * (lmax + 1))
    before, now, correlation = (np.empty(cosines.size) for _ in range(3))
    weighted = factors * spectrum
    weighted[:2] = 0.0
    _to_angles(weighted, cosines, correlation, before, now)
    correlation /= shift * shift
    least = float(correlation.min())
    if least <= -1.0:
        raise LabelError(
            f"the shift of a lognormal field is {shift:g}, but the spectrum asks for a correlation of "
            f"{least * shift * shift:g}; allowed is more than −shift². "
            f"Choose a shift above {shift * np.sqrt(-least):g}.",
            shift=shift,
            least=least * shift * shift,
        )
    found = np.empty(lmax + 1)
    _to_multipoles(2.0 * np.pi * weights * np.log1p(correlation), cosines, found, before, now)
    kept = np.maximum(found, 0.0)
    kept[:2] = 0.0
    variance = variance_of(kept)
    clipped = variance_of(np.abs(found - kept)) / variance if variance > 0.0 else 0.0
    return GaussianSpectrum(kept, variance, clipped)


def lognormal_skewness(variance: float, shift: float) -> float:
    """Return the skewness of a lognormal field of a variance: (3 + u) √u with u = variance / λ²."""
    u = variance / (shift * shift)
    return float((3.0 + u) * np.sqrt(u))
