"""Profiles of point spread functions: what a telescope and the air make of a point, and the transforms of that.

A row of ``model.PSF_ROW`` describes one; functions here tell its families apart by their codes. A profile is a function
f(t) of t = (r / scale)², with f(0) = 1; its intensity, flux 1 over the infinite plane, is peak × f. An ellipse of axis
ratio q has t = (u² q + v² / q) / scale² along its axes u and v, which keeps areas and so the flux: ``fwhm`` is the
geometric mean of the two widths. The transform is a table of u = (|k| × size)², as ``transform_tables`` has it.

==========  =======  ==================================  ========  ================================================
family      scale    f(t)                                size      transform, s = |k| × size
==========  =======  ==================================  ========  ================================================
gaussian    σ        exp(−t/2)                           fwhm      exp(−s² / (16 ln 2))
moffat      α        (1 + t)^−β, to a truncation radius  fwhm      2 (x/2)^ν K_ν(x) / Γ(ν), ν = β − 1, x = s α / fwhm
airy        λ/(πD)   ((j(x) − ε² j(εx)) / (1 − ε²))²,    λ/D       overlap of two annular pupils s / 2π apart
                     x² = t, see ``airy``
kolmogorov  fwhm     the transform of exp(−k^(5/3))      fwhm      exp(−3.4419 (s / (2π · 0.97586))^{5/3})
==========  =======  ==================================  ========  ================================================

An Airy pattern may be convolved with a Gaussian, by which its transform is multiplied; ``jitter`` has its f(t).

Moffat 1969, A&A 3, 455; Trujillo et al. 2001, MNRAS 328, 977, for its truncation and its transform; Fried 1966, JOSA
56, 1372, for the long exposure through Kolmogorov's turbulence.

The Kolmogorov profile is y^(11/5) p(2y − 1) with y = (1 + t/c)^(−5/6), whose powers are those of its tail (r^−11/3,
r^−16/3, …). The polynomial p is our own, a minimax fit (Lawson's iteration) to 300 values from its power series and its
asymptotic series in 80 digits or more, and is within 2.1e-7 of f(0) and 4e-4 of f. Its integral is a polynomial of y as
well, which gives the encircled flux. ``tests/reference/point_sources.py`` has the profiles anew, from integrals and
scipy's Bessel functions, and the tests compare them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.psf.airy import (
    airy_differences,
    airy_fwhm,
    airy_radius,
    airy_transform,
    disc_transform,
)
from deepbench.images.psf.float32_functions import float32, power
from deepbench.images.psf.model import AIRY, GAUSSIAN, KOLMOGOROV, MOFFAT
from deepbench.images.psf.transform_tables import (
    at_nodes,
    chebyshev_coordinate,
    nodes,
    series,
    transform_at,
    write_table,
)
from deepbench.numerics.kernels import inline, kernel, polynomial
from deepbench.numerics.mathfast import exp, exp32, exp64, log, log64, pow64

ERROR = 1e-6
"""Largest error, in units of f(0), with which pixels far from the centre are averaged over by differences."""

LIGHTLESS = 60.0
"""The t from which on the Gaussian is taken as zero: 1e-13 of the peak."""

BETA, STEEP = (1.1, 10.0), (10.0, 100.0)
"""Ranges of the exponent of a Moffat profile in the two series of its transforms."""

OBSCURATION = 0.9
"""Largest obscuration of an Airy pattern in transforms."""

LN2 = math.log(2.0)

GAUSSIAN_RATE = 1.0 / (16.0 * math.log(2.0))
KOLMOGOROV_RATE = 3.44193859115 / (2.0 * math.pi * 0.975863432579) ** (5.0 / 3.0)
"""Rate in the transform exp(−rate × s^(5/3)); 0.9759 λ/r0 is the full width at half maximum."""

KOLMOGOROV_WING = (
    KOLMOGOROV_RATE * -(2.0 ** (5.0 / 3.0)) * math.gamma(11 / 6) / (math.pi * math.gamma(-5 / 6))
)
"""Factor of the Kolmogorov profile far from the centre, this × fwhm^(5/3) × r^(−11/3)."""

# --- Kolmogorov ---

_CORE = 1.4  # c
_CENTRE = 0.7479420802371068  # f(0) FWHM**2 of flux 1
_TAIL = 0.0318837022334219  # f = _TAIL t**(-11/6) far out
_KOLMOGOROV = (
    0.11060342937707901, 0.311591237783432, 0.476615309715271, 0.3366173207759857,
    -0.08826707303524017, -0.2758282721042633, 0.02373345196247101, 0.20986026525497437,
    -0.04453892260789871, -0.14418794214725494, 0.059139184653759, 0.06938011199235916,
    -0.03954431787133217, -0.01603573188185692, 0.010861734859645367,
)  # fmt: skip
_KOLMOGOROV_SUM = tuple(
    float(value) for value in np.polynomial.polynomial.polyint(_KOLMOGOROV, lbnd=-1)
)  # the integral of the polynomial from -1

_KOLMOGOROV_32 = float32(*_KOLMOGOROV)
_ZERO, _ONE, _TWO = float32(0.0, 1.0, 2.0)
_HALF_NEGATIVE, _FIVE_SIXTHS_NEGATIVE = float32(-0.5, -5.0 / 6.0)
_INVERSE_CORE = np.float32(1.0 / _CORE)


# --- profiles ---


class Profile(NamedTuple):
    """A circular profile of flux 1.

    Attributes
    ----------
    family : int
        GAUSSIAN, MOFFAT, AIRY or KOLMOGOROV.
    scale, peak : float
        Length of t = 1 in pixels, and intensity at the centre in 1/pixel².
    shape : float
        The Moffat's β, the Airy pattern's obscuration ε.
    end : float
        The t beyond which the profile is zero; inf if there is none.
    truncated : bool
        Whether it jumps to zero there.
    inside : float
        Flux of a Moffat to ``end``, as a part of the flux of one that is not truncated.
    width, growth : float
        f is as smooth at t as a Gaussian of the standard deviation width × w(t) in units of the scale, where
        w = √(1 + growth t), or its root for an Airy pattern.
    """

    family: int
    scale: float
    peak: float
    shape: float
    end: float
    truncated: bool
    inside: float
    width: float
    growth: float


@inline
def make_profile(psf):
    """Return the ``Profile`` of a row of a point spread function."""
    family, fwhm, shape = psf.family, psf.fwhm, psf.shape
    end, truncated, inside = np.inf, False, 1.0
    if family == GAUSSIAN:
        scale = fwhm / (2.0 * math.sqrt(2.0 * LN2))
        peak = 1.0 / (2.0 * math.pi * scale * scale)
        end, width, growth = LIGHTLESS, 1.0, 0.0
    elif family == MOFFAT:
        scale = 0.5 * fwhm / np.sqrt(exp64(LN2 / shape) - 1.0)
        if psf.truncation > 0.0:
            end, truncated = (psf.truncation / scale) * (psf.truncation / scale), True
            inside = 1.0 - exp64((1.0 - shape) * log64(1.0 + end))
        peak = (shape - 1.0) / (math.pi * scale * scale * inside)
        # 15 / width⁶ is the sixth derivative at the centre, of (1 + x²)^−β as of exp(−x² / 2 width²)
        width, growth = exp64(log64(8.0 * shape * (shape + 1.0) * (shape + 2.0)) / -6.0), 1.0
    elif family == AIRY:
        light = 1.0 - shape * shape
        scale = fwhm / (math.pi * airy_fwhm(shape))
        peak = light / (4.0 * math.pi * scale * scale)
        width, growth = 1.55 - 0.39 * shape * shape, 0.03 * exp64(log64(light) * (4.0 / 3.0))
    else:
        scale = fwhm
        peak = _CENTRE / (fwhm * fwhm)
        width, growth = 0.398, 0.6
    return Profile(family, scale, peak, shape, end, truncated, inside, width, growth)


@inline
def smoothness(profile, t):
    """Return the standard deviation, in units of the scale, of a Gaussian as smooth as f is at t."""
    factor = np.sqrt(1.0 + profile.growth * t)
    return profile.width * (np.sqrt(factor) if profile.family == AIRY else factor)


@kernel
def evaluate(profile, values, count):
    """Replace the first ``count`` t in ``values`` (float32, not negative) by f(t); no truncation."""
    shape = np.float32(profile.shape)
    if profile.family == GAUSSIAN:
        for i in range(count):
            values[i] = exp32(values[i] * _HALF_NEGATIVE)
    elif profile.family == MOFFAT:
        for i in range(count):
            values[i] = power(_ONE + values[i], -shape)
    elif profile.family == KOLMOGOROV:
        for i in range(count):
            far = _ONE + values[i] * _INVERSE_CORE
            y = power(far, _FIVE_SIXTHS_NEGATIVE)
            values[i] = y / far * polynomial(_TWO * y - _ONE, _KOLMOGOROV_32)
    elif shape == _ZERO:
        for i in range(count):
            amplitude = disc_transform(values[i])
            values[i] = amplitude * amplitude
    else:
        part = shape * shape
        whole = _ONE / (_ONE - part)
        for i in range(count):
            amplitude = (
                disc_transform(values[i]) - part * disc_transform(part * values[i])
            ) * whole
            values[i] = amplitude * amplitude


@inline
def differences(profile, axis_ratio):
    """Return how pixels far from the centre follow from the values at centres.

    Returns
    -------
    sparse : float
        The t from which on the error is below ``ERROR``.
    a, b : float
        Along an axis, the mean over a pixel is f − a/2 δ²f + b/4 δ⁴f with the second difference δ²f.

    Notes
    -----
    The first term left out of the series is 367/967680 of the sixth derivative, which is 15/σ⁶ for a Gaussian and
    p (p+1) … (p+5) / r⁶ for a power r^−p. An Airy pattern has no frequency above 2/scale, and waves of half its
    envelope at the highest.
    """
    small = profile.scale * np.sqrt(axis_ratio)  # pixels
    least = 16.0 / (small * small) - 1.0  # 4 pixels
    if profile.family == AIRY:
        a, b, error = airy_differences(2.0 / small)
        root, part = 1.0 + np.sqrt(profile.shape), profile.shape * profile.shape
        envelope = 4.0 / math.pi * (root * root) / ((1.0 - part) * (1.0 - part))
        sparse = exp64(log64(error * envelope / ERROR) * (2.0 / 3.0))
        return max(sparse, 64.0, least), a, b
    a, b = -1.0 / 12.0, -17.0 / 1440.0
    sixth = 367.0 / 967680.0 / (small * small * small * small * small * small)
    if profile.family == GAUSSIAN:
        return (0.0 if 15.0 * sixth < ERROR else np.inf), a, b
    slope, factor, core = 2.0 * profile.shape, 1.0, 1.0
    if profile.family == KOLMOGOROV:
        slope, factor, core = 11.0 / 3.0, 10.0 * _TAIL, 0.5
    for k in range(6):
        factor *= slope + k
    return max(exp64(log64(sixth * factor / ERROR) / (0.5 * slope + 3.0)) - core, least), a, b


@inline
def mean_within(profile, t):
    """Return the mean of a Moffat's f over the ellipse t, as if it were not truncated."""
    exponent = 1.0 - profile.shape
    if t < 1e-8:
        return 1.0 - 0.5 * profile.shape * t
    return (exp64(exponent * log64(1.0 + t)) - 1.0) / (exponent * t)


