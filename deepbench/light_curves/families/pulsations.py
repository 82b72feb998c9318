"""Pulsating stars: series of cosines, and single modes, in magnitudes.

The light of an RR Lyrae star or a Cepheid follows (Simon & Lee 1981, ApJ 248, 291)::

    m(t) − <m> = Σ_k A_k cos(2π k (t − t0) / P + φ_k),  k = 1 … 8

and its shape is told by R_k1 = A_k / A_1 and φ_k1 = φ_k − k φ_1, which depend neither on the size of the variation nor
on t0. Here A_1 follows from the ``amplitude``, the difference between the faintest and the brightest magnitude, and φ_1
from the ``peak_time``, an instant of maximum light. Magnitudes are averaged over the cycle, so that the star's own
magnitude is <m>; its mean flux is a little higher.

A mode of a δ Scuti star, or any star that varies as a sine, adds A sin(2π f t + φ) to the magnitude, A being half of
the full range (the convention of Lenz & Breger 2005, Commun. Asteroseismol. 146, 53, with φ in radian). Modes multiply,
as magnitudes add.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, sincos64

HARMONICS = 8

PULSATION = (
    *("period", "peak_time", "amplitude"),
    *(f"ratio_{k}1" for k in range(2, HARMONICS + 1)),
    *(f"phase_{k}1" for k in range(2, HARMONICS + 1)),
)
"""Days, days, magnitudes (of each band), R_21 … R_81 and φ_21 … φ_81 in radian."""

PULSATION_MODE = ("frequency", "amplitude", "phase")
"""Cycles per day, magnitudes (of each band), radian."""

TO_LOG_FLUX = -0.4 * math.log(10.0)
"""What a magnitude adds to the natural logarithm of a flux."""

_TURN = 2.0 * math.pi
_FIRST_RATIO, _FIRST_PHASE = PULSATION.index("ratio_21"), PULSATION.index("phase_21")
CHUNK = 256
"""Nodes worked on at a time: the loops over them vectorise, which the look-up of a band's value would stop."""

_COARSE = 20
"""Places that tell about how far a series goes up and down."""

_GRID = 128  # 16 per cycle of the highest harmonic: between neighbours lies at most one extreme that matters


@inline
def _coefficient(row, k):
    """Return R_k1 exp(i φ_k1)."""
    sine, cosine = sincos64(row[_FIRST_PHASE + k - 2])
    return row[_FIRST_RATIO + k - 2] * cosine, row[_FIRST_RATIO + k - 2] * sine


@inline
def coefficients(row):
    """Return the real and the imaginary parts of a_k = R_k1 exp(i φ_k1), a_1 = 1, as two tuples."""
    c2, s2 = _coefficient(row, 2)
    c3, s3 = _coefficient(row, 3)
    c4, s4 = _coefficient(row, 4)
    c5, s5 = _coefficient(row, 5)
    c6, s6 = _coefficient(row, 6)
    c7, s7 = _coefficient(row, 7)
    c8, s8 = _coefficient(row, 8)
    return (1.0, c2, c3, c4, c5, c6, c7, c8), (0.0, s2, s3, s4, s5, s6, s7, s8)


@inline
def _add(real, imaginary, a, b, c, s):
    """Return (real + a + i (imaginary + b)) (c + i s)."""
    real, imaginary = real + a, imaginary + b
    return real * c - imaginary * s, real * s + imaginary * c


@inline
def series(x, a, b):
    """Return the real part of Σ_k (a_k + i b_k) exp(i k x), by Horner's rule in exp(i x); written out to vectorise."""
    s, c = sincos64(x)
    real, imaginary = _add(0.0, 0.0, a[7], b[7], c, s)
    real, imaginary = _add(real, imaginary, a[6], b[6], c, s)
    real, imaginary = _add(real, imaginary, a[5], b[5], c, s)
    real, imaginary = _add(real, imaginary, a[4], b[4], c, s)
    real, imaginary = _add(real, imaginary, a[3], b[3], c, s)
    real, imaginary = _add(real, imaginary, a[2], b[2], c, s)
    real, imaginary = _add(real, imaginary, a[1], b[1], c, s)
    return _add(real, imaginary, a[0], b[0], c, s)[0]


@inline
def _slopes(x, a, b):
    """Return the first and the second derivative of the series."""
    s, c = sincos64(x)
    first_real, first, second, second_imaginary = 0.0, 0.0, 0.0, 0.0
    for k in range(HARMONICS - 1, -1, -1):
        order = k + 1.0
        first_real, first = _add(first_real, first, order * a[k], order * b[k], c, s)
        square = order * order
        second, second_imaginary = _add(
            second, second_imaginary, square * a[k], square * b[k], c, s
        )
    return -first, -second


@inline
def _extreme(low, high, sign, a, b):
    """Return the place of a minimum (sign 1) or maximum (−1) between two places: Newton's steps, or halves."""
    x = 0.5 * (low + high)
    for _ in range(60):
        slope, bend = _slopes(x, a, b)
        if sign * slope > 0.0:
            high = x
        else:
            low = x
        following = x - slope / bend
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - x) < 1e-15:
            break
        x = following
    return x


