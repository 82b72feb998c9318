"""A multipole of an isothermal deflector: κ_m = a_m cos m(φ − φ_m) / (2r), ψ_m = r a_m cos m(φ − φ_m) / (1 − m²).

``strength`` is a_m in arcsec, ``angle`` is φ_m, ``order`` is m, 3 or 4. Xu et al. (2013, arXiv:1307.4220), eq. B12.
An isothermal sphere with a multipole m = 4 has lines of equal κ that are disky (a_4 > 0, with φ_4 along the major axis)
or boxy (a_4 < 0); beside an ellipsoid that is so only nearly.
"""

from __future__ import annotations

import numpy as np

from deepbench.lensing.deflector import TINY, Field
from deepbench.numerics.kernels import inline


@inline
def _turned(row, x, y):
    """Return r, the direction (cos φ, sin φ), cos mφ and sin mφ, φ counted from ``angle``."""
    radius = np.sqrt(max(x * x + y * y, TINY))
    cosine, sine = x / radius, y / radius
    many_c, many_s = cosine, sine
    for _ in range(row.order - 1):
        many_c, many_s = many_c * cosine - many_s * sine, many_c * sine + many_s * cosine
    return radius, cosine, sine, many_c, many_s


@inline
def deflection_at(row, x, y):
    """Return the deflection at x along ``angle`` and y across it, along these axes."""
    _, cosine, sine, many_c, many_s = _turned(row, x, y)
    m = float(row.order)
    size = row.strength / (1.0 - m * m)
    outwards, around = size * many_c, -size * m * many_s
    return outwards * cosine - around * sine, outwards * sine + around * cosine


@inline
def field_at(row, x, y):
    """Return the ``Field`` at x along ``angle`` and y across it, along these axes."""
    radius, cosine, sine, many_c, _ = _turned(row, x, y)
    ax, ay = deflection_at(row, x, y)
    around = row.strength * many_c / radius
    return Field(
        x * ax + y * ay,
        ax,
        ay,
        around * sine * sine,
        -around * sine * cosine,
        around * cosine * cosine,
    )
