"""Extinction by the dust of the Milky Way, R_V = 3.1.

Fitzpatrick (1999, PASP 111, 63): above 270 nm a natural cubic spline in 1/λ through the anchors of his table 3; below,
the ultraviolet curve of Fitzpatrick & Massa (1990, ApJS 72, 163) with its bump at 217.5 nm. Here it is in the units of
E(B − V): A(λ) = E(B − V) k(λ).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import inline, kernel

R_V = 3.1
"""Ratio of total to selective extinction, A(V) / E(B − V)."""

_C2 = -0.824 + 4.717 / R_V
_C1 = 2.030 - 3.007 * _C2
_C3, _C4 = 3.23, 0.41
_BUMP_CENTRE, _BUMP_WIDTH = 4.596, 0.99  # 1/µm
_LONGEST_ULTRAVIOLET = 1.0 / 0.27  # 1/µm


@inline
def _ultraviolet(x):
    """Return A / E(B − V) at x = 1/λ in 1/µm by the curve of the ultraviolet."""
    square = x * x
    away = square - _BUMP_CENTRE * _BUMP_CENTRE
    bump = square / (away * away + square * _BUMP_WIDTH * _BUMP_WIDTH)
    far = max(x - 5.9, 0.0)
    rise = far * far * (0.5392 + 0.05644 * far)
    return R_V + _C1 + _C2 * x + _C3 * bump + _C4 * rise


def _bends(x: list[float], y: list[float]) -> list[float]:
    """Return the second derivatives of a natural cubic spline: Gauss's elimination of three diagonals."""
    ratios, sums = [0.0], [0.0]
    for i in range(1, len(x) - 1):
        left, right = x[i] - x[i - 1], x[i + 1] - x[i]
        target = 6.0 * ((y[i + 1] - y[i]) / right - (y[i] - y[i - 1]) / left)
        pivot = 2.0 * (left + right) - left * ratios[-1]
        ratios.append(right / pivot)
        sums.append((target - left * sums[-1]) / pivot)
    bends = [0.0]
    for ratio, total in zip(reversed(ratios), reversed(sums), strict=True):
        bends.append(total - ratio * bends[-1])
    return bends[::-1]


_ANCHORS = {  # 1/µm and A / E(B − V); the two in the ultraviolet are on its curve
    0.0: 0.0,
    1.0 / 2.65: 0.265 * R_V / 3.1,
    1.0 / 1.22: 0.829 * R_V / 3.1,
    1.0 / 0.6: -0.426 + 1.0044 * R_V,
    1.0 / 0.547: -0.050 + 1.0016 * R_V,
    1.0 / 0.467: 0.701 + 1.0016 * R_V,
    1.0 / 0.411: 1.208 + 1.0032 * R_V - 0.00033 * R_V * R_V,
    1.0 / 0.27: _ultraviolet.py_func(1.0 / 0.27),
    1.0 / 0.26: _ultraviolet.py_func(1.0 / 0.26),
}
_X, _Y = np.array(list(_ANCHORS)), np.array(list(_ANCHORS.values()))
_BENDS = np.array(_bends(list(_ANCHORS), list(_ANCHORS.values())))


@kernel
def extinction(wavelength):
    """Return A(λ) / E(B − V) at a wavelength in nm, above 91 nm."""
    x = 1e3 / wavelength
    if x >= _LONGEST_ULTRAVIOLET:
        return _ultraviolet(x)
    i = 0
    while _X[i + 1] < x:
        i += 1
    width = _X[i + 1] - _X[i]
    right = (x - _X[i]) / width
    left = 1.0 - right
    bend = (left * left * left - left) * _BENDS[i]
    bend += (right * right * right - right) * _BENDS[i + 1]
    return left * _Y[i] + right * _Y[i + 1] + bend * width * width / 6.0


@kernel
def _extinctions(wavelengths, out):
    for i in range(out.size):
        out[i] = extinction(wavelengths[i])


def extinctions(wavelengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A(λ) / E(B − V) at wavelengths in nm.

    Examples
    --------
    >>> extinctions(np.array([550.0])).round(2)
    array([3.06])
    """
    out = np.empty(wavelengths.size)
    _extinctions(np.ascontiguousarray(wavelengths, dtype=np.float64), out)
    return out