@kernel
def extremes(a, b):
    """Return the place of a series' lowest minimum (the first of equals), that minimum, and the highest maximum."""
    step = _TURN / _GRID
    values = np.empty(_GRID + 2)
    for i in range(values.size):
        values[i] = series((i - 1) * step, a, b)
    place, least, most = 0.0, np.inf, -np.inf
    for i in range(_GRID):
        before, here, after = values[i], values[i + 1], values[i + 2]
        if here <= before and here <= after:
            x = _extreme((i - 1) * step, (i + 1) * step, 1.0, a, b)
            value = series(x, a, b)
            if value < least:
                place, least = x, value
        if here >= before and here >= after:
            most = max(most, series(_extreme((i - 1) * step, (i + 1) * step, -1.0, a, b), a, b))
    return place, least, most


@kernel
def multiply_pulsations(rows, owners, offsets, times, bands, factors):
    """Multiply the factors by the light of pulsating stars, in units of the flux of <m>.

    Parameters
    ----------
    rows : float64[k, b, 17]
        The columns of ``PULSATION`` of k objects in b bands; but for the amplitude those of band 0 are read.
    owners : int64[k]
        The sample of each object.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days.
    bands : int8[m]
        Band of each node.
    factors : float64[m]
        Multiplied in place.
    """
    scales, work = np.empty(rows.shape[1]), np.empty(CHUNK)
    for i in range(owners.size):
        a, b = coefficients(rows[i, 0])
        start, least, most = extremes(a, b)
        for k in range(scales.size):
            scales[k] = TO_LOG_FLUX * rows[i, k, 2] / (most - least)
        period, peak_time = rows[i, 0, 0], rows[i, 0, 1]
        stop = offsets[owners[i] + 1]
        for first in range(offsets[owners[i]], stop, CHUNK):
            count = min(CHUNK, stop - first)
            chunk = times[first : first + count]
            for j in range(count):
                work[j] = scales[bands[first + j]]
            for j in range(count):
                cycles = (chunk[j] - peak_time) / period
                x = _TURN * (cycles - np.floor(cycles)) + start
                work[j] = exp64(work[j] * series(x, a, b))
            for j in range(count):
                factors[first + j] *= work[j]


@kernel
def multiply_pulsation_modes(rows, owners, offsets, times, bands, factors):
    """Multiply the factors by the light of stars with one mode each.

    As ``multiply_pulsations``, with ``rows`` as float64[k, b, 3], the columns of ``PULSATION_MODE``.
    """
    scales, work = np.empty(rows.shape[1]), np.empty(CHUNK)
    for i in range(owners.size):
        for k in range(scales.size):
            scales[k] = TO_LOG_FLUX * rows[i, k, 1]
        frequency, phase = rows[i, 0, 0], rows[i, 0, 2]
        stop = offsets[owners[i] + 1]
        for first in range(offsets[owners[i]], stop, CHUNK):
            count = min(CHUNK, stop - first)
            chunk = times[first : first + count]
            for j in range(count):
                work[j] = scales[bands[first + j]]
            for j in range(count):
                cycles = frequency * chunk[j]
                sine, _ = sincos64(_TURN * (cycles - np.floor(cycles)) + phase)
                work[j] = exp64(work[j] * sine)
            for j in range(count):
                factors[first + j] *= work[j]


def fastest_pulsations(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angular rate (rad/day) of the highest harmonic of each object; rows as in ``multiply_pulsations``."""
    ratios = rows[:, 0, _FIRST_RATIO:_FIRST_PHASE]
    highest = np.max((ratios != 0.0) * np.arange(2, HARMONICS + 1), axis=1, initial=1)
    return np.asarray(_TURN * highest / rows[:, 0, 0], dtype=np.float64)


def fastest_pulsation_modes(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angular rate (rad/day) of each object; rows as in ``multiply_pulsation_modes``."""
    return _TURN * np.abs(rows[:, 0, 0])


@kernel
def _largest_amplitudes(rows, out):
    """Write (a_k, ω_k) of each harmonic, k = 1 … 8, of ln(flux): float64[n, 8, 2], a_k at least what it is."""
    for i in range(rows.shape[0]):
        largest = 0.0
        for band in range(rows.shape[1]):
            largest = max(largest, abs(rows[i, band, 2]))
        a, b = coefficients(rows[i, 0])
        least, most = np.inf, -np.inf
        for j in range(_COARSE):
            value = series(j * (_TURN / _COARSE), a, b)
            least, most = min(least, value), max(most, value)
        for k in range(HARMONICS):
            size = np.sqrt(a[k] * a[k] + b[k] * b[k])
            out[i, k, 0] = -TO_LOG_FLUX * largest * size / (most - least)
            out[i, k, 1] = (k + 1) * _TURN / rows[i, 0, 0]


def smooth_pulsations(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amplitudes (of ln flux) and angular rates (rad/day) of each object; see ``families.Family``."""
    found = np.empty((len(rows), HARMONICS, 2))
    _largest_amplitudes(rows, found)
    return found


def smooth_pulsation_modes(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amplitudes (of ln flux) and angular rates (rad/day) of each object; see ``families.Family``."""
    largest = np.abs(rows[:, :, 1]).max(axis=1)
    return np.stack([-TO_LOG_FLUX * largest, fastest_pulsation_modes(rows)], axis=-1)[:, None]
