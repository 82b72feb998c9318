"""The inverse tangent and its hyperbolic kin as one smooth function, T(w) = artanh(√w)/√w = arctan(√−w)/√−w.

T(0) = 1. It is in the formulas of isothermal and NFW deflectors, whose usual forms lose digits where w is near 0.
"""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline, polynomial
from deepbench.numerics.mathfast import atan2_32, atan64, log32, log64

SERIES_ENDS = 0.1
"""|w| up to which T is summed as a series, to 1e-17."""

_SERIES = tuple(1.0 / (2.0 * n + 3.0) for n in range(16))
_SERIES_32 = tuple(np.float32(term) for term in _SERIES[:7])
_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
_SERIES_ENDS_32 = np.float32(SERIES_ENDS)


@inline
def tangent_ratio(w, rest):
    """Return T(w) and (T(w) − 1)/w; ``rest`` is 1 − w without rounding error."""
    if abs(w) < SERIES_ENDS:
        excess = polynomial(w, _SERIES)
        return 1.0 + w * excess, excess
    root = np.sqrt(abs(w))
    arc = 0.5 * log64((1.0 + root) * (1.0 + root) / rest) if w > 0.0 else atan64(root)
    ratio = arc / root
    return ratio, (ratio - 1.0) / w


@inline
def small_ratio(w):
    """Return T(w) for w within ± SERIES_ENDS."""
    return 1.0 + w * polynomial(w, _SERIES)


@inline
def falling_ratio32(w):
    """Return T(w) for a float32 w ≤ 0, without a branch."""
    root = np.sqrt(-w)
    series = _ONE + w * polynomial(w, _SERIES_32)
    ratio = atan2_32(root, _ONE) / root
    return series if -w < _SERIES_ENDS_32 else ratio


@inline
def rising_ratio32(w, rest):
    """Return T(w) for a float32 w from 0 to below 1, without a branch; ``rest`` is 1 − w."""
    root = np.sqrt(w)
    series = _ONE + w * polynomial(w, _SERIES_32)
    ratio = _HALF * log32((_ONE + root) * (_ONE + root) / rest) / root
    return series if w < _SERIES_ENDS_32 else ratio


@inline
def small_ratio32(w):
    """Return T(w) for a float32 w within ± SERIES_ENDS."""
    return _ONE + w * polynomial(w, _SERIES_32)