@inline
def flux_radius(profile, fraction):
    """Return the circularised radius in pixels within which a part of the flux lies, 0 <= fraction < 1."""
    if profile.family == GAUSSIAN:
        t = -2.0 * log64(1.0 - fraction)
    elif profile.family == MOFFAT:
        t = exp64(log64(1.0 - fraction * profile.inside) / (1.0 - profile.shape)) - 1.0
    elif profile.family == AIRY:
        x = airy_radius(profile.shape, fraction)
        t = x * x
    else:
        low, high = 0.0, 1.0
        for _ in range(60):
            y = 0.5 * (low + high)
            beyond = 0.6 * math.pi * _CENTRE * _CORE * polynomial(2.0 * y - 1.0, _KOLMOGOROV_SUM)
            low, high = (y, high) if beyond < 1.0 - fraction else (low, y)
        t = _CORE * (exp64(log64(high) * -1.2) - 1.0)
    return profile.scale * np.sqrt(t)


# --- transforms ---


class PsfTables(NamedTuple):
    """Functions of u at the nodes, float32: the Moffat series and the transforms without a parameter; and u."""

    moffat: NDArray[np.float32]
    steep: NDArray[np.float32]
    gaussian: NDArray[np.float32]
    kolmogorov: NDArray[np.float32]
    positions: NDArray[np.float64]


