"""Damped random walks: the light of quasars.

The magnitude is an Ornstein-Uhlenbeck process (Kelly, Bechtold & Siemiginowska 2009, ApJ 698, 895), named by its time
scale τ and the structure function at long lags SF∞ (MacLeod et al. 2010, ApJ 721, 1014)::

    SF(Δt) = SF∞ √(1 − exp(−|Δt| / τ)),  variance SF∞² / 2,  covariance SF∞² / 2 exp(−|Δt| / τ).

It is a Markov process: the value at the beginning of an exposure follows exactly from that at the end of the one before
and a unit normal, the mean over the exposure and the value at its end from that and two more, whatever the steps
(Gillespie 1996, Phys. Rev. E 54, 2084, gives the process and its integral). The first exposure begins in the stationary
distribution. The bands of one source share one process, each scaled by its own SF∞. The mean is that of magnitudes.
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.light_curves.units import LOG_FLUX
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64
from deepbench.numerics.streams import fill_normals

_OF_STRUCTURE = LOG_FLUX * math.sqrt(0.5)
"""Standard deviation of the natural logarithm of the flux for SF∞ = 1 mag, with its sign."""


@inline
def _drawn(y, kept):
    """Return 1 − exp(−2 y), given exp(−y); from its series where the difference would lose digits."""
    z = 2.0 * y
    series = z * (1.0 - z * (0.5 - z * (1.0 / 6.0 - z * (1.0 / 24.0))))
    return series if z < 1e-3 else 1.0 - kept * kept


@inline
def _of_exposure(h):
    """Return how the mean over a time h and the value at its end follow from the value s at its beginning.

    The mean is p s + v n1, the end k s + c n1 + d n2, with unit normals n1 and n2; the result is p, v, k, c, d. Where
    differences would lose digits, their series are taken.
    """
    kept = exp64(-h)
    series = 1.0 - h * (0.5 - h * (1.0 / 6.0 - h * (1.0 / 24.0 - h / 120.0)))
    part = series if h < 0.01 else (1.0 - kept) / h
    if h < 0.05:
        rest = 7.0 / 30.0 - h * (1.0 / 12.0 - h * (31.0 / 1260.0 - h / 160.0))
        sigma = np.sqrt(h * (2.0 / 3.0 - h * (0.5 - h * rest)))
    else:
        sigma = np.sqrt((2.0 * h - 3.0 + kept * (4.0 - kept)) / (h * h))
    lost = part * h
    shared = part * lost / sigma if sigma > 0.0 else 0.0
    return part, sigma, kept, shared, np.sqrt(max(lost * (1.0 + kept) - shared * shared, 0.0))


@kernel
def walk(times, bands, lengths, normals, timescale, work, means):
    """Write the means over exposures of a process of unit variance.

    Parameters
    ----------
    times : float64[m]
        Middles of the exposures, days, ascending. Exposures do not overlap, but several bands may share one.
    bands : int8[m]
        Band of each.
    lengths : float64[b]
        Of an exposure in each band, days.
    normals : float32[3 m] or float64[3 m]
        Three unit normals for each exposure: for the time before it, its mean, and its end.
    timescale : float
        τ, days.
    work : float64[2, m]
        Overwritten.
    means : float64[m]
        Written.
    """
    if times.size == 0:
        return
    rate = 1.0 / timescale
    shapes = np.empty((lengths.size, 5))
    for band in range(lengths.size):
        shapes[band] = _of_exposure(lengths[band] * rate)
    if lengths.min() == lengths.max():  # this loop vectorises
        for j in range(1, times.size):
            means[j] = times[j] - times[j - 1] - lengths[0]
    else:
        for j in range(1, times.size):
            halves = 0.5 * (lengths[bands[j - 1]] + lengths[bands[j]])
            means[j] = times[j] - times[j - 1] - halves
    for j in range(1, times.size):
        step = max(means[j], 0.0) * rate
        left = exp64(-step)
        work[0, j], work[1, j] = left, np.sqrt(_drawn(step, left)) * normals[3 * j]
    work[0, 0], work[1, 0] = 0.0, normals[0]
    value = 0.0
    for j in range(times.size):
        if j and times[j] == times[j - 1]:  # one exposure of several bands
            means[j] = means[j - 1]
            continue
        part, sigma, kept, shared, own = shapes[bands[j]]
        left, drawn, first = work[0, j], work[1, j], normals[3 * j + 1]
        means[j] = (part * left) * value + (part * drawn + sigma * first)
        added = kept * drawn + (shared * first + own * normals[3 * j + 2])
        value = (kept * left) * value + added  # the one chain from step to step


@kernel
def multiply_random_walks(
    rows, owners, counts, days, bands, lengths, offsets, positions, of_bands, samples, key, words, factors
):  # fmt: skip
    """Write the factors of randomly walking sources at their observations, in units of the flux of the mean magnitude.

    The walk goes over all times that are scheduled, so that it does not depend on those that are lost. The normals of
    the time p of a sample are the elements 3 p … 3 p + 2 of the sample's stream.

    Parameters
    ----------
    rows : RANDOM_WALK[k, b]
        The time scale of band 0 is read.
    owners : int64[k]
        The sample of each object, as a number of the block.
    counts : int64[n]
        Number of times of each sample.
    days, bands : float64[r, w], int8[r, w]
        Times and their bands, with a row for each sample, or one for all.
    lengths : float64[b]
        Of an exposure in each band, days.
    offsets, positions, of_bands : int64[n + 1], int64[m], int8[m]
        Observations of the samples: their positions among the times, and their bands.
    samples : int64[k]
        The sample of each object, as a number of the table.
    key, words : uint32[2]
        Those of the seed and of the object's stream (``streams.key_words``, ``streams.stream_words``).
    factors : float64[m]
        Multiplied in place.
    """
    longest = counts.max() if counts.size else 0
    normals = np.empty(3 * longest, np.float32)
    work, means = np.empty((2, longest)), np.empty(longest)
    scales = np.empty(rows.shape[1])
    for j in range(owners.size):
        i = owners[j]
        row, count = i if len(days) > 1 else 0, counts[i]
        fill_normals(normals[: 3 * count], samples[j], key[0], key[1], words[0], words[1])
        walk(
            days[row, :count], bands[row, :count], lengths, normals[: 3 * count], rows[j, 0].timescale,
            work[:, :count], means[:count],
        )  # fmt: skip
        for band in range(scales.size):
            scales[band] = _OF_STRUCTURE * rows[j, band].structure_function
        for e in range(offsets[i], offsets[i + 1]):
            factors[e] *= exp64(scales[of_bands[e]] * means[positions[e]])
