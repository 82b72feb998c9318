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

from deepbench.light_curves.families.loops import multiply_chunks
from deepbench.light_curves.units import LOG_FLUX
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, sincos64

_TURN = 2.0 * math.pi
_COARSE = 20
"""Number of phases that tell about how far a series goes up and down."""

_GRID = 128  # 16 per cycle of the highest harmonic: between neighbours lies at most one extreme that matters


@inline
def _coefficient(ratio, phase):
    """Return R exp(i φ)."""
    sine, cosine = sincos64(phase)
    return ratio * cosine, ratio * sine


@inline
def coefficients(row):
    """Return the real and the imaginary parts of a_k = R_k1 exp(i φ_k1), a_1 = 1, as two tuples."""
    c2, s2 = _coefficient(row.ratio_21, row.phase_21)
    c3, s3 = _coefficient(row.ratio_31, row.phase_31)
    c4, s4 = _coefficient(row.ratio_41, row.phase_41)
    c5, s5 = _coefficient(row.ratio_51, row.phase_51)
    c6, s6 = _coefficient(row.ratio_61, row.phase_61)
    c7, s7 = _coefficient(row.ratio_71, row.phase_71)
    c8, s8 = _coefficient(row.ratio_81, row.phase_81)
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
    for k in range(len(a) - 1, -1, -1):
        order = k + 1.0
        first_real, first = _add(first_real, first, order * a[k], order * b[k], c, s)
        square = order * order
        second, second_imaginary = _add(
            second, second_imaginary, square * a[k], square * b[k], c, s
        )
    return -first, -second


@inline
def _extreme(low, high, sign, a, b):
    """Return the phase of a minimum (sign 1) or maximum (−1) between two phases: Newton's steps, or halves."""
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
    """Return the phase of a series' lowest minimum (the first of equals), that minimum, and the highest maximum."""
    step = _TURN / _GRID
    values = np.empty(_GRID + 2)
    for i in range(values.size):
        values[i] = series((i - 1) * step, a, b)
    lowest, least, most = 0.0, np.inf, -np.inf
    for i in range(_GRID):
        before, here, after = values[i], values[i + 1], values[i + 2]
        if here <= before and here <= after:
            x = _extreme((i - 1) * step, (i + 1) * step, 1.0, a, b)
            value = series(x, a, b)
            if value < least:
                lowest, least = x, value
        if here >= before and here >= after:
            most = max(most, series(_extreme((i - 1) * step, (i + 1) * step, -1.0, a, b), a, b))
    return lowest, least, most


@inline
def _prepare(rows, scales):
    row = rows[0]
    a, b = coefficients(row)
    start, least, most = extremes(a, b)
    for band in range(scales.size):
        scales[band] = LOG_FLUX * rows[band].amplitude / (most - least)
    return a, b, start, row.period, row.peak_time


@inline
def _write(prepared, times, work):
    a, b, start, period, peak_time = prepared
    for j in range(times.size):
        cycles = (times[j] - peak_time) / period
        x = _TURN * (cycles - np.floor(cycles)) + start
        work[j] = exp64(work[j] * series(x, a, b))


@kernel
def multiply_pulsations(rows, owners, offsets, times, bands, factors):
    """Multiply by the light of pulsating stars, in units of the flux of <m>.

    ``rows`` is ``PULSATION[k, b]``, of which all but the amplitude is read in band 0; the rest is as in
    ``loops.multiply_chunks``.
    """
    multiply_chunks(_prepare, _write, rows, owners, offsets, times, bands, factors)


@inline
def _prepare_mode(rows, scales):
    row = rows[0]
    for band in range(scales.size):
        scales[band] = LOG_FLUX * rows[band].amplitude
    return row.frequency, row.phase


@inline
def _write_mode(prepared, times, work):
    frequency, phase = prepared
    for j in range(times.size):
        cycles = frequency * times[j]
        sine, _ = sincos64(_TURN * (cycles - np.floor(cycles)) + phase)
        work[j] = exp64(work[j] * sine)


@kernel
def multiply_pulsation_modes(rows, owners, offsets, times, bands, factors):
    """Multiply by the light of stars with one mode each.

    ``rows`` is ``PULSATION_MODE[k, b]``, of which all but the amplitude is read in band 0; the rest is as in
    ``loops.multiply_chunks``.
    """
    multiply_chunks(_prepare_mode, _write_mode, rows, owners, offsets, times, bands, factors)


@kernel
def write_harmonics(rows, amplitudes, rates):
    """Write amplitude and angular rate (rad/day) of each harmonic of ln(flux).

    Parameters
    ----------
    rows : PULSATION[k, b]
    amplitudes : float64[k, 8]
        Written: at least what they are, in the band where they are largest.
    rates : float64[k, 8]
        Written.
    """
    for i in range(rows.shape[0]):
        largest = 0.0
        for band in range(rows.shape[1]):
            largest = max(largest, abs(rows[i, band].amplitude))
        a, b = coefficients(rows[i, 0])
        least, most = np.inf, -np.inf
        for j in range(_COARSE):
            value = series(j * (_TURN / _COARSE), a, b)
            least, most = min(least, value), max(most, value)
        for k in range(rates.shape[1]):
            size = np.sqrt(a[k] * a[k] + b[k] * b[k])
            amplitudes[i, k] = -LOG_FLUX * largest * size / (most - least)
            rates[i, k] = (k + 1) * _TURN / rows[i, 0].period