@lru_cache(maxsize=1)
def psf_tables() -> PsfTables:
    """Return the tables of this process, made at the first call."""
    u = nodes()
    gaussian = exp(-GAUSSIAN_RATE * u)
    kolmogorov = exp(-KOLMOGOROV_RATE * exp(5.0 / 6.0 * log(u)))
    return PsfTables(
        at_nodes(series()["moffat"]),
        at_nodes(series()["steep"]),
        gaussian.astype(np.float32)[None],
        kolmogorov.astype(np.float32)[None],
        u,
    )


@inline
def transform_size(psf):
    """Return the length that scales the transform of a row, in pixels: λ/D of an Airy pattern, else the FWHM."""
    return psf.fwhm / airy_fwhm(psf.shape) if psf.family == AIRY else psf.fwhm


@inline
def is_round(psf):
    """Tell whether a row is that of a circular profile."""
    return psf.axis_ratio >= 1.0


@inline
def same_transform(a, b):
    """Tell whether two rows have one transform."""
    return (
        a.family == b.family
        and a.fwhm == b.fwhm
        and a.shape == b.shape
        and a.jitter == b.jitter
        and a.axis_ratio == b.axis_ratio
        and a.position_angle == b.position_angle
    )


@kernel
def write_transform(psf, tables, first, last, values, table):
    """Write the transform of a circular point spread function, between two pieces, both included.

    Parameters
    ----------
    psf : PSF_ROW
    tables : PsfTables
    first, last : int
    values, table : float32[2, NODES], float32[PIECES, 4]
        Scratch, and what is written.
    """
    if psf.family == MOFFAT and psf.shape > STEEP[0]:
        x = chebyshev_coordinate(1.0 / psf.shape, 1.0 / STEEP[0], 1.0 / STEEP[1])
        write_table(x, tables.steep, first, last, values[0], table)
    elif psf.family == MOFFAT:
        x = chebyshev_coordinate(1.0 / psf.shape, 1.0 / BETA[0], 1.0 / BETA[1])
        write_table(x, tables.moffat, first, last, values[0], table)
    elif psf.family == AIRY:
        obscuration = min(max(psf.shape, 0.0), OBSCURATION)
        computed = values[1:2]
        spread = psf.jitter / transform_size(psf)
        rate = -0.5 * spread * spread
        for node in range(2 * first, 2 * last + 3):
            u = tables.positions[node]
            computed[0, node] = airy_transform(np.sqrt(u), obscuration) * exp64(rate * u)
        write_table(0.0, computed, first, last, values[0], table)
    else:
        function = tables.gaussian if psf.family == GAUSSIAN else tables.kolmogorov
        write_table(0.0, function, first, last, values[0], table)


