"""Sérsic profiles: their transforms, and their light far from the centre.

The surface brightness at the elliptical radius r (in half-light radii) is I0 exp(−b r^(1/n)) (Sérsic 1963, Bol. Asoc.
Argent. Astron. 6, 41). Half of the light lies inside r = 1, so that b solves P(2n, b) = ½ with the regularised
incomplete gamma function P (Ciotti & Bertin 1999, A&A 352, 447), and I0 = b^(2n) / (2π n Γ(2n)) for unit flux (Graham
& Driver 2005, PASA 22, 118, eq. 2). The half-light radius is circularised: the ellipse has the semi-axes
half_light_radius × q^(−½) and half_light_radius × q^(½).

The transform has no closed form but for n = ½ and n = 1. Tables made with FFTLog (Talman 1978, J. Comput. Phys. 29, 35;
Hamilton 2000, MNRAS 312, 257) would have its noise in the tails; the series of ``transforms.npz`` come from integrals
along a ray of the complex plane and err by less than 1e-7 of the flux.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.model.sky import LEAST_AXIS_RATIO
from deepbench.images.psf.transform_tables import (
    at_nodes,
    chebyshev_coordinate,
    chebyshev_sum,
    series,
    write_table,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, log64, pow64, sincosd64

INDEX = (0.3, 6.2)
"""Range of the Sérsic index; values outside are drawn as the nearest."""

DEGREES = 180.0 / math.pi
"""Degrees in a radian."""


class SersicTables(NamedTuple):
    """The Chebyshev series in log n: of functions of u (float32 at the nodes), of b, and of log I0."""

    functions: NDArray[np.float32]
    b: NDArray[np.float64]
    log_norm: NDArray[np.float64]


@lru_cache(maxsize=1)
def sersic_tables() -> SersicTables:
    """Return the tables of this process, made at the first call."""
    arrays = series()
    return SersicTables(at_nodes(arrays["sersic"]), arrays["sersic_b"], arrays["sersic_log_norm"])


@inline
def within_range(index):
    """Return the nearest index inside of INDEX."""
    return min(max(index, INDEX[0]), INDEX[1])


@inline
def _coordinate(index):
    """Return the coordinate of an index in the series, from −1 to 1."""
    return chebyshev_coordinate(log64(index), log64(INDEX[0]), log64(INDEX[1]))


@kernel
def write_sersic(index, tables, first, last, values, table):
    """Write the transform of a Sérsic profile as a function of u = (|k| × half_light_radius)²; see ``write_table``."""
    write_table(_coordinate(index), tables.functions, first, last, values, table)


@kernel
def shape_constants(index, tables):
    """Return b, and I0 for unit flux and unit half-light radius."""
    x = _coordinate(index)
    return chebyshev_sum(x, tables.b), exp64(chebyshev_sum(x, tables.log_norm))


@kernel
def light_outside(radius, index, tables):
    """Return the part of the light outside of an elliptical radius, in half-light radii.

    One minus the regularised incomplete gamma function P(2n, b r^(1/n)), by its series.
    """
    b, norm = shape_constants(index, tables)
    index = within_range(index)
    x = b * pow64(radius, 1.0 / index)
    if x > 300.0:
        return 0.0
    term = np.pi * norm * radius * radius * exp64(-x)
    total, count = 0.0, 2.0 * index
    while count < x or term > 1e-17:  # the terms grow up to count = x
        total += term
        count += 1.0
        term *= x / count
    return max(1.0 - total, 0.0)


@kernel
def light_radius(index, outside, tables):
    """Return the elliptical radius, in half-light radii, outside of which a part of the light lies, at least 1e-12."""
    low, high = -40.0, 20.0 * within_range(index)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if light_outside(exp64(middle), index, tables) > outside:
            low = middle
        else:
            high = middle
    return exp64(high)


class Ellipse(NamedTuple):
    """Semi-axes in pixels, and the direction of the major one."""

    a: float
    b: float
    sine: float
    cosine: float


@inline
def ellipse(size, axis_ratio, position_angle):
    """Return the ellipse of a circularised size."""
    root = np.sqrt(min(max(axis_ratio, LEAST_AXIS_RATIO), 1.0))
    sine, cosine = sincosd64(position_angle)
    return Ellipse(size / root, size * root, sine, cosine)


@inline
def component_ellipse(component):
    """Return the ellipse of a row that holds half of its light."""
    return ellipse(
        component.half_light_radius, component.axis_ratio, component.position_angle_degrees
    )


@inline
def psf_ellipse(psf, size):
    """Return the ellipse of a circularised size that has the shape of a row of a point spread function."""
    return ellipse(size, psf.axis_ratio, psf.position_angle * DEGREES)


@inline
def quadratic_form(shape):
    """Return (xx, xy, yy): an ellipse's u of a wave number (kx, ky) is xx kx² + xy kx ky + yy ky²."""
    a2, b2 = shape.a * shape.a, shape.b * shape.b
    s, c = shape.sine, shape.cosine
    return a2 * c * c + b2 * s * s, 2.0 * (a2 - b2) * s * c, a2 * s * s + b2 * c * c
