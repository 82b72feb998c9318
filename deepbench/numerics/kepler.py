"""Kepler's equation, for kernels.

A body on an ellipse of eccentricity e has the mean anomaly M, which grows evenly in time from 0 at
periastron, the eccentric anomaly E with E − e sin E = M, and the true anomaly ν. Where the
semi-major axis is 1 and periastron lies along x, the body is at x = cos E − e = r cos ν,
y = √(1 − e²) sin E = r sin ν, at the distance r = 1 − e cos E.

The solution is that of Markley (1995, Celest. Mech. Dyn. Astron. 63, 101): the root of a cubic, and
one correction of fifth order. Its steps are the same for all arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepbench.numerics.kernels import inline, kernel, polynomial
from deepbench.numerics.mathfast import exp64, log64, sincos64

_PI = 3.141592653589793
_INVERSE_TURN = 0.15915494309189535
# 2 pi in two parts of 33 bits and the rest
_TURN = (6.2831853069365025, 2.4308402025215864e-10, 8.089064995183803e-21)
# x − sin x = x z polynomial(z), z = x**2, |x| <= 0.8
_REST_OF_SINE = (
    1.0 / 6.0, -1.0 / 120.0, 1.0 / 5040.0, -1.0 / 362880.0, 1.0 / 39916800.0, -1.0 / 6227020800.0,
    1.0 / 1307674368000.0, -1.0 / 355687428096000.0,
)  # fmt: skip


@inline
def _starter(m, e):
    """Return the root of Markley's cubic, which is E to 3e-4 of its size; 0 <= m <= pi."""
    a = (3.0 * _PI * _PI + 1.6 * _PI * (_PI - m) / (1.0 + e)) / (_PI * _PI - 6.0)
    d = 3.0 * (1.0 - e) + a * e
    r = 3.0 * a * d * (d - 1.0 + e) * m + m * m * m
    q = 2.0 * a * d * (1.0 - e) - m * m
    root = np.sqrt(max(q * q * q + r * r, 0.0))
    w = exp64(log64(r + root) * (2.0 / 3.0))
    return (2.0 * r * w / (w * w + w * q + q * q) + m) / d


@inline
def eccentric64(mean_anomaly, eccentricity):
    """Return (E, sin E, cos E): the eccentric anomaly in radian, −π <= E <= π.

    For any mean anomaly (radian) and 0 <= eccentricity < 1. E errs by a few units of its last place
    and by what the mean anomaly's last place means for it; a large mean anomaly has lost digits
    before it comes here, so reduce a time by its period first.
    """
    e = eccentricity
    turns = np.rint(mean_anomaly * _INVERSE_TURN)
    m = ((mean_anomaly - turns * _TURN[0]) - turns * _TURN[1]) - turns * _TURN[2]
    negative = m < 0.0
    m = abs(m)
    start = _starter(m, e)
    s, c = sincos64(start)
    z = start * start
    rest = start * z * polynomial(z, _REST_OF_SINE) if start < 0.8 else start - s
    f0 = ((1.0 - e) * start - m) + e * rest
    f2, f3 = e * s, e * c
    f1 = 1.0 - f3
    f1 = (1.0 - e) + e * s * s / (1.0 + c) if c > 0.0 else f1
    step = -f0 / (f1 - 0.5 * f0 * f2 / f1)
    step = -f0 / (f1 + step * (0.5 * f2 + step * (f3 / 6.0)))
    step = -f0 / (f1 + step * (0.5 * f2 + step * (f3 / 6.0 - step * (f2 / 24.0))))
    # the sine and cosine of the sum; the step is below 1e-3
    z = step * step
    sine = step - step * z * (1.0 / 6.0 - z * (1.0 / 120.0))
    versine = z * (0.5 - z * (1.0 / 24.0 - z * (1.0 / 720.0)))
    new_sine = s + (c * sine - s * versine)
    new_cosine = c - (s * sine + c * versine)
    anomaly = start + step
    return (
        -anomaly if negative else anomaly,
        -new_sine if negative else new_sine,
        new_cosine,
    )


@inline
def distance64(sine, cosine, eccentricity):
    """Return 1 − e cos E from (sin E, cos E), without the loss of digits at periastron."""
    versine = sine * sine / (1.0 + cosine) if cosine > 0.0 else 1.0 - cosine
    return (1.0 - eccentricity) + eccentricity * versine


@inline
def sincos_true64(mean_anomaly, eccentricity):
    """Return (sin ν, cos ν, r): the true anomaly, and the distance over the semi-major axis."""
    e = eccentricity
    _, sine, cosine = eccentric64(mean_anomaly, e)
    r = distance64(sine, cosine, e)
    along = (1.0 - e) - sine * sine / (1.0 + cosine) if cosine > 0.0 else cosine - e
    return np.sqrt((1.0 - e) * (1.0 + e)) * sine / r, along / r, r


@kernel
def _solve(mean_anomalies, eccentricities, out):
    for i in range(mean_anomalies.size):
        out[i, 0], out[i, 1], out[i, 2] = eccentric64(mean_anomalies[i], eccentricities[i])
        out[i, 3], out[i, 4], out[i, 5] = sincos_true64(mean_anomalies[i], eccentricities[i])


def solve(mean_anomalies: ArrayLike, eccentricities: ArrayLike) -> NDArray[np.float64]:
    """Return where bodies are on their orbits.

    Parameters
    ----------
    mean_anomalies : array_like of float64
        Radian.
    eccentricities : array_like of float64
        0 <= e < 1; broadcast with the mean anomalies.

    Returns
    -------
    float64[..., 6]
        E (radian, −π … π), sin E, cos E, sin ν, cos ν, and the distance over the semi-major axis.

    Examples
    --------
    >>> solve(1.0, 0.5).round(6)
    array([ 1.498701,  0.997402,  0.072033,  0.896048, -0.443957,  0.963984])
    """
    shape = np.broadcast_shapes(np.shape(mean_anomalies), np.shape(eccentricities))
    means, shapes = (
        np.array(np.broadcast_to(each, shape), dtype=np.float64, order="C").reshape(-1)
        for each in (mean_anomalies, eccentricities)
    )
    out = np.empty((means.size, 6))
    _solve(means, shapes, out)
    return out.reshape(*shape, 6)
