"""How flat the potential of an elliptical NFW halo may be: its convergence is negative where it is too flat."""

from __future__ import annotations

import math


def _slope(x: float) -> float:
    """Return d ln α / d ln X of a spherical NFW halo, 2 κ / mean κ − 1, at X = r/r_s."""
    w = 1.0 - x * x
    root = math.sqrt(abs(w))
    if root < 1e-4:
        ratio, surface = 1.0 + w / 3.0, 1.0 / 3.0 + w / 5.0
    else:
        ratio = (math.atanh(root) if w > 0.0 else math.atan(root)) / root
        surface = (ratio - 1.0) / w
    return x * x * surface / (math.log(0.5 * x) + ratio) - 1.0


def least_axis_ratio(extent: float) -> float:
    """Return the least axis ratio of an NFW halo's potential at which κ ≥ 0 everywhere within a distance.

    On the minor axis, where κ is least, κ = ½ (q φ'/R + φ''/q) with R = y/√q, so κ ≥ 0 where q² ≥ −d ln φ' / d ln R:
    a condition that is stricter the farther out.

    Parameters
    ----------
    extent : float
        Distance from the halo's centre, in scale radii.

    Returns
    -------
    float
        From 0 to 1; 1 for a distance without end.
    """
    low, high = 1e-3, 1.0
    if extent <= 0.0:
        return low
    for _ in range(60):
        middle = 0.5 * (low + high)
        if middle * middle >= -_slope(max(extent / math.sqrt(middle), 1e-3)):
            high = middle
        else:
            low = middle
    return high