@inline
def moffat_scale(fwhm, beta):
    """Return the scale radius α."""
    return 0.5 * fwhm / np.sqrt(pow64(2.0, 1.0 / beta) - 1.0)


@kernel
def psf_wing(psf):
    """Return (c, core, power) of the wing c (r² + core)^(−power) of a point spread function of unit flux.

    A Gaussian has none, and neither has a steep Moffat: 1e-9 of its peak is left at six times its width.
    """
    if psf.family == MOFFAT and psf.shape <= STEEP[0]:
        beta = max(psf.shape, BETA[0])
        alpha = moffat_scale(psf.fwhm, beta)
        c = (beta - 1.0) / math.pi * pow64(alpha, 2.0 * beta - 2.0)
        return c, alpha * alpha, beta
    if psf.family == KOLMOGOROV:
        return KOLMOGOROV_WING * pow64(psf.fwhm, 5.0 / 3.0), 0.0, 11.0 / 6.0
    if psf.family == AIRY:
        inner = min(max(psf.shape, 0.0), OBSCURATION)
        return transform_size(psf) / (math.pi**3 * (1.0 - inner)), 0.0, 1.5
    return 0.0, 0.0, 1.0


@kernel
def psf_radius(psf, outside):
    """Return a circular radius outside of which at most a part of the light of a round point spread function lies."""
    if psf.family == GAUSSIAN:
        return psf.fwhm * np.sqrt(-log64(outside) / (4.0 * math.log(2.0)))
    if psf.family == MOFFAT and psf.shape > STEEP[0]:
        square = pow64(outside, 1.0 / (1.0 - psf.shape)) - 1.0
        return max(moffat_scale(psf.fwhm, psf.shape) * np.sqrt(square), psf.fwhm)
    c, core, exponent = psf_wing(psf)
    # the wing's light outside; for a Moffat profile it is exact, the others' is no more than twice their wing's
    rest = outside if psf.family == MOFFAT else 0.5 * outside
    square = pow64(rest * (exponent - 1.0) / (math.pi * c), 1.0 / (1.0 - exponent)) - core
    spread = psf.jitter * np.sqrt(-2.0 * log64(outside)) if psf.jitter > 0.0 else 0.0
    return max(np.sqrt(max(square, 0.0)), transform_size(psf)) + spread


@inline
def variance(table, size, k):
    """Return the variance along an axis of the Gaussian that has the same transform at the wave number k."""
    value = transform_at(table, (k * size) * (k * size))
    return -2.0 * log64(max(value, 1e-30)) / (k * k)
