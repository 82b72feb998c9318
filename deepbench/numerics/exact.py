"""Sums of float64 without rounding, so that it does not matter in which order, or in how many parts, they are added.

A sum is a whole number of units of 2**-``UNIT``, a Python integer: every finite float64 is one. (The idea is Kulisch's
long accumulator; Kulisch 2013, *Computer Arithmetic and Validity*, 2nd edition, chapter 8.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNIT = 1126
"""Exponent of the unit: 1074, that of the smallest float64, and 52, so that no mantissa has a fraction."""

_LOW = 2.0**27
"""Mantissas are cut here, so that float64 adds up ``_MOST`` of their parts without rounding."""

_MOST = 2**26


def exact_sum(values: NDArray[np.float64]) -> int:
    """Return the sum of finite numbers, in units of 2**-``UNIT``.

    Examples
    --------
    >>> exact_sum(np.array([1e300, 1.0, -1e300])) == 1 << UNIT
    True
    """
    if not values.size:
        return 0
    if values.size > _MOST:
        return exact_sum(values[:_MOST]) + exact_sum(values[_MOST:])
    mantissas, exponents = np.frexp(values)
    whole = np.ldexp(mantissas, 53)
    high = np.floor(whole / _LOW)
    least = int(exponents.min())
    total = 0
    for part, shift in ((high, 27), (whole - high * _LOW, 0)):
        sums = np.bincount(exponents - least, weights=part)
        shift += least - 53 + UNIT
        total += sum(int(sums[i]) << (shift + int(i)) for i in np.flatnonzero(sums))
    return total


def exact_products(one: NDArray[np.float64], other: NDArray[np.float64]) -> int:
    """Return the sum of the products of numbers with numbers of at most 26 significant bits, as ``exact_sum`` does.

    It is exact unless a product is below 1e-290 or beyond 1e290; it never depends on the order.
    """
    high, low = split(one)
    return exact_sum(high * other) + exact_sum(low * other)


def split(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two parts, of at most 26 significant bits, whose sum is ``values`` (Dekker 1971, Numer. Math. 18, 224)."""
    scaled = (_LOW + 1.0) * values
    high = scaled - (scaled - values)
    return high, values - high
