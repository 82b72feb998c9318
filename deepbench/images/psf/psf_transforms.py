"""Transforms of point spread functions, and their wings.

Every point spread function is a circular profile of unit flux, stretched along an axis at constant area. Its transform
is a table of u = (|k| × size)², as ``radial`` has it:

==========  ===================  =========================  ======================================================
name        size                 shape                      transform, s = |k| × size
==========  ===================  =========================  ======================================================
gaussian    fwhm                 –                          exp(−s² / (16 ln 2))
moffat      fwhm                 beta, from 1.1 to 10       2 (x/2)^ν K_ν(x) / Γ(ν), ν = β − 1, x = s α / fwhm
kolmogorov  fwhm                 –                          exp(−3.4419 (s / (2π · 0.97586))^{5/3})
airy        λ/D                  obscuration, from 0 to 0.9  overlap of two annular pupils s / 2π apart
==========  ===================  =========================  ======================================================

Sizes are in pixels. Moffat (1969, A&A 3, 455), its transform Trujillo et al. (2001, MNRAS 328, 977); Fried (1966, JOSA
56, 1372) for the long exposure through Kolmogorov's turbulence; O'Neill (1956, JOSA 46, 285) for the annular pupil.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.psf.transform_tables import (
    at_nodes,
    chebyshev_place,
    nodes,
    series,
    transform_at,
    write_table,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import acos64, exp, log, log64, pow64

PSFS: dict[str, int] = {"gaussian": 0, "moffat": 1, "kolmogorov": 2, "airy": 3}
"""Code of each point spread function."""

PSF_ROW = ("code", "size", "shape", "axis_ratio", "position_angle")
"""The columns of a row of a point spread function, in pixels and degrees."""

BETA = (1.1, 10.0)
"""Range of the exponent of a Moffat profile; values outside are drawn as the nearest."""

OBSCURATION = 0.9
"""The largest obscuration of an Airy profile."""

GAUSSIAN_RATE = 1.0 / (16.0 * math.log(2.0))
KOLMOGOROV_RATE = 3.44193859115 / (2.0 * math.pi * 0.975863432579) ** (5.0 / 3.0)
"""exp(−rate × s^(5/3)); 0.9759 λ/r0 is the full width at half maximum."""

KOLMOGOROV_WING = (
    KOLMOGOROV_RATE * -(2.0 ** (5.0 / 3.0)) * math.gamma(11 / 6) / (math.pi * math.gamma(-5 / 6))
)
"""Far from the centre the profile is this × size^(5/3) × r^(−11/3)."""


class OpticsTables(NamedTuple):
    """Functions of u at the nodes, float32: the Moffat series and the transforms without a parameter."""

    moffat: NDArray[np.float32]
    gaussian: NDArray[np.float32]
    kolmogorov: NDArray[np.float32]
    positions: NDArray[np.float64]


@lru_cache(maxsize=1)
def optics_tables() -> OpticsTables:
    """Return the tables of this process, made at the first call."""
    u = nodes()
    gaussian = exp(-GAUSSIAN_RATE * u)
    kolmogorov = exp(-KOLMOGOROV_RATE * exp(5.0 / 6.0 * log(u)))
    return OpticsTables(
        at_nodes(series()["moffat"]),
        gaussian.astype(np.float32)[None],
        kolmogorov.astype(np.float32)[None],
        u,
    )


@inline
def _lens(distance, first, second):
    """Return the area that two discs of these radii share, their centres a distance apart."""
    small, large = min(first, second), max(first, second)
    if distance >= small + large:
        return 0.0
    if distance <= large - small:
        return math.pi * small * small
    a, b, d = small * small, large * large, distance * distance
    one = acos64(min(max((d + a - b) / (2.0 * distance * small), -1.0), 1.0))
    two = acos64(min(max((d + b - a) / (2.0 * distance * large), -1.0), 1.0))
    product = (small + large - distance) * (distance + small - large)
    product *= (distance - small + large) * (distance + small + large)
    return a * one + b * two - 0.5 * np.sqrt(max(product, 0.0))


@kernel
def airy_transform(s, obscuration):
    """Return the transform of an Airy profile at s = |k| λ/D."""
    distance = s / math.pi  # in radii of the pupil
    inner = obscuration
    shared = _lens(distance, 1.0, 1.0) - 2.0 * _lens(distance, 1.0, inner)
    shared += _lens(distance, inner, inner)
    return shared / (math.pi * (1.0 - inner * inner))


@kernel
def write_psf(row, tables, first, last, values, table):
    """Write the transform of a point spread function, between two pieces, both included.

    Parameters
    ----------
    row : float64[5]
        As ``PSF_ROW`` says.
    tables : OpticsTables
    first, last : int
    values, table : float32[1, NODES], float32[PIECES, 4]
        Scratch, and what is written.
    """
    code = int(row[0])
    if code == 1:
        x = chebyshev_place(1.0 / row[2], 1.0 / BETA[0], 1.0 / BETA[1])
        write_table(x, tables.moffat, first, last, values[0], table)
    elif code == 3:
        obscuration = min(max(row[2], 0.0), OBSCURATION)
        computed = values[1:2]
        for node in range(2 * first, 2 * last + 3):
            computed[0, node] = airy_transform(np.sqrt(tables.positions[node]), obscuration)
        write_table(0.0, computed, first, last, values[0], table)
    else:
        function = tables.gaussian if code == 0 else tables.kolmogorov
        write_table(0.0, function, first, last, values[0], table)


@inline
def moffat_scale(fwhm, beta):
    """Return the scale radius α."""
    return 0.5 * fwhm / np.sqrt(pow64(2.0, 1.0 / beta) - 1.0)


@kernel
def wing(row):
    """Return (c, core, power) of the wing c (r² + core)^(−power) of a point spread function of unit flux."""
    code, size = int(row[0]), row[1]
    if code == 1:
        beta = min(max(row[2], BETA[0]), BETA[1])
        alpha = moffat_scale(size, beta)
        c = (beta - 1.0) / math.pi * pow64(alpha, 2.0 * beta - 2.0)
        return c, alpha * alpha, beta
    if code == 2:
        return KOLMOGOROV_WING * pow64(size, 5.0 / 3.0), 0.0, 11.0 / 6.0
    if code == 3:
        inner = min(max(row[2], 0.0), OBSCURATION)
        return size / (math.pi**3 * (1.0 - inner)), 0.0, 1.5
    return 0.0, 0.0, 1.0


@kernel
def psf_radius(row, outside):
    """Return a circular radius outside of which at most a part of the light of a round point spread function lies."""
    code, size = int(row[0]), row[1]
    if code == 0:
        return size * np.sqrt(-log64(outside) / (4.0 * math.log(2.0)))
    c, core, power = wing(row)
    # the wing's light outside; for a Moffat profile it is exact, the others' is no more than twice their wing's
    rest = outside if code == 1 else 0.5 * outside
    square = pow64(rest * (power - 1.0) / (math.pi * c), 1.0 / (1.0 - power)) - core
    return max(np.sqrt(max(square, 0.0)), size)


@inline
def variance(psf_table, size, k):
    """Return the variance along an axis of the Gaussian that has the same transform at the wave number k."""
    value = transform_at(psf_table, (k * size) * (k * size))
    return -2.0 * log64(max(value, 1e-30)) / (k * k)
